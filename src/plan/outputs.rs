//! Parses additional image outputs, which use skopeo's transport syntax (containers-transports(5)).

use std::str::FromStr;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::oci::transport::TransportPath;

/// An OCI image layout to write, as a directory or a tar archive.
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
        let message =
            "expected oci:DIR or oci-archive:FILE (to load the image into the local Docker or Podman, use --load)";
        let Some(TransportPath { transport, path, name }) = TransportPath::split(text) else {
            return Err(message.to_owned());
        };
        match (transport, name) {
            (_, None) if path.is_empty() => Err("missing path".to_owned()),
            ("oci", None) => Ok(Output::Oci(path.into())),
            ("oci-archive", None) => Ok(Output::OciArchive(path.into())),
            // Reject skopeo's `oci:DIR:TAG`, which would otherwise create a directory named `DIR:TAG`.
            ("oci" | "oci-archive", Some(_)) => {
                let fix = if path.is_empty() {
                    "paths cannot contain ':'".to_owned()
                } else {
                    format!("use {transport}:{path} without a tag")
                };
                Err(format!("{fix} (set image tags with `--tag NAME`)"))
            }
            _ => Err(message.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_transports() {
        assert_eq!("oci:a/b".parse(), Ok(Output::Oci("a/b".into())));
        assert_eq!("oci-archive:/x.tar".parse(), Ok(Output::OciArchive("/x.tar".into())));
        for (invalid, message) in [
            ("oci:out:1.2.3", "use oci:out without a tag (set image tags with"),
            ("oci-archive:a.tar:app:1", "use oci-archive:a.tar without a tag"),
            ("oci::x", "paths cannot contain ':'"),
        ] {
            let error = invalid.parse::<Output>().unwrap_err();
            assert!(error.starts_with(message), "{invalid}: {error}");
        }
        for invalid in ["oci:", "docker-archive:x", "x.tar", ""] {
            assert!(invalid.parse::<Output>().is_err(), "{invalid}");
        }
    }
}
