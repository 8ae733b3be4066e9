//! Where an image to verify is, as it is typed: the transports of containers-transports(5).

use std::fmt;
use std::str::FromStr;

use camino::Utf8PathBuf;

/// `REF`, `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]` or `docker-archive:FILE[:NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageLocation {
    Registry(String),
    Oci(Utf8PathBuf, Option<String>),
    OciArchive(Utf8PathBuf, Option<String>),
    DockerArchive(Utf8PathBuf, Option<String>),
}

impl FromStr for ImageLocation {
    type Err = String;

    fn from_str(text: &str) -> Result<ImageLocation, String> {
        let place = |rest: &str| match rest.split_once(':') {
            Some((path, name)) => (Utf8PathBuf::from(path), Some(name.to_owned())),
            None => (Utf8PathBuf::from(rest), None),
        };
        let (transport, rest) = text.split_once(':').unwrap_or(("", text));
        let (path, name) = place(rest);
        let location = match transport {
            "oci" => ImageLocation::Oci(path, name),
            "oci-archive" => ImageLocation::OciArchive(path, name),
            "docker-archive" => ImageLocation::DockerArchive(path, name),
            "docker" if rest.starts_with("//") => ImageLocation::Registry(rest[2..].to_owned()),
            "docker-daemon" | "containers-storage" | "dir" | "ostree" => {
                return Err(format!(
                    "'{transport}:' is not read here: save it first, as in `docker save IMAGE -o image.tar`, and give docker-archive:image.tar"
                ));
            }
            _ if text.starts_with(['.', '/', '~']) => {
                return Err(format!(
                    "'{text}' is a path: oci:{text} for a layout's folder, oci-archive:{text} or docker-archive:{text} for a file"
                ));
            }
            _ => ImageLocation::Registry(text.to_owned()),
        };
        match &location {
            ImageLocation::Registry(reference) if reference.is_empty() => {
                Err("wanted a reference, oci:DIR, oci-archive:FILE or docker-archive:FILE".to_owned())
            }
            ImageLocation::Oci(path, _)
            | ImageLocation::OciArchive(path, _)
            | ImageLocation::DockerArchive(path, _)
                if path.as_str().is_empty() =>
            {
                Err("the path is missing".to_owned())
            }
            _ => Ok(location),
        }
    }
}

impl fmt::Display for ImageLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, name) = match self {
            ImageLocation::Registry(reference) => return f.write_str(reference),
            ImageLocation::Oci(path, name) => ("oci", path, name),
            ImageLocation::OciArchive(path, name) => ("oci-archive", path, name),
            ImageLocation::DockerArchive(path, name) => ("docker-archive", path, name),
        };
        write!(f, "{transport}:{path}")?;
        name.as_ref().map_or(Ok(()), |name| write!(f, ":{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports() {
        for text in [
            "ghcr.io/you/app:1",
            "oci:a/b",
            "oci:a/b:app:1.0",
            "oci-archive:x.tar",
            "docker-archive:x.tar:app:1",
            "localhost:5000/app",
        ] {
            assert_eq!(text.parse::<ImageLocation>().unwrap().to_string(), text);
        }
        assert_eq!("docker://app:1".parse(), Ok(ImageLocation::Registry("app:1".to_owned())));
        for wrong in ["", "oci:", "docker-daemon:app:1", "./layout", "/srv/image.tar"] {
            assert!(wrong.parse::<ImageLocation>().is_err(), "{wrong}");
        }
    }
}
