//! Lists system libraries with the Debian packages that contain them and the crate features that build them from
//! source.

use crate::host::packages;

/// A C library that crates link against.
#[derive(Debug)]
pub(crate) struct PackagedLibrary {
    /// Names that identify the library: its `-l` and pkg-config names, its headers, and its header directories, which
    /// end with a slash.
    names: &'static [&'static str],
    pub package: &'static str,
    /// The Cargo.toml line that makes a crate build the library from source.
    pub vendored: Option<&'static str>,
}

impl PackagedLibrary {
    /// Returns the `-l` and pkg-config names of the library.
    pub(crate) fn library_names(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().copied().filter(|name| !name.ends_with('/') && !name.ends_with(".h"))
    }

    /// Returns hints for getting the library for a target: building it from source, installing the Debian package, or
    /// using glibc instead of musl.
    pub(crate) fn hints(&self, is_musl: bool, is_host: bool) -> Vec<String> {
        let package = self.package;
        let vendored = self
            .vendored
            .map(|line| format!("build the library from source: add `{line}` to the dependencies in Cargo.toml"));
        let or = if vendored.is_some() { "or " } else { "" };
        let packaged = if is_host {
            format!("{or}{}", packages::library_hint(package))
        } else if is_musl {
            format!(
                "{or}use glibc, because Debian has no packages for musl: set libc = \"gnu\" and \
                 sysroot-packages = [\"{package}\"], and use a base image with glibc"
            )
        } else {
            format!("{or}add the Debian package for the target: sysroot-packages = [\"{package}\"]")
        };
        vendored.into_iter().chain([packaged]).collect()
    }
}

#[rustfmt::skip]
pub(crate) const LIBRARIES: &[PackagedLibrary] = &[
    library(&["ssl", "crypto", "openssl", "libssl", "libcrypto", "openssl/"], "libssl-dev", Some("openssl = { version = \"0.10\", features = [\"vendored\"] }")),
    library(&["z", "zlib", "zlib.h"], "zlib1g-dev", Some("libz-sys = { version = \"1\", features = [\"static\"] }")),
    library(&["sqlite3", "sqlite3.h"], "libsqlite3-dev", Some("libsqlite3-sys = { version = \"…\", features = [\"bundled\"] }")),
    library(&["pq", "libpq", "libpq-fe.h"], "libpq-dev", Some("pq-sys = { version = \"…\", features = [\"bundled\"] }")),
    library(&["mysqlclient", "mariadb", "libmariadb", "mysql.h"], "libmariadb-dev", Some("mysqlclient-sys = { version = \"…\", features = [\"bundled\"] }")),
    library(&["bz2", "bzlib.h"], "libbz2-dev", None),
    library(&["lzma", "liblzma", "lzma.h"], "liblzma-dev", Some("lzma-sys = { version = \"0.1\", features = [\"static\"] }")),
    library(&["zstd", "libzstd", "zstd.h"], "libzstd-dev", None),
    library(&["curl", "libcurl", "curl/"], "libcurl4-openssl-dev", Some("curl = { version = \"0.4\", features = [\"static-curl\", \"static-ssl\"] }")),
    library(&["git2", "libgit2", "git2.h"], "libgit2-dev", Some("git2 = { version = \"…\", features = [\"vendored-libgit2\"] }")),
    library(&["ssh2", "libssh2", "libssh2.h"], "libssh2-1-dev", None),
    library(&["dbus-1", "dbus", "dbus/"], "libdbus-1-dev", Some("dbus = { version = \"0.9\", features = [\"vendored\"] }")),
    library(&["asound", "alsa", "alsa/"], "libasound2-dev", None),
    library(&["udev", "libudev", "libudev.h"], "libudev-dev", None),
    library(&["usb-1.0", "libusb-1.0", "libusb"], "libusb-1.0-0-dev", Some("rusb = { version = \"0.9\", features = [\"vendored\"] }")),
    library(&["sodium", "libsodium", "sodium.h"], "libsodium-dev", None),
    library(&["rdkafka", "librdkafka/"], "librdkafka-dev", Some("rdkafka = { version = \"…\", features = [\"cmake-build\"] }")),
    library(&["sasl2", "libsasl2", "sasl/"], "libsasl2-dev", None),
    library(&["gssapi_krb5", "krb5", "krb5-gssapi", "gssapi/"], "libkrb5-dev", None),
    library(&["ldap", "ldap.h"], "libldap-dev", None),
    library(&["pcap", "libpcap", "pcap.h", "pcap/"], "libpcap-dev", None),
    library(&["xml2", "libxml-2.0", "libxml/"], "libxml2-dev", None),
    library(&["uring", "liburing", "liburing.h"], "liburing-dev", None),
    library(&["fontconfig", "fontconfig/"], "libfontconfig-dev", None),
    library(&["zmq", "libzmq", "zmq.h"], "libzmq3-dev", None),
];

pub(crate) const fn library(
    names: &'static [&'static str],
    package: &'static str,
    vendored: Option<&'static str>,
) -> PackagedLibrary {
    PackagedLibrary { names, package, vendored }
}

/// Finds a library by the name that the linker or pkg-config uses.
pub(crate) fn for_library(name: &str) -> Option<&'static PackagedLibrary> {
    LIBRARIES.iter().find(|library| library.names.contains(&name))
}

/// Finds the library that provides a header.
pub(crate) fn for_header(header: &str) -> Option<&'static PackagedLibrary> {
    let matches = |name: &&str| *name == header || (name.ends_with('/') && header.starts_with(*name));
    LIBRARIES.iter().find(|library| library.names.iter().any(matches))
}
