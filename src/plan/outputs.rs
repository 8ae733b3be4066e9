//! Additional outputs for images, named as skopeo names its transports (containers-transports(5)).

use std::str::FromStr;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::oci::transport::TransportPath;

/// An OCI image layout, as a directory or as a tar archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Output {
    Oci(Utf8PathBuf),
    OciArchive(Utf8PathBuf),
}

impl Output {
    pub(crate) fn path(&self) -> &Utf8Path {
        let (Output::Oci(path) | Output::OciArchive(path)) = self;
        path
    }
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let message = "wanted oci:DIR or oci-archive:FILE (or --load, for the local Docker or Podman)";
        let Some(TransportPath { transport, path, name }) = TransportPath::split(text) else {
            return Err(message.to_owned());
        };
        match (transport, name) {
            (_, None) if path.is_empty() => Err("the path is missing".to_owned()),
            ("oci", None) => Ok(Output::Oci(path.into())),
            ("oci-archive", None) => Ok(Output::OciArchive(path.into())),
            // skopeo's `oci:DIR:TAG`, which would otherwise create a directory with that name.
            ("oci" | "oci-archive", Some(_)) => {
                let fix =
                    if path.is_empty() { "a path has no ':'".to_owned() } else { format!("give {transport}:{path}") };
                Err(format!("{fix}, the image's name and tag come from the plan (`--tag NAME`)"))
            }
            _ => Err(message.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports() {
        assert_eq!("oci:a/b".parse(), Ok(Output::Oci("a/b".into())));
        assert_eq!("oci-archive:/x.tar".parse(), Ok(Output::OciArchive("/x.tar".into())));
        for (wrong, says) in [
            ("oci:out:1.2.3", "give oci:out, the image's name and tag come from the plan"),
            ("oci-archive:a.tar:app:1", "give oci-archive:a.tar, the image's"),
            ("oci::x", "a path has no ':', the image's"),
        ] {
            let error = wrong.parse::<Output>().unwrap_err();
            assert!(error.starts_with(says), "{wrong}: {error}");
        }
        for wrong in ["oci:", "docker-archive:x", "x.tar", ""] {
            assert!(wrong.parse::<Output>().is_err(), "{wrong}");
        }
    }
}
