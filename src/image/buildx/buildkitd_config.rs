//! Configures BuildKit to access registries without TLS. This is necessary because builders pull images themselves and
//! do not use this tool's `insecure-registries` setting.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::dockerfile::instructions::{InstructionText, instructions};
use crate::oci::digest::hex;
use crate::oci::reference::is_loopback;

/// Hosts that a builder must access over plain HTTP, each mapped to an example image that is pulled from it.
pub(crate) type PlainHttpHosts = BTreeMap<String, String>;

/// Returns the hosts in `insecure` that Dockerfiles pull images from. Omits loopback hosts, which every builder
/// accesses over plain HTTP.
pub(crate) fn plain_http_hosts<'a>(
    dockerfiles: impl IntoIterator<Item = &'a str>,
    insecure: &[String],
) -> PlainHttpHosts {
    let mut hosts = PlainHttpHosts::new();
    for instruction in dockerfiles.into_iter().flat_map(instructions) {
        for reference in pulled_references(&instruction) {
            let host = reference.split_once('/').map_or("", |(host, _)| host);
            if insecure.iter().any(|other| other == host) && !is_loopback(host) {
                hosts.entry(host.to_owned()).or_insert_with(|| reference.to_owned());
            }
        }
    }
    hosts
}

/// Returns the images that an instruction pulls.
fn pulled_references<'a>(instruction: &'a InstructionText<'_>) -> impl Iterator<Item = &'a str> {
    let is_from = instruction.is("FROM");
    instruction.text.split_whitespace().filter_map(move |word| match word.split_once("from=") {
        Some((_, rest)) => rest.split(',').next(),
        None => Some(word).filter(|_| is_from),
    })
}

/// The Docker daemon's registry settings, as reported by `docker info`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct DaemonRegistries {
    index_configs: BTreeMap<String, IndexConfig>,
    #[serde(rename = "InsecureRegistryCIDRs")]
    insecure_cidrs: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct IndexConfig {
    secure: bool,
}

impl DaemonRegistries {
    /// Reports whether the daemon may use plain HTTP for a host. Returns true for any host name if an insecure network
    /// other than loopback is configured, since the daemon resolves the name and its address may be in that network.
    pub(crate) fn allow_plain_http(&self, host: &str) -> bool {
        if self.index_configs.get(host).is_some_and(|config| !config.secure) {
            return true;
        }
        let networks = self.insecure_cidrs.iter().flatten();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
        match name.parse::<IpAddr>() {
            Ok(address) => networks.into_iter().any(|network| network_contains(network, address)),
            Err(_) => networks.into_iter().any(|network| !network.starts_with("127.") && !network.starts_with("::1/")),
        }
    }
}

