//! Finds the CA certificates that this machine trusts, and those that its administrator added.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use camino::{Utf8Path, Utf8PathBuf};
use rustls_native_certs::load_native_certs;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::process::Cmd;

/// Directories for certificates that a machine's administrator adds to those of the distribution: Debian and Alpine,
/// Fedora, SUSE, Arch Linux.
const ADDED_CERTIFICATES: [&str; 4] = [
    "/usr/local/share/ca-certificates",
    "/etc/pki/ca-trust/source/anchors",
    "/etc/pki/trust/anchors",
    "/etc/ca-certificates/trust-source/anchors",
];

/// The distribution's certificates, as in Go's crypto/x509.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The keychain of macOS for certificates that an administrator adds. Apple's own are in another one.
const MACOS_KEYCHAIN: &str = "/Library/Keychains/System.keychain";

/// A certificate file or keychain, and the certificates in it.
pub(crate) type CertificateFile = (Utf8PathBuf, Vec<CertificateDer<'static>>);

/// The certificates of this machine.
#[derive(Default)]
pub(crate) struct HostCertificates {
    /// Certificates that programs on this machine trust, sorted.
    pub trusted: Vec<CertificateDer<'static>>,
    /// Certificates that could not be read.
    pub errors: Vec<String>,
    /// The file in `SSL_CERT_FILE`.
    pub custom_store: Option<CertificateFile>,
    /// The certificates of the distribution. Includes those that the administrator added to them.
    pub system: Vec<CertificateDer<'static>>,
    /// Files that the machine's administrator added, sorted by path.
    pub added: Vec<CertificateFile>,
}

/// Returns this machine's certificates. Reads them only once.
pub(crate) fn host_certificates() -> &'static HostCertificates {
    static HOST: LazyLock<HostCertificates> = LazyLock::new(probe);
    &HOST
}

fn probe() -> HostCertificates {
    let loaded = load_native_certs();
    let mut trusted = loaded.certs;
    // Their order must not depend on the order of directory entries.
    trusted.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
    let system = SYSTEM_BUNDLES.iter().map(Utf8Path::new).find_map(|path| read_pem(path).ok());
    let custom_store = std::env::var("SSL_CERT_FILE").ok().map(Utf8PathBuf::from);
    let mut added = added_files(&ADDED_CERTIFICATES.map(Utf8Path::new));
    added.extend(macos_keychain());
    HostCertificates {
        trusted,
        errors: loaded.errors.iter().map(ToString::to_string).collect(),
        custom_store: custom_store.and_then(|path| Some((path.clone(), read_pem(&path).ok()?))),
        system: system.unwrap_or_default(),
        added,
    }
}

/// Reads the certificates in a PEM file.
pub(crate) fn read_pem(file: &Utf8Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())?;
    certificates.map(|certificate| certificate.map_err(|error| error.to_string())).collect()
}

/// Reports whether a file's content looks like a certificate in DER encoding: an ASN.1 sequence that contains another
/// one (RFC 5280, section 4.1).
pub(crate) fn is_der(content: &[u8]) -> bool {
    let inner = match content {
        [0x30, 0x82, _, _, rest @ ..] | [0x30, 0x81, _, rest @ ..] => rest.first(),
        _ => None,
    };
    inner == Some(&0x30)
}

/// Returns the certificate files in directories and their subdirectories.
fn added_files(dirs: &[&Utf8Path]) -> Vec<CertificateFile> {
    let mut files = Vec::new();
    for dir in dirs {
        let mut paths = Vec::new();
        collect_files(dir, &mut paths);
        files.extend(paths.into_iter().map(|path| (path.clone(), read_pem_or_der(&path))));
    }
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    files
}

