//! File helpers: atomic writes, locks, and early checks that outputs are writable.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::NamedTempFile;

use crate::error::{Class, Failure};
use crate::process::check_interrupt;

/// A kind of existing content that may be overwritten in an output directory.
pub(crate) struct Replaceable {
    /// Name to use in hints, such as `an OCI layout`.
    pub name: &'static str,
    /// Whether the directory contains content of this kind.
    pub is_present: bool,
}

/// Checks that an output directory is not a file, and that it is empty or contains only `replaceable` content. Error
/// messages start with `option`, and `hint_for_file` is the hint if the path is a file.
pub(crate) fn check_output_dir(
    option: &str,
    dir: &Utf8Path,
    replaceable: &Replaceable,
    hint_for_file: &str,
) -> Result<(), Failure> {
    let failure = |problem: &str| Failure::new(Class::Config, format!("{option} {problem}"));
    if dir.is_file() {
        return Err(failure("is a file, not a directory").hint(hint_for_file));
    }
    let is_empty = dir.read_dir_utf8().map_or(true, |mut entries| entries.next().is_none());
    if is_empty || replaceable.is_present {
        return Ok(());
    }
    Err(failure("contains other files").hint(format!("choose a new or empty directory, or {}", replaceable.name)))
}

/// Checks that files can be created in a directory, or in its closest existing ancestor, without leaving any behind.
pub(crate) fn check_writable(dir: &Utf8Path) -> std::io::Result<()> {
    let existing = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Utf8Path::new("."));
    tempfile::tempfile_in(existing).map(drop)
}

/// Start of the names of temporary files.
const TEMPORARY_PREFIX: &str = ".tmp";

/// Creates a temporary file next to its final path, with the default permissions of new files.
pub(crate) fn temporary_file(path: &Utf8Path) -> Result<NamedTempFile> {
    let dir = path.parent().filter(|dir| !dir.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY_PREFIX);
    let file = builder.permissions(Permissions::from_mode(0o666)).tempfile_in(dir);
    file.with_context(|| format!("cannot create a file in {dir}"))
}

/// Removes the files in a directory that [`temporary_file`] created at least `age` ago, and that no run has moved to
/// their final path.
pub(crate) fn remove_old_temporary_files(dir: &Utf8Path, age: Duration) -> std::io::Result<()> {
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let is_temporary = entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY_PREFIX));
        let is_old = || entry.metadata()?.modified().map(|time| time.elapsed().is_ok_and(|elapsed| elapsed >= age));
        if !is_temporary {
            continue;
        }
        // Another run may remove the same file.
        match is_old().and_then(|is_old| if is_old { fs_err::remove_file(entry.path()) } else { Ok(()) }) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Moves a temporary file to its final path, replacing any existing file.
pub(crate) fn persist(file: NamedTempFile, path: &Utf8Path) -> Result<()> {
    file.persist(path).map(drop).with_context(|| format!("cannot write {path}"))
}

/// Writes a file atomically: readers see either the old or the new contents.
pub(crate) fn write_atomically(path: &Utf8Path, bytes: &[u8]) -> Result<()> {
    let file = temporary_file(path)?;
    fs_err::write(file.path(), bytes)?;
    persist(file, path)
}

/// Writes an executable file atomically, creating missing parent directories.
pub(crate) fn write_program_atomically(path: &Utf8Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent)?;
    }
    let file = temporary_file(path)?;
    fs_err::write(file.path(), bytes)?;
    fs_err::set_permissions(file.path(), Permissions::from_mode(0o755))?;
    persist(file, path)
}

/// Copies a file atomically.
pub(crate) fn copy_atomically(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let mut file = temporary_file(to)?;
    std::io::copy(&mut fs_err::File::open(from)?, file.as_file_mut()).with_context(|| format!("cannot write {to}"))?;
    persist(file, to)
}

