//! Files to be written by `init`. They are checked for conflicts with existing files first, and then written
//! atomically.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Class, Failure};
use crate::fs;
use crate::ui::Ui;

/// A file that `init` will write.
pub(crate) struct PlannedFile {
    path: Utf8PathBuf,
    text: String,
    /// The contents of the existing file, if there is one.
    existing: Option<String>,
    managed_part: ManagedPart,
}

/// The part of a file that `init` manages.
pub(crate) enum ManagedPart {
    WholeFile,
    /// A section of a file that the user maintains.
    Section {
        name: String,
        is_new: bool,
    },
}

impl PlannedFile {
    /// Creates a planned file, and reads the existing file at `path`, if there is one.
    pub(crate) fn new(path: Utf8PathBuf, text: String, managed_part: ManagedPart) -> Result<PlannedFile> {
        let existing = match fs_err::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(Failure::new(Class::Config, format!("cannot replace {path}: {error}"))
                    .hint(format!("check the file's type and permissions: `ls -ld {path}`"))
                    .into());
            }
        };
        Ok(PlannedFile { path, text, existing, managed_part })
    }

    /// Reports whether the existing file already contains the new text.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.existing.as_ref() == Some(&self.text)
    }

    /// Reports whether writing would replace a file that the user may have written or edited.
    fn would_overwrite(&self) -> bool {
        matches!(self.managed_part, ManagedPart::WholeFile) && self.existing.is_some() && !self.is_unchanged()
    }

    /// Returns the path to write to, with symbolic links resolved so that writing does not replace them.
    fn link_target(&self) -> Utf8PathBuf {
        self.path.canonicalize_utf8().unwrap_or_else(|_| self.path.clone())
    }

    /// Writes the file atomically, and prints a status line.
    pub(crate) fn write(&self, root: &Utf8Path, ui: &Ui) -> Result<()> {
        let path = relative(&self.path, root);
        let description = match &self.managed_part {
            // The workspace members are already configured, so the table was not added.
            ManagedPart::Section { is_new: true, .. } if self.is_unchanged() => {
                "configuration in workspace members".to_owned()
            }
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

/// Checks that all files can be written, before writing any of them. Fails if an existing file has different contents,
/// unless `force` is set.
pub(crate) fn check(files: &[PlannedFile], root: &Utf8Path, force: bool) -> Result<()> {
    if let Some(file) = files.iter().find(|file| !force && file.would_overwrite()) {
        let path = relative(&file.path, root);
        let message = format!("{path} already exists with different contents");
        return Err(Failure::new(Class::Config, message)
            .hint("preview the new contents with `--dry-run`, or replace the file with `--force`")
            .into());
    }
    for file in files.iter().filter(|file| !file.is_unchanged()) {
        let target = file.link_target();
        fs::check_writable(target.parent().unwrap_or(root))
            .with_context(|| format!("cannot write {}", relative(&file.path, root)))?;
    }
    Ok(())
}

/// Prints the path of each changed file, followed by the new text.
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
