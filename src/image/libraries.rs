//! Selects the shared libraries that `copy-libraries` copies into an image: those of the sysroot that the binaries load,
//! directly or through other libraries, and that the base lacks.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::compile::Artifacts;
use crate::compile::facts::Sysroot;
use crate::elf::Elf;
use crate::oci::rootfs::{FsNode, RootFs};
use crate::plan::{Binary, BuildSettings};

/// A library to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CopiedLibrary {
    /// The name that programs load it by.
    pub name: String,
    pub path: Utf8PathBuf,
}

/// Parts of glibc, which only work with the dynamic loader of the same glibc.
const GLIBC: [&str; 12] = [
    "ld-linux",
    "ld64.so",
    "ld.so",
    "libc.so",
    "libm.so",
    "libmvec.so",
    "libpthread.so",
    "libdl.so",
    "librt.so",
    "libresolv.so",
    "libutil.so",
    "libanl.so",
];

/// Returns the libraries that a platform of an image needs in addition to those in its base. `binaries` are the binaries
/// of `build` in the image, and `sysroots` the sysroots by target triple. Libraries that neither the base nor the sysroot
/// contains are left to verification.
pub(crate) fn to_copy(
    build: &BuildSettings,
    binaries: &[Binary],
    artifacts: &Artifacts,
    base: Option<&RootFs>,
    sysroots: &BTreeMap<String, Sysroot>,
) -> Result<Vec<CopiedLibrary>> {
    let Some(sysroot) = sysroots.get(&build.triple) else { return Ok(Vec::new()) };
    let artifacts = binaries.iter().filter_map(|binary| artifacts.get(&(build.clone(), binary.clone())));
    let needed = artifacts.flat_map(|artifact| artifact.elf.needed.clone()).collect();
    let in_base = |name: &str| base.is_some_and(|base| has_library(base, name, &sysroot.multiarch));
    let selected = select(needed, &in_base, &|name| read_library(sysroot, name))?;
    Ok(selected.into_iter().map(|(name, path)| CopiedLibrary { name, path }).collect())
}

/// A library in a sysroot.
struct SysrootLibrary {
    path: Utf8PathBuf,
    needed: Vec<String>,
}

/// Follows the names of needed libraries. Returns the paths of those that the base lacks and that `find` finds.
fn select(
    needed: Vec<String>,
    in_base: &dyn Fn(&str) -> bool,
    find: &dyn Fn(&str) -> Result<Option<SysrootLibrary>>,
) -> Result<BTreeMap<String, Utf8PathBuf>> {
    let mut queue = needed;
    let mut selected = BTreeMap::new();
    while let Some(name) = queue.pop() {
        if selected.contains_key(&name) || GLIBC.iter().any(|start| name.starts_with(start)) || in_base(&name) {
            continue;
        }
        if let Some(library) = find(&name)? {
            selected.insert(name, library.path);
            queue.extend(library.needed);
        }
    }
    Ok(selected)
}

/// Reports whether a base has a library in one of the directories that glibc searches by default.
fn has_library(base: &RootFs, name: &str, multiarch: &str) -> bool {
    let dirs = ["lib64", "usr/lib64", "lib", "usr/lib", "usr/local/lib"].map(str::to_owned);
    let of_debian = ["lib", "usr/lib", "usr/local/lib"].map(|dir| format!("{dir}/{multiarch}"));
    dirs.into_iter().chain(of_debian).any(|dir| {
        let path = base.resolve(&format!("{dir}/{name}"));
        path.is_ok_and(|path| matches!(base.get(&path), Some(FsNode::File(_))))
    })
}

fn read_library(sysroot: &Sysroot, name: &str) -> Result<Option<SysrootLibrary>> {
    let Sysroot { dir, multiarch, .. } = sysroot;
    let dirs = [format!("usr/lib/{multiarch}"), format!("lib/{multiarch}"), "usr/lib".to_owned()];
    let found = dirs.iter().map(|subdir| dir.join(subdir).join(name)).find(|path| path.is_file());
    let Some(path) = found else { return Ok(None) };
    let path = path.canonicalize_utf8()?;
    Ok(Some(SysrootLibrary { needed: needed_by(&path)?, path }))
}

fn needed_by(path: &Utf8Path) -> Result<Vec<String>> {
    let bytes = fs_err::read(path)?;
    Ok(Elf::parse(&bytes[..]).with_context(|| format!("{path} is not a shared library"))?.needed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::rootfs::RegularFile;

    #[test]
    fn libraries_are_copied_if_the_base_lacks_them() {
        let libraries = [
            ("libpq.so.5", &["libssl.so.3", "libldap.so.2", "libc.so.6"][..]),
            ("libssl.so.3", &["libcrypto.so.3", "libc.so.6"]),
            ("libcrypto.so.3", &["libz.so.1", "libssl.so.3"]),
            ("libz.so.1", &["libc.so.6"]),
            ("libc.so.6", &["ld-linux-aarch64.so.1"]),
            ("libunused.so.1", &[]),
        ];
        let find = |name: &str| {
            let found = libraries.iter().find(|(other, _)| *other == name);
            Ok(found.map(|(name, needed)| SysrootLibrary {
                path: Utf8PathBuf::from(format!("/s/{name}")),
                needed: needed.iter().map(|name| (*name).to_owned()).collect(),
            }))
        };
        for (needed, base, expected) in [
            (&["libc.so.6"][..], &[][..], &[][..]),
            (&["libssl.so.3", "libc.so.6"], &[], &["libcrypto.so.3", "libssl.so.3", "libz.so.1"]),
            (&["libssl.so.3", "libc.so.6"], &["libz.so.1"], &["libcrypto.so.3", "libssl.so.3"]),
            (&["libpq.so.5"], &["libssl.so.3"], &["libpq.so.5"]),
            (&["libother.so.1"], &[], &[]),
        ] {
            let names = needed.iter().map(|name| (*name).to_owned()).collect();
            let selected = select(names, &|name| base.contains(&name), &find).unwrap();
            assert_eq!(selected.keys().collect::<Vec<_>>(), expected, "{needed:?} {base:?}");
        }
    }

    #[test]
    fn libraries_of_the_base_are_found_through_links() {
        let mut base = RootFs::default();
        let library = || FsNode::File(RegularFile::default());
        base.insert("lib", FsNode::Link("usr/lib".to_owned()));
        base.insert("usr/lib/aarch64-linux-gnu/libz.so.1", FsNode::Link("libz.so.1.3.1".to_owned()));
        base.insert("usr/lib/aarch64-linux-gnu/libz.so.1.3.1", library());
        base.insert("usr/lib/aarch64-linux-gnu/libdangling.so.1", FsNode::Link("nowhere".to_owned()));
        base.insert("opt/lib/libssl.so.3", library());
        for (name, expected) in [("libz.so.1", true), ("libdangling.so.1", false), ("libssl.so.3", false)] {
            assert_eq!(has_library(&base, name, "aarch64-linux-gnu"), expected, "{name}");
        }
    }
}
