//! Adapts packages that are unpacked outside `/` so that compilers can use them.

use std::io;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use camino::Utf8Path;

/// Makes absolute symbolic links relative, and merges directories that only Debian's compilers search: libraries in
/// `/lib` are copied to `/usr/lib`, and architecture-specific headers to `/usr/include`. `multiarch` is Debian's
/// library directory, such as `aarch64-linux-gnu`.
pub(crate) fn relocate(root: &Utf8Path, multiarch: &str) -> Result<()> {
    make_links_relative(root.as_std_path(), 0)?;
    merge(&root.join("lib").join(multiarch), &root.join("usr/lib").join(multiarch))?;
    merge(&root.join("usr/include").join(multiarch), &root.join("usr/include"))
}

fn make_links_relative(dir: &Path, depth: usize) -> Result<()> {
    for entry in fs_err::read_dir(dir)? {
        let path = entry?.path();
        let kind = fs_err::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            make_links_relative(&path, depth + 1)?;
        } else if kind.is_symlink() {
            let target = fs_err::read_link(&path)?;
            if target.is_absolute() {
                let up = std::iter::repeat_n(Component::ParentDir, depth);
                let down = target.components().filter(|part| matches!(part, Component::Normal(_)));
                fs_err::remove_file(&path)?;
                fs_err::os::unix::fs::symlink(up.chain(down).collect::<PathBuf>(), &path)?;
            }
        }
    }
    Ok(())
}

/// Copies files recursively from one directory to another, except those that already exist there.
fn merge(from: &Utf8Path, into: &Utf8Path) -> Result<()> {
    let entries = match from.read_dir_utf8() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    fs_err::create_dir_all(into)?;
    for entry in entries {
        let entry = entry?;
        let (path, to) = (entry.path(), into.join(entry.file_name()));
        if path.is_dir() {
            merge(path, &to)?;
        } else if !to.exists() && path.is_file() {
            // Copy the file that a link points to, because a relative link would be broken in the other directory.
            fs_err::copy(path, &to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_links_relative_and_merges_directories() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let write = |path: &str, text: &str| {
            fs_err::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs_err::write(root.join(path), text).unwrap();
        };
        let link = |target: &str, path: &str| fs_err::os::unix::fs::symlink(target, root.join(path)).unwrap();
        let read = |path: &str| fs_err::read_to_string(root.join(path)).unwrap();
        write("lib/a-linux-gnu/libz.so.1.2", "z");
        link("libz.so.1.2", "lib/a-linux-gnu/libz.so.1");
        write("usr/lib/a-linux-gnu/libz.a", "static z");
        link("/lib/a-linux-gnu/libz.so.1.2", "usr/lib/a-linux-gnu/libz.so");
        link("/not/there", "usr/lib/a-linux-gnu/dangling");
        write("usr/include/ssl/ssl.h", "common");
        write("usr/include/a-linux-gnu/ssl/conf.h", "own");
        write("usr/include/a-linux-gnu/ssl/ssl.h", "not this");
        relocate(root, "a-linux-gnu").unwrap();

        assert_eq!(read("usr/lib/a-linux-gnu/libz.so"), "z");
        let target = fs_err::read_link(root.join("usr/lib/a-linux-gnu/libz.so")).unwrap();
        assert_eq!(target.to_str(), Some("../../../lib/a-linux-gnu/libz.so.1.2"));
        assert_eq!(
            (read("usr/lib/a-linux-gnu/libz.so.1").as_str(), read("usr/include/ssl/conf.h").as_str()),
            ("z", "own")
        );
        assert_eq!(read("usr/include/ssl/ssl.h"), "common");
    }
}
