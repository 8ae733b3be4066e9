//! Decides which hosts may be accessed over plain HTTP.

use std::collections::BTreeSet;

use crate::oci::reference::is_loopback;

/// The hosts that are accessed over plain HTTP: loopback hosts, and those that the user listed.
#[derive(Debug, Default)]
pub(super) struct PlainHttpHosts(BTreeSet<String>);

impl PlainHttpHosts {
    pub(super) fn new(insecure: &[String]) -> PlainHttpHosts {
        PlainHttpHosts(insecure.iter().cloned().collect())
    }

    /// Reports whether plain HTTP is allowed for a host with an optional port.
    pub(super) fn contains(&self, host: &str) -> bool {
        is_loopback(host) || self.0.contains(host)
    }
}
