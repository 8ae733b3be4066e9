//! Collects the CA certificates that are installed in an image, and notes those that only this machine trusts.

use std::collections::BTreeSet;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camino::Utf8Path;
use rustls_pki_types::CertificateDer;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use super::host_certificates::{HostCertificates, host_certificates, is_der, read_pem};
use super::workspace_file;
use crate::config::ca_certificates::CaSource;
use crate::error::{Class, Failure};
use crate::host::packages;
use crate::plan::Image;

/// The crate and the version that the bundled certificates come from.
pub(crate) const BUNDLED_VERSION: &str = "webpki-root-certs 1.0.11";

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
            CaSource::Bundled => TLS_SERVER_ROOT_CERTS.to_vec(),
            CaSource::Host => all_of_host(&image.name, host_certificates())?,
            CaSource::File(path) => file_certificates(&image.name, path, root)?,
        });
    }
    let mut seen = BTreeSet::new();
    certificates.retain(|certificate| seen.insert(certificate.to_vec()));
    Ok((!certificates.is_empty()).then(|| certificates.iter().map(pem).collect()))
}

fn all_of_host(image: &str, host: &HostCertificates) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let failure = |problem: &str| Failure::new(Class::Config, format!("image '{image}': ca-certificates: {problem}"));
    let alternative = "or use Mozilla's: ca-certificates = [\"bundled\"]";
    if let Some(error) = host.errors.first() {
        return Err(failure(&format!("cannot read all of this machine's CA certificates: {error}"))
            .hint("check the store, and the variables SSL_CERT_FILE and SSL_CERT_DIR")
            .hint(alternative));
    }
    if host.trusted.is_empty() {
        return Err(failure("this machine has no CA certificates")
            .hint(packages::CA_CERTIFICATES.install_hint())
            .hint(alternative));
    }
    Ok(host.trusted.clone())
}

fn file_certificates(image: &str, path: &str, root: &Utf8Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let label = format!("image '{image}': ca-certificates: '{path}'");
    let failure = |problem: &str| Failure::new(Class::Config, format!("{label} {problem}"));
    let file = workspace_file::resolve(root, path, &label)
        .map_err(|failure| failure.hint("other sources are \"bundled\" and \"host\""))?;
    if !file.is_file() {
        return Err(failure("is not a file").hint("name PEM files instead of a directory"));
    }
    match read_pem(&file) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) if fs_err::read(&file).is_ok_and(|content| is_der(&content)) => {
            let pem = Utf8Path::new(path).with_extension("pem");
            Err(failure("is a certificate in DER encoding, not a PEM file")
                .hint(format!("convert it: `openssl x509 -inform der -in {path} -out {pem}`")))
        }
        Ok(_) => Err(failure("contains no certificate")
            .hint("use a PEM file, which contains the line `-----BEGIN CERTIFICATE-----`")),
        Err(problem) => Err(failure(&format!("is not a valid PEM file: {problem}"))
            .hint(format!("inspect it: `openssl x509 -noout -text -in {path}`"))),
    }
}

/// Formats a certificate as PEM (RFC 7468, section 5).
fn pem(certificate: &CertificateDer<'_>) -> String {
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
    let files = host_certificates().left_out(TLS_SERVER_ROOT_CERTS);
    let pem = files.first()?.with_extension("pem");
    let listed = files.iter().map(|file| file.as_str()).collect::<Vec<_>>().join(", ");
    Some(format!(
        "{}: leaving out CA certificates that this machine trusts: {listed} (to add one, save it as a PEM file in the \
         workspace and set ca-certificates = [\"bundled\", \"{}\"]; to hide this note, set \
         ca-certificates = [\"bundled\"])",
        names.join(", "),
        pem.file_name().unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn pem_text_reads_back_as_the_same_certificates() {
        let text: String = TLS_SERVER_ROOT_CERTS.iter().map(pem).collect();
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
