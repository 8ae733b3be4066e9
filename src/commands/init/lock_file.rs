//! Tracks changes to Cargo.lock, which cargo creates or updates when `init` reads the dependencies of the workspace.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::fs;
use crate::ui::Ui;

/// Cargo.lock, as it was before cargo read the dependencies.
pub(crate) struct LockFile {
    path: Utf8PathBuf,
    before: Option<Vec<u8>>,
}

impl LockFile {
    pub(crate) fn read(root: &Utf8Path) -> LockFile {
        let path = root.join("Cargo.lock");
        let before = fs_err::read(&path).ok();
        LockFile { path, before }
    }

    pub(crate) fn exists(&self) -> bool {
        self.before.is_some()
    }

    /// Reports what cargo changed.
    pub(crate) fn report(&self, ui: &Ui) {
        match (&self.before, fs_err::read(&self.path).ok()) {
            (None, Some(_)) => ui.status("Created", "Cargo.lock"),
            (Some(before), Some(after)) if *before != after => ui.status("Updated", "Cargo.lock"),
            _ => {}
        }
    }

    /// Undoes what cargo changed.
    pub(crate) fn restore(&self) -> Result<()> {
        let after = fs_err::read(&self.path).ok();
        match &self.before {
            Some(before) if after.as_ref() != Some(before) => fs::write_atomically(&self.path, before)?,
            None if after.is_some() => fs_err::remove_file(&self.path)?,
            _ => {}
        }
        Ok(())
    }
}
