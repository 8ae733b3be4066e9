//! What packages look like that are unpacked in a folder and not installed in `/`, put right for compilers.

use std::io;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use camino::Utf8Path;

/// Makes absolute links lead into `root`, and brings together what Debian has in two folders: libraries in `/lib`, which
/// it has in `/usr/lib` by now, and headers that differ per architecture, which compilers for Debian look for by themselves.
pub(crate) fn relocate(root: &Utf8Path, folder: &str) -> Result<()> {
    relative_links(root.as_std_path(), 0)?;
    merge(&root.join("lib").join(folder), &root.join("usr/lib").join(folder))?;
    merge(&root.join("usr/include").join(folder), &root.join("usr/include"))
}

fn relative_links(dir: &Path, depth: usize) -> Result<()> {
    for entry in fs_err::read_dir(dir)? {
        let path = entry?.path();
        let kind = fs_err::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            relative_links(&path, depth + 1)?;
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

/// Copies what is in one folder into another, where it does not have it.
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
            // A link becomes what it points to: in the other folder it would point elsewhere.
            fs_err::copy(path, &to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_folders() {
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