/// Locks a file until the returned handle is dropped. Calls `on_wait` once if another process holds the lock.
pub(crate) fn lock_file(path: &Utf8Path, on_wait: impl FnOnce()) -> Result<File> {
    let file = File::options().create(true).append(true).open(path).with_context(|| format!("cannot write {path}"))?;
    let mut on_wait = Some(on_wait);
    while let Err(error) = file.try_lock() {
        match error {
            std::fs::TryLockError::WouldBlock => {}
            // Like cargo, continue without a lock on file systems that do not support locks.
            std::fs::TryLockError::Error(error) if error.kind() == std::io::ErrorKind::Unsupported => break,
            std::fs::TryLockError::Error(error) => return Err(error).with_context(|| format!("cannot lock {path}")),
        }
        if let Some(on_wait) = on_wait.take() {
            on_wait();
        }
        check_interrupt()?;
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Ok(file)
}

/// Creates a hard link to a file, or a copy if linking fails. If `to` already exists, keeps it on the assumption that
/// it is identical.
pub(crate) fn hard_link_or_copy(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    match fs_err::hard_link(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) => Ok(fs_err::copy(from, to).map(drop)?),
        Ok(()) => Ok(()),
    }
}

/// Checks that the output files of a run are distinct and can be written.
pub(crate) fn check_output_files(paths: &[Utf8PathBuf]) -> Result<(), Failure> {
    for (index, path) in paths.iter().enumerate() {
        if path == "-" {
            return Err(Failure::new(
                Class::Config,
                "'-' is not a valid file name: image references are always printed to stdout",
            )
            .hint("pass a file name: `--refs-file refs.txt`"));
        }
        if paths[..index].contains(path) {
            return Err(Failure::new(Class::Config, format!("two outputs would be written to {path}"))
                .hint("choose a different file for each output"));
        }
        check_output_file(path)?;
    }
    Ok(())
}

/// Checks that an output file can be written. Leaves existing contents unchanged, and removes the file if it did not
/// exist before.
pub(crate) fn check_output_file(path: &Utf8Path) -> Result<(), Failure> {
    let existed = path.exists();
    let opened = fs_err::OpenOptions::new().create(true).append(true).open(path).map(drop);
    let result = opened.and_then(|()| if existed { Ok(()) } else { fs_err::remove_file(path) });
    result.map_err(|error| {
        Failure::new(Class::Config, error.to_string()).hint("choose a file in an existing, writable directory")
    })
}

/// Removes the output files of an earlier run, so that they are not mistaken for the results of this run if it fails.
/// Keeps devices and pipes.
pub(crate) fn remove_output_files(paths: &[Utf8PathBuf]) -> Result<(), Failure> {
    for path in paths.iter().filter(|path| path.is_file()) {
        fs_err::remove_file(path).map_err(|error| {
            Failure::new(Class::Config, error.to_string()).hint("choose a file in an existing, writable directory")
        })?;
    }
    Ok(())
}

/// Writes a file with the given mode, creating missing parent directories.
pub(crate) fn write_with_mode(path: &Utf8Path, bytes: &[u8], mode: u32) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent)?;
    }
    fs_err::write(path, bytes)?;
    set_mode(path, mode)
}

pub(crate) fn set_mode(path: &Utf8Path, mode: u32) -> Result<()> {
    Ok(fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_files_have_default_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let mode = |name: &str| fs_err::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
        fs_err::write(dir.join("default"), "x").unwrap();
        write_atomically(&dir.join("replaced"), b"x").unwrap();
        copy_atomically(&dir.join("default"), &dir.join("copied")).unwrap();
        assert_eq!((mode("replaced"), mode("copied")), (mode("default"), mode("default")));
    }

    #[test]
    fn unwritable_directories_are_detected() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::write(dir.join("file"), "x").unwrap();
        assert!(check_writable(&dir.join("a/b")).is_ok());
        assert!(check_writable("new-directory".into()).is_ok());
        assert_eq!(dir.read_dir_utf8().unwrap().count(), 1);
        for unwritable in [&dir.join("file/below"), Utf8Path::new("/proc/new-directory")] {
            assert!(check_writable(unwritable).is_err(), "{unwritable}");
        }
    }

    #[test]
    fn lock_file_waits_for_the_current_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("lock");
        let held = lock_file(&path, || panic!("a free lock needs no waiting")).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock_file(&path, || sender.send(()).unwrap()).unwrap());
            receiver.recv().unwrap();
            assert!(!waiting.is_finished());
            drop(held);
        });
    }
}
