//! The files that `init` writes: what exists already, whether it may be replaced, and each of them whole or not at all.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Class, Failure};
use crate::fs;
use crate::ui::Ui;

/// A file as it will be.
pub(crate) struct PlannedFile {
    path: Utf8PathBuf,
    text: String,
    /// The text of the existing file.
    existing: Option<String>,
    managed_part: ManagedPart,
}

/// The part of a file that this tool manages.
pub(crate) enum ManagedPart {
    WholeFile,
    /// A section of the user's file.
    Section {
        name: String,
        is_new: bool,
    },
}

impl PlannedFile {
    /// Reads the existing file, if there is one.
    pub(crate) fn new(path: Utf8PathBuf, text: String, managed_part: ManagedPart) -> Result<PlannedFile> {
        let existing = match fs_err::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(Failure::new(Class::Config, format!("{path} cannot be replaced: {error}"))
                    .hint(format!("see what it is: `ls -ld {path}`"))
                    .into());
            }
        };
        Ok(PlannedFile { path, text, existing, managed_part })
    }

    /// The file exists with the very text that would be written.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.existing.as_ref() == Some(&self.text)
    }

    /// Writing would replace a file that may be the user's.
    fn would_overwrite(&self) -> bool {
        matches!(self.managed_part, ManagedPart::WholeFile) && self.existing.is_some() && !self.is_unchanged()
    }

    /// The file to write: a symbolic link stays one.
    fn link_target(&self) -> Utf8PathBuf {
        self.path.canonicalize_utf8().unwrap_or_else(|_| self.path.clone())
    }

    /// Writes the file atomically, and reports it.
    pub(crate) fn write(&self, root: &Utf8Path, ui: &Ui) -> Result<()> {
        let path = relative(&self.path, root);
        let description = match &self.managed_part {
            // Only members of the workspace are configured.
            ManagedPart::Section { is_new: true, .. } if self.is_unchanged() => "the members' configuration".to_owned(),
            ManagedPart::Section { name, .. } => format!("{name} in {path}"),
            ManagedPart::WholeFile => path.to_string(),
        };
        if self.is_unchanged() {
            ui.status("Unchanged", description);
            return Ok(());
        }
        if let Some(dir) = self.path.parent() {
            fs_err::create_dir_all(dir)?;
        }
        fs::write_atomically(&self.link_target(), self.text.as_bytes())?;
        let verb = match (&self.existing, &self.managed_part) {
            (None, _) => "Created",
            (Some(_), ManagedPart::Section { is_new: true, .. }) => "Added",
            (Some(_), _) => "Changed",
        };
        ui.status(verb, description);
        Ok(())
    }
}

/// Fails if a file is not this tool's or cannot be written, before any of them is. `force` allows to replace files.
pub(crate) fn check(files: &[PlannedFile], root: &Utf8Path, force: bool) -> Result<()> {
    if let Some(file) = files.iter().find(|file| !force && file.would_overwrite()) {
        let path = relative(&file.path, root);
        let message = format!("{path} is there already, and differs from what would be written");
        return Err(Failure::new(Class::Config, message)
            .hint("see what that is with `--dry-run`, or have it replaced with `--force`")
            .into());
    }
    for file in files.iter().filter(|file| !file.is_unchanged()) {
        let target = file.link_target();
        fs::check_writable(target.parent().unwrap_or(root))
            .with_context(|| format!("cannot write {}", relative(&file.path, root)))?;
    }
    Ok(())
}

/// Prints what would be written, each file after its name.
pub(crate) fn print(files: &[PlannedFile], root: &Utf8Path, ui: &Ui) -> Result<()> {
    for file in files.iter().filter(|file| !file.is_unchanged()) {
        ui.data(&format!("# {}", relative(&file.path, root)))?;
        ui.data(file.text.trim_end())?;
    }
    Ok(())
}

fn relative<'a>(path: &'a Utf8Path, root: &Utf8Path) -> &'a Utf8Path {
    path.strip_prefix(root).unwrap_or(path)
}
