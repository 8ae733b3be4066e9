//! Parses image locations in the syntax of containers-transports(5).

use std::fmt;
use std::str::FromStr;

use camino::Utf8PathBuf;

/// The parts of `TRANSPORT:PATH[:NAME]`, before any validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TransportPath<'a> {
    pub transport: &'a str,
    pub path: &'a str,
    pub name: Option<&'a str>,
}

impl<'a> TransportPath<'a> {
    /// Splits a location at its first two colons. Returns `None` if it has no colon. The text may also be an image
    /// reference with a port or a tag, so callers must check the transport.
    pub(crate) fn split(text: &'a str) -> Option<TransportPath<'a>> {
        let (transport, rest) = text.split_once(':')?;
        let (path, name) = match rest.split_once(':') {
            Some((path, name)) => (path, Some(name)),
            None => (rest, None),
        };
        Some(TransportPath { transport, path, name })
    }
}

/// An image to verify: `REF`, `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]`, or `docker-archive:FILE[:NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ImageLocation {
    Registry(String),
    Oci(Utf8PathBuf, Option<String>),
    OciArchive(Utf8PathBuf, Option<String>),
    DockerArchive(Utf8PathBuf, Option<String>),
}

const EXPECTED: &str = "expected an image reference, oci:DIR, oci-archive:FILE or docker-archive:FILE";

impl FromStr for ImageLocation {
    type Err = String;

    fn from_str(text: &str) -> Result<ImageLocation, String> {
        match text.strip_prefix("docker://") {
            Some("") => return Err(EXPECTED.to_owned()),
            Some(reference) => return Ok(ImageLocation::Registry(reference.to_owned())),
            None => {}
        }
        let Some(TransportPath { transport, path, name }) = TransportPath::split(text) else {
            return registry_location(text);
        };
        let (location_path, name) = (Utf8PathBuf::from(path), name.map(str::to_owned));
        let location = match transport {
            "oci" => ImageLocation::Oci(location_path, name),
            "oci-archive" => ImageLocation::OciArchive(location_path, name),
            "docker-archive" => ImageLocation::DockerArchive(location_path, name),
            "docker-daemon" | "containers-storage" | "dir" | "ostree" => {
                return Err(format!(
                    "'{transport}:' is not supported: run `docker save IMAGE -o image.tar` and use docker-archive:image.tar"
                ));
            }
            _ => return registry_location(text),
        };
        if path.is_empty() { Err("the path is missing".to_owned()) } else { Ok(location) }
    }
}

fn registry_location(reference: &str) -> Result<ImageLocation, String> {
    if reference.is_empty() {
        return Err(EXPECTED.to_owned());
    }
    if reference.starts_with(['.', '/', '~']) {
        return Err(format!(
            "'{reference}' is a path: use oci:{reference} for a layout directory, or oci-archive:{reference} or docker-archive:{reference} for an archive"
        ));
    }
    Ok(ImageLocation::Registry(reference.to_owned()))
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
        match name {
            Some(name) => write!(f, ":{name}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_formats_image_locations() {
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
