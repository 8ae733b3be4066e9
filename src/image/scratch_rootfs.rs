//! Writes the files that every image based on `scratch` contains in addition to its binaries: users, groups, CA
//! certificates, and directories.

use anyhow::Result;
use camino::Utf8Path;

use crate::fs::{set_mode, write_with_mode};

/// Paths of the CA certificate bundle on common Linux distributions, as in Go's crypto/x509.
const CA_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Writes the files that programs expect in a root file system to `dir`. All bases except `scratch` already contain
/// them.
pub(crate) fn write_scratch_rootfs(dir: &Utf8Path) -> Result<()> {
    let passwd = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
    let group = "root:x:0:\nnonroot:x:65532:\n";
    write_with_mode(&dir.join("etc/passwd"), passwd.as_bytes(), 0o644)?;
    write_with_mode(&dir.join("etc/group"), group.as_bytes(), 0o644)?;
    if let Some(bundle) = CA_BUNDLES.iter().map(Utf8Path::new).find(|path| path.is_file()) {
        write_with_mode(&dir.join("etc/ssl/certs/ca-certificates.crt"), &fs_err::read(bundle)?, 0o644)?;
    }
    for (name, mode) in [("usr/local/bin", 0o755), ("tmp", 0o1777)] {
        fs_err::create_dir_all(dir.join(name))?;
        set_mode(&dir.join(name), mode)?;
    }
    Ok(())
}
