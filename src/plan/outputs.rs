//! Where an image goes, beside its folder and the registry, in the names of skopeo's transports
//! (containers-transports(5)).

use std::str::FromStr;

use camino::Utf8PathBuf;
use serde::Serialize;

/// An OCI image layout as a folder, or as a tar archive of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    Oci(Utf8PathBuf),
    OciArchive(Utf8PathBuf),
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((_, "")) => Err("the path is missing".to_owned()),
            Some(("oci", path)) => Ok(Output::Oci(path.into())),
            Some(("oci-archive", path)) => Ok(Output::OciArchive(path.into())),
            _ => Err("wanted oci:DIR or oci-archive:FILE (or --load, for the local Docker or Podman)".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports() {
        assert_eq!("oci:a:b".parse(), Ok(Output::Oci("a:b".into())));
        assert_eq!("oci-archive:/x.tar".parse(), Ok(Output::OciArchive("/x.tar".into())));
        for wrong in ["oci:", "docker-archive:x", "x.tar", ""] {
            assert!(wrong.parse::<Output>().is_err(), "{wrong}");
        }
    }
}