/// Reports whether a network such as `10.0.0.0/8` contains an address.
fn network_contains(network: &str, address: IpAddr) -> bool {
    let Some((start, bits)) = network.split_once('/') else { return false };
    let (Ok(start), Ok(bits)) = (start.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    let (start, address, width) = match (start, address) {
        (IpAddr::V4(start), IpAddr::V4(address)) => (u128::from(start.to_bits()), u128::from(address.to_bits()), 32),
        (IpAddr::V6(start), IpAddr::V6(address)) => (start.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    let host_bits = width - bits.min(width);
    start.checked_shr(host_bits).unwrap_or(0) == address.checked_shr(host_bits).unwrap_or(0)
}

/// Returns a `buildkitd.toml` that enables plain HTTP for the given hosts.
pub(crate) fn buildkitd_toml(hosts: &PlainHttpHosts) -> String {
    hosts.keys().map(|host| format!("[registry.\"{host}\"]\nhttp = true\n")).collect()
}

/// Reports whether the output of `docker buildx inspect` (0.17 or newer) shows that plain HTTP is enabled for a host.
pub(crate) fn has_plain_http(inspected: &str, host: &str) -> bool {
    let lines = inspected.lines().map(|line| line.trim_start_matches([' ', '>']).trim());
    let registry = [format!("[registry.\"{host}\"]"), format!("[registry.'{host}']")];
    let section = lines.skip_while(|line| !registry.iter().any(|other| other == line)).skip(1);
    let mut section = section.take_while(|line| !line.starts_with('['));
    section.any(|line| line.replace(' ', "") == "http=true")
}

/// Returns the name of the builder for a set of hosts. Each set has a different name, so that a builder is reused only
/// for the same hosts.
pub(crate) fn builder_name(hosts: &PlainHttpHosts) -> String {
    if hosts.is_empty() {
        return "multiarch".to_owned();
    }
    let names: BTreeSet<&str> = hosts.keys().map(String::as_str).collect();
    let digest = Sha256::digest(names.into_iter().collect::<Vec<_>>().join(","));
    format!("multiarch-{}", hex(&digest[..4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(hosts: &[&str]) -> PlainHttpHosts {
        hosts.iter().map(|host| ((*host).to_owned(), format!("{host}/base"))).collect()
    }

    #[test]
    fn finds_insecure_hosts_in_dockerfiles() {
        let insecure = ["r:5000", "10.0.0.1:5000", "127.0.0.1:5000", "unused"].map(str::to_owned);
        for (text, expected) in [
            ("FROM r:5000/a/b:1@sha256:0 AS x", &[("r:5000", "r:5000/a/b:1@sha256:0")][..]),
            ("from --platform=linux/amd64 r:5000/a", &[("r:5000", "r:5000/a")]),
            ("COPY --from=10.0.0.1:5000/a /x /y", &[("10.0.0.1:5000", "10.0.0.1:5000/a")]),
            ("RUN --mount=from=r:5000/a,target=/x true", &[("r:5000", "r:5000/a")]),
            ("# r:5000/a\nLABEL x=r:5000/a\nFROM 127.0.0.1:5000/a\nFROM scratch\nFROM r", &[]),
        ] {
            let expected: PlainHttpHosts = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            assert_eq!(plain_http_hosts([text], &insecure), expected, "{text}");
        }
    }

    #[test]
    fn reads_plain_http_settings_of_the_daemon() {
        let config = |networks: &[&str]| DaemonRegistries {
            index_configs: BTreeMap::from([
                ("docker.io".to_owned(), IndexConfig { secure: true }),
                ("r.example:5000".to_owned(), IndexConfig { secure: false }),
            ]),
            insecure_cidrs: Some(networks.iter().map(|network| (*network).to_owned()).collect()),
        };
        for (host, networks, allowed) in [
            ("r.example:5000", &["127.0.0.0/8"][..], true),
            ("r.example", &["127.0.0.0/8", "::1/128"], false),
            ("docker.io", &[], false),
            ("10.1.2.3:5000", &["10.0.0.0/8"], true),
            ("10.1.2.3:5000", &["10.0.0.0/16"], false),
            ("10.1.2.3", &["0.0.0.0/0"], true),
            ("[fd00::1]:5000", &["fd00::/8"], true),
            ("[fd00::1]:5000", &["10.0.0.0/8"], false),
            // The name may resolve to an address in the network.
            ("other.example", &["10.0.0.0/8"], true),
        ] {
            assert_eq!(config(networks).allow_plain_http(host), allowed, "{host} {networks:?}");
        }
    }

    #[test]
    fn writes_and_reads_buildkitd_toml() {
        let toml = buildkitd_toml(&plain(&["a:1", "b"]));
        assert_eq!(toml, "[registry.\"a:1\"]\nhttp = true\n[registry.\"b\"]\nhttp = true\n");
        let shown = "Name: x\nFile#buildkitd.toml:\n > [registry]\n >   [registry.\"a:1\"]\n >     http = true\n > \
                     [registry.\"b\"]\n >     insecure = true\n";
        for (host, configured) in [("a:1", true), ("b", false), ("c", false)] {
            assert_eq!(has_plain_http(shown, host), configured, "{host}");
        }
    }

    #[test]
    fn builder_names_depend_on_the_hosts() {
        assert_eq!(builder_name(&plain(&[])), "multiarch");
        assert_eq!(builder_name(&plain(&["a", "b"])), builder_name(&plain(&["b", "a"])));
        assert_ne!(builder_name(&plain(&["a"])), builder_name(&plain(&["b"])));
        assert!(builder_name(&plain(&["a"])).starts_with("multiarch-"));
    }
}
