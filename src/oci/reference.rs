//! References: registries, repositories, tags and digests.

use anyhow::Result;
use oci_spec::distribution::Reference;
use oci_spec::image::Descriptor;

use crate::error::{Class, Failure};

/// Is the registry of a reference `localhost`, in `127.0.0.0/8` or `[::1]`? Docker speaks plain HTTP to those.
pub fn is_loopback(reference: &str) -> bool {
    let host = reference.split('/').next().unwrap_or(reference);
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `host/name`, without the tag and the digest of a reference.
pub fn repository_of(reference: &str) -> Result<String, Failure> {
    let target = parse_reference(reference)?;
    Ok(format!("{}/{}", target.registry(), target.repository()))
}

/// A blob, for people.
pub fn name_of(target: &Reference, blob: &Descriptor) -> String {
    let digest: String = blob.digest().digest().chars().take(12).collect();
    format!("{}/{} {digest}", target.registry(), target.repository())
}

pub fn parse_reference(reference: &str) -> Result<Reference, Failure> {
    reference.parse().map_err(|error| {
        Failure::new(Class::Config, format!("'{reference}' is not a reference: {error}"))
            .hint("it is HOST/NAME:TAG, in small letters: `ghcr.io/you/app:1.0`")
    })
}
