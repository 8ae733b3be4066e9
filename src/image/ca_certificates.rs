//! Collects the CA certificates that are installed in an image, and finds those that only this machine trusts.

use std::collections::BTreeSet;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camino::{Utf8Path, Utf8PathBuf};
use rustls_native_certs::load_native_certs;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::config::ca_certificates::CaSource;
use crate::error::{Class, Failure};
use crate::plan::Image;

/// The crate and the version that the bundled certificates come from.
pub(crate) const BUNDLED_VERSION: &str = "webpki-root-certs 1.0.11";

/// Directories for certificates that a machine's administrator adds to those of the distribution: Debian and Alpine,
/// Fedora, SUSE, Arch Linux.
const ADDED_CERTIFICATES: [&str; 4] = [
    "/usr/local/share/ca-certificates",
    "/etc/pki/ca-trust/source/anchors",
    "/etc/pki/trust/anchors",
    "/etc/ca-certificates/trust-source/anchors",
];

/// Paths of the distribution's certificates, as in Go's crypto/x509.
const SYSTEM_STORES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
];

/// A certificate in DER encoding.
type Certificate = Vec<u8>;

/// Returns the sources of an image's CA certificates. They are the same for all platforms that have any.
fn sources(image: &Image) -> &[CaSource] {
    let lists = image.platforms.iter().map(|platform| platform.ca_certificates.as_slice());
    lists.into_iter().find(|sources| !sources.is_empty()).unwrap_or_default()
}

/// Returns the CA certificates of an image as the text of a PEM file, or `None` if the image gets none. `root` is the
/// workspace root.
pub(crate) fn bundle(image: &Image, root: &Utf8Path) -> Result<Option<String>, Failure> {
    let mut certificates = Vec::new();
    for source in sources(image) {
        certificates.extend(match source {
            CaSource::Bundled => TLS_SERVER_ROOT_CERTS.iter().map(|certificate| certificate.to_vec()).collect(),
            CaSource::Host => host_certificates(&image.name)?,
            CaSource::File(path) => file_certificates(&image.name, path, root)?,
        });
    }
    let mut seen = BTreeSet::new();
    certificates.retain(|certificate| seen.insert(certificate.clone()));
    Ok((!certificates.is_empty()).then(|| certificates.iter().map(|certificate| pem(certificate)).collect()))
}

fn host_certificates(image: &str) -> Result<Vec<Certificate>, Failure> {
    let mut certificates: Vec<Certificate> = load_native_certs().certs.iter().map(|der| der.to_vec()).collect();
    if certificates.is_empty() {
        let message = format!("image '{image}': ca-certificates: this machine has no CA certificates");
        return Err(Failure::new(Class::Config, message)
            .hint("install them: `apt-get install ca-certificates`")
            .hint("or use Mozilla's: ca-certificates = [\"bundled\"]"));
    }
    // Their order must not depend on the order of directory entries.
    certificates.sort_unstable();
    Ok(certificates)
}

fn file_certificates(image: &str, path: &str, root: &Utf8Path) -> Result<Vec<Certificate>, Failure> {
    let failure =
        |problem: &str| Failure::new(Class::Config, format!("image '{image}': ca-certificates: '{path}' {problem}"));
    let file = root.join(path);
    if !file.is_file() {
        return Err(failure("is not a file")
            .hint("list \"bundled\", \"host\" or PEM files: paths are relative to the workspace root"));
    }
    match read_certificates(&file) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(failure("contains no certificate").hint(format!(
            "convert a DER file: `openssl x509 -inform der -in {path} -out {}`",
            Utf8Path::new(path).with_extension("pem")
        ))),
        Err(problem) => Err(failure(&format!("is not a valid PEM file: {problem}"))
            .hint(format!("inspect it: `openssl x509 -noout -text -in {path}`"))),
    }
}

fn read_certificates(file: &Utf8Path) -> Result<Vec<Certificate>, String> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())?;
    certificates.map(|certificate| Ok(certificate.map_err(|error| error.to_string())?.to_vec())).collect()
}

/// Formats a certificate as PEM (RFC 7468, section 5).
fn pem(certificate: &Certificate) -> String {
    let encoded = STANDARD.encode(certificate);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in encoded.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

/// Returns a note if this machine's administrator added CA certificates that images leave out because
/// `ca-certificates` is not set.
pub(crate) fn left_out_note(images: &[Image]) -> Option<String> {
    let uses_default = |image: &&Image| image.platforms.iter().any(|platform| platform.has_default_ca_certificates);
    let names: Vec<&str> = images.iter().filter(uses_default).map(|image| image.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let files = files_left_out();
    let first = files.first()?;
    let listed = files.iter().map(|file| file.as_str()).collect::<Vec<_>>().join(", ");
    Some(format!(
        "{}: leaving out CA certificates that this machine trusts: {listed} (to add one, copy it into the workspace \
         and set ca-certificates = [\"bundled\", \"{}\"]; to hide this note, set ca-certificates = [\"bundled\"])",
        names.join(", "),
        first.file_name().unwrap_or_default()
    ))
}

/// Returns the files with certificates that this machine trusts and Mozilla does not, without those that its
/// distribution installed.
fn files_left_out() -> Vec<Utf8PathBuf> {
    let custom_store = std::env::var("SSL_CERT_FILE").ok().filter(|file| !SYSTEM_STORES.contains(&file.as_str()));
    let bundled: BTreeSet<&[u8]> = TLS_SERVER_ROOT_CERTS.iter().map(AsRef::as_ref).collect();
    let is_left_out = |certificate: &Certificate| !bundled.contains(certificate.as_slice());
    let contains = |file: &Utf8Path, matches: &dyn Fn(&Certificate) -> bool| {
        read_certificates(file).is_ok_and(|certificates| certificates.iter().any(matches))
    };
    if let Some(store) = custom_store.map(Utf8PathBuf::from) {
        return if contains(&store, &is_left_out) { vec![store] } else { Vec::new() };
    }
    let mut files = added_files();
    files.retain(|file| contains(file, &is_left_out));
    if !files.is_empty() {
        // An added file has no effect until the store is updated, for example with `update-ca-certificates`.
        let host: BTreeSet<Certificate> = load_native_certs().certs.iter().map(|der| der.to_vec()).collect();
        files.retain(|file| contains(file, &|certificate| is_left_out(certificate) && host.contains(certificate)));
    }
    files
}

/// Returns the certificate files that the machine's administrator added, in order.
fn added_files() -> Vec<Utf8PathBuf> {
    let mut files = Vec::new();
    for dir in ADDED_CERTIFICATES {
        let entries = Utf8Path::new(dir).read_dir_utf8().into_iter().flatten().flatten();
        files.extend(entries.map(camino::Utf8DirEntry::into_path).filter(|path| path.is_file()));
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_text_reads_back_as_the_same_certificates() {
        let text: String = TLS_SERVER_ROOT_CERTS.iter().map(|der| pem(&der.to_vec())).collect();
        let read: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).map(Result::unwrap).collect();
        assert_eq!(read, TLS_SERVER_ROOT_CERTS);
        assert!(text.lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn version_is_that_of_the_linked_crate() {
        let lock: toml::Table = toml::from_str(include_str!("../../Cargo.lock")).unwrap();
        let packages = lock["package"].as_array().unwrap().iter();
        let mut packages = packages.filter(|package| package["name"].as_str() == Some("webpki-root-certs"));
        let version = packages.next().unwrap()["version"].as_str().unwrap();
        assert_eq!(BUNDLED_VERSION, format!("webpki-root-certs {version}"));
    }
}
