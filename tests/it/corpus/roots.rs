//! Root file systems that resemble common base images, built from the Debian packages that `scripts/setup corpus`
//! unpacks.

use std::path::PathBuf;
use std::sync::Arc;

use super::layer::{Bytes, Entry, Layer, directory, file, link, program, text};

/// Returns this project's cache directory, which also contains everything that `scripts/setup` installs.
pub fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var("HOME").unwrap()).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("cargo-multiarch")
}

/// Reads a file from a Debian package, at `path` or at the same path under /usr.
pub fn debian(arch: &str, package: &str, path: &str) -> Bytes {
    let root = cache().join("debian").join(arch).join(package);
    let found = [root.join(path), root.join("usr").join(path)];
    match found.iter().find_map(|path| std::fs::read(path).ok()) {
        Some(content) => Arc::new(content),
        None => panic!("no {path} in {}: run `scripts/setup corpus`", root.display()),
    }
}

/// Returns Debian's name for a platform's architecture.
pub fn architecture(platform: &str) -> &'static str {
    match platform {
        "linux/amd64" | "linux/amd64/v3" => "amd64",
        "linux/386" => "i386",
        "linux/arm64" => "arm64",
        "linux/arm/v5" | "linux/arm/v6" => "armel",
        "linux/arm/v7" => "armhf",
        "linux/ppc64le" => "ppc64el",
        "linux/riscv64" => "riscv64",
        "linux/s390x" => "s390x",
        other => panic!("no Debian architecture for {other}"),
    }
}

/// Returns an architecture's GNU triple and the path of its dynamic loader.
pub fn triple_and_loader(arch: &str) -> (&'static str, &'static str) {
    match arch {
        "amd64" => ("x86_64-linux-gnu", "/lib64/ld-linux-x86-64.so.2"),
        "arm64" => ("aarch64-linux-gnu", "/lib/ld-linux-aarch64.so.1"),
        "armel" => ("arm-linux-gnueabi", "/lib/ld-linux.so.3"),
        "armhf" => ("arm-linux-gnueabihf", "/lib/ld-linux-armhf.so.3"),
        "i386" => ("i386-linux-gnu", "/lib/ld-linux.so.2"),
        "ppc64el" => ("powerpc64le-linux-gnu", "/lib64/ld64.so.2"),
        "riscv64" => ("riscv64-linux-gnu", "/lib/ld-linux-riscv64-lp64d.so.1"),
        "s390x" => ("s390x-linux-gnu", "/lib/ld64.so.1"),
        other => panic!("no glibc for {other}"),
    }
}

/// Reads glibc's dynamic loader.
pub fn loader(arch: &str) -> Bytes {
    let (triple, path) = triple_and_loader(arch);
    let name = path.rsplit('/').next().unwrap();
    // In some packages, the loader's path is an absolute link to the actual file in the triple's directory.
    let root = cache().join("debian").join(arch).join("libc6");
    let file = [format!("lib/{triple}/{name}"), format!("usr/lib/{triple}/{name}"), format!("usr/{path}")];
    let file = file.iter().find_map(|path| std::fs::read(root.join(path)).ok());
    file.map_or_else(|| debian(arch, "libc6", path.trim_start_matches('/')), Arc::new)
}

pub fn libc(arch: &str) -> Bytes {
    debian(arch, "libc6", &format!("lib/{}/libc.so.6", triple_and_loader(arch).0))
}

pub fn busybox_program(arch: &str) -> Bytes {
    debian(arch, "busybox-static", "bin/busybox")
}

pub fn libgcc(arch: &str) -> Bytes {
    debian(arch, "libgcc-s1", &format!("lib/{}/libgcc_s.so.1", triple_and_loader(arch).0))
}

pub fn libstdcxx(arch: &str) -> Bytes {
    debian(arch, "libstdc++6", &format!("lib/{}/libstdc++.so.6", triple_and_loader(arch).0))
}

