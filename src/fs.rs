//! Files that are there whole or not at all, also when two programs do the same at once.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::NamedTempFile;

use crate::error::{Class, Failure};
use crate::process::check_interrupt;

/// What may stand in a folder that is to be written: nothing, or what is replaced.
pub struct Replaceable {
    /// As it is called in a hint, `an OCI layout`.
    pub name: &'static str,
    /// It is what stands there.
    pub is_there: bool,
}

/// Fails where a file or something else is in a folder's place. `asked` is how the folder was asked for, `for_a_file` the
/// hint where a file is there.
pub fn check_output_dir(asked: &str, dir: &Utf8Path, replaces: &Replaceable, for_a_file: &str) -> Result<(), Failure> {
    let wrong = |what: &str| Failure::new(Class::Config, format!("{asked} {what}"));
    if dir.is_file() {
        return Err(wrong("is a file, and a folder is wanted").hint(for_a_file));
    }
    let empty = dir.read_dir_utf8().map_or(true, |mut entries| entries.next().is_none());
    match empty || replaces.is_there {
        true => Ok(()),
        false => Err(wrong("is a folder with something else in it")
            .hint(format!("name one that is empty, {}, or not there yet", replaces.name))),
    }
}

/// Fails where nothing can be written in a folder, which need not be there yet. Nothing is left behind.
pub fn check_writable(dir: &Utf8Path) -> std::io::Result<()> {
    let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Utf8Path::new("."));
    tempfile::tempfile_in(there).map(drop)
}

/// A file without a place yet, beside the one that it will get; with the permissions of any other new file.
pub fn temporary_file(beside: &Utf8Path) -> Result<NamedTempFile> {
    let dir = beside.parent().filter(|dir| !dir.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let mut builder = tempfile::Builder::new();
    let file = builder.permissions(Permissions::from_mode(0o666)).tempfile_in(dir);
    file.with_context(|| format!("cannot write in {dir}"))
}

/// Gives a file its place, over whatever was there.
pub fn persist(file: NamedTempFile, path: &Utf8Path) -> Result<()> {
    file.persist(path).map(drop).with_context(|| format!("cannot write {path}"))
}

/// Writes a file in one step.
pub fn replace(path: &Utf8Path, bytes: &[u8]) -> Result<()> {
    let file = temporary_file(path)?;
    fs_err::write(file.path(), bytes)?;
    persist(file, path)
}

/// Copies a file in one step.
pub fn copy(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let mut file = temporary_file(to)?;
    std::io::copy(&mut fs_err::File::open(from)?, file.as_file_mut()).with_context(|| format!("cannot write {to}"))?;
    persist(file, to)
}

/// Waits until no other run has a file, and has it until what comes back is dropped. `waits` is called if it must wait.
pub fn lock(path: &Utf8Path, waits: impl FnOnce()) -> Result<File> {
    let file = File::options().create(true).append(true).open(path).with_context(|| format!("cannot write {path}"))?;
    let mut waits = Some(waits);
    while let Err(error) = file.try_lock() {
        match error {
            std::fs::TryLockError::WouldBlock => {}
            // Some file systems of networks have no locks; cargo goes on there as well.
            std::fs::TryLockError::Error(error) if error.kind() == std::io::ErrorKind::Unsupported => break,
            std::fs::TryLockError::Error(error) => return Err(error).with_context(|| format!("cannot lock {path}")),
        }
        if let Some(waits) = waits.take() {
            waits();
        }
        check_interrupt()?;
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Ok(file)
}

/// Links a file, or copies it where links do not go; what is there already is the same.
pub fn link(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    match fs_err::hard_link(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) => Ok(fs_err::copy(from, to).map(drop)?),
        Ok(()) => Ok(()),
    }
}

/// Files for what a run writes, each of its own.
pub fn check_output_files(paths: &[Utf8PathBuf]) -> Result<(), Failure> {
    for (index, path) in paths.iter().enumerate() {
        if path == "-" {
            return Err(Failure::new(Class::Config, "'-' is no file: the references are on stdout in any case")
                .hint("name a file: `--refs-file refs.txt`"));
        }
        if paths[..index].contains(path) {
            return Err(
                Failure::new(Class::Config, format!("{path} would be written twice")).hint("name a file for each")
            );
        }
        check_output_file(path)?;
    }
    Ok(())
}

/// A file that cannot be written is better known before a tag moves than after.
pub fn check_output_file(path: &Utf8Path) -> Result<(), Failure> {
    let existed = path.exists();
    let opened = fs_err::OpenOptions::new().create(true).append(true).open(path).map(drop);
    let tried = opened.and_then(|()| if existed { Ok(()) } else { fs_err::remove_file(path) });
    tried.map_err(|error| {
        Failure::new(Class::Config, error.to_string()).hint("name a file in a folder that is there and can be written")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_as_others() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let mode = |name: &str| fs_err::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
        fs_err::write(dir.join("usual"), "x").unwrap();
        replace(&dir.join("replaced"), b"x").unwrap();
        copy(&dir.join("usual"), &dir.join("copied")).unwrap();
        assert_eq!((mode("replaced"), mode("copied")), (mode("usual"), mode("usual")));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_known_before() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::write(dir.join("file"), "x").unwrap();
        assert!(check_writable(&dir.join("a/b")).is_ok());
        assert!(check_writable("not-there-yet".into()).is_ok());
        assert_eq!(dir.read_dir_utf8().unwrap().count(), 1);
        for folder in [&dir.join("file/below"), Utf8Path::new("/proc/nobody")] {
            assert!(check_writable(folder).is_err(), "{folder}");
        }
    }

    #[test]
    fn a_lock_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("lock");
        let held = lock(&path, || panic!("nobody has it")).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock(&path, || sender.send(()).unwrap()).unwrap());
            receiver.recv().unwrap();
            assert!(!waiting.is_finished());
            drop(held);
        });
    }
}