fn collect_files(dir: &Utf8Path, files: &mut Vec<Utf8PathBuf>) {
    for entry in dir.read_dir_utf8().into_iter().flatten().flatten() {
        // A link to a directory may form a cycle.
        if entry.file_type().is_ok_and(|file_type| file_type.is_dir()) {
            collect_files(entry.path(), files);
        } else if entry.path().is_file() {
            files.push(entry.into_path());
        }
    }
}

fn read_pem_or_der(file: &Utf8Path) -> Vec<CertificateDer<'static>> {
    match fs_err::read(file) {
        Ok(content) if is_der(&content) => vec![CertificateDer::from(content)],
        Ok(_) => read_pem(file).unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

fn macos_keychain() -> Option<CertificateFile> {
    if !cfg!(target_os = "macos") {
        return None;
    }
    let listed = Cmd::new("security").args(["find-certificate", "-a", "-p", MACOS_KEYCHAIN]).read().ok()?;
    let certificates = CertificateDer::pem_slice_iter(listed.as_bytes()).flatten().collect();
    Some((MACOS_KEYCHAIN.into(), certificates))
}

impl HostCertificates {
    /// Returns the files with certificates that this machine trusts and `bundled` does not contain, without those of
    /// its distribution.
    pub(crate) fn left_out(&self, bundled: &[CertificateDer<'_>]) -> Vec<&Utf8Path> {
        let bundled: BTreeSet<&[u8]> = bundled.iter().map(AsRef::as_ref).collect();
        let trusted: BTreeSet<&[u8]> = self.trusted.iter().map(AsRef::as_ref).collect();
        let system: BTreeSet<&[u8]> = self.system.iter().map(AsRef::as_ref).collect();
        let mut files = Vec::new();
        // Nix and conda point SSL_CERT_FILE to other versions of Mozilla's certificates.
        if let Some((path, certificates)) = &self.custom_store
            && certificates.iter().any(|der| !bundled.contains(der.as_ref()) && !system.contains(der.as_ref()))
        {
            files.push(path.as_path());
        }
        // An added file has no effect until the store is updated, for example with `update-ca-certificates`.
        let is_left_out = |der: &CertificateDer<'_>| !bundled.contains(der.as_ref()) && trusted.contains(der.as_ref());
        for (path, certificates) in &self.added {
            if certificates.iter().any(is_left_out) {
                files.push(path);
            }
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

    use super::*;

    fn der(index: usize) -> CertificateDer<'static> {
        TLS_SERVER_ROOT_CERTS[index].clone()
    }

    #[test]
    fn finds_added_files_in_subdirectories_and_in_der_encoding() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::create_dir_all(dir.join("company")).unwrap();
        fs_err::write(dir.join("company/root.crt"), der(0)).unwrap();
        fs_err::write(dir.join("README"), "no certificate").unwrap();
        let added = added_files(&[dir, Utf8Path::new("/none")]);
        assert_eq!(added, [(dir.join("README"), vec![]), (dir.join("company/root.crt"), vec![der(0)])]);
    }

    #[test]
    fn leaves_out_only_trusted_certificates_that_are_not_the_distributions() {
        let file = |path: &str, index: usize| (Utf8PathBuf::from(path), vec![der(index)]);
        // The bundle contains 0, the distribution 0, 1 and 4. The administrator added 1, but also 3, which has no effect.
        let host = HostCertificates {
            trusted: vec![der(0), der(1), der(4)],
            system: vec![der(0), der(1), der(4)],
            added: vec![file("/added/0", 0), file("/added/1", 1), file("/added/3", 3)],
            ..HostCertificates::default()
        };
        assert_eq!(host.left_out(&[der(0)]), ["/added/1"]);
        let with_store =
            |index: usize| HostCertificates { custom_store: Some(file("/store", index)), ..Default::default() };
        let host = |index: usize| HostCertificates { system: vec![der(4)], ..with_store(index) };
        assert_eq!(host(4).left_out(&[der(0)]), Vec::<&Utf8Path>::new());
        assert_eq!(host(2).left_out(&[der(0)]), ["/store"]);
    }
}