fn identity(name: &str) -> Vec<Entry> {
    vec![
        directory("etc"),
        text("etc/os-release", name),
        text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n"),
        text("etc/group", "root:x:0:\napp:x:1000:\nstaff:x:50:app\n"),
        directory("tmp").mode(0o1777),
    ]
}

const DEBIAN: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nID=debian\n\
    VERSION_ID=\"12\"\n";
const ALPINE: &str = "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.20.0\nPRETTY_NAME=\"Alpine Linux v3.20\"\n";

/// Returns a layer that resembles a distroless image: glibc without a shell, and a merged /usr.
pub fn distroless(arch: &str) -> Layer {
    let (triple, path) = triple_and_loader(arch);
    let libraries = format!("usr/lib/{triple}");
    let name = path.rsplit('/').next().unwrap();
    let mut entries = identity(DEBIAN);
    for path in ["usr", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", &libraries] {
        entries.push(directory(path));
    }
    for path in ["bin", "sbin", "lib", "lib64"] {
        entries.push(link(path, &format!("usr/{path}")));
    }
    entries.push(program(&format!("{libraries}/{name}"), &loader(arch)));
    // As in Debian, the target is absolute and goes through the link /lib.
    entries.push(link(&format!("usr{path}"), &format!("/lib/{triple}/{name}")));
    entries.push(file(&format!("{libraries}/libc.so.6"), &libc(arch)));
    entries.into()
}

/// Returns a layer that resembles Debian's slim image: glibc and a shell.
pub fn slim(arch: &str) -> Layer {
    let shell = debian(arch, "dash", "bin/dash");
    distroless(arch).with([program("usr/bin/dash", &shell), link("usr/bin/sh", "dash")])
}

/// Returns GNU env, which supports `-S`, and bash.
pub fn coreutils(arch: &str) -> Vec<Entry> {
    let triple = triple_and_loader(arch).0;
    let libtinfo = debian(arch, "libtinfo6", &format!("lib/{triple}/libtinfo.so.6"));
    vec![
        program("usr/bin/env", &debian(arch, "coreutils", "bin/env")),
        program("usr/bin/bash", &debian(arch, "bash", "bin/bash")),
        file(&format!("usr/lib/{triple}/libtinfo.so.6"), &libtinfo),
    ]
}

/// Returns a layer that resembles Alpine: musl and busybox, without a merged /usr.
pub fn alpine(arch: &str) -> Layer {
    let cpu = if arch == "amd64" { "x86_64" } else { "aarch64" };
    let loader = format!("lib/ld-musl-{cpu}.so.1");
    let musl = debian(arch, "musl", &format!("lib/{cpu}-linux-musl/libc.so"));
    let mut entries = identity(ALPINE);
    for path in ["bin", "lib", "usr", "usr/bin", "usr/lib", "usr/local", "usr/local/lib", "usr/local/bin"] {
        entries.push(directory(path));
    }
    entries.push(program(&loader, &musl));
    entries.push(link(&format!("lib/libc.musl-{cpu}.so.1"), &format!("ld-musl-{cpu}.so.1")));
    entries.push(program("bin/busybox", &busybox_program(arch)));
    entries.push(link("bin/sh", "/bin/busybox"));
    entries.push(link("bin/echo", "/bin/busybox"));
    entries.push(link("usr/bin/env", "/bin/busybox"));
    entries.into()
}

/// Returns a layer with a static busybox and a few of its applets.
pub fn busybox(arch: &str) -> Layer {
    let mut entries = identity("ID=busybox\nPRETTY_NAME=\"busybox\"\n");
    entries.push(directory("bin"));
    entries.push(program("bin/busybox", &busybox_program(arch)));
    for name in ["sh", "echo", "env", "cat"] {
        entries.push(link(&format!("bin/{name}"), "busybox"));
    }
    entries.into()
}
