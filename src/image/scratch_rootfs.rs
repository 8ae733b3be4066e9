//! The files of images from `scratch` beside their binaries: users, CA certificates, and directories.

use anyhow::Result;
use camino::Utf8Path;

use crate::fs::{set_mode, write_with_mode};

/// Where the host keeps its CA certificates, as Go's crypto/x509 looks for them.
const CA_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Writes what programs expect of a root file system, for images from `scratch`.
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
