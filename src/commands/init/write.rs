//! The files that are written: what stands there already, whether it may be replaced, and each of them whole or not at all.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::InitArgs;
use crate::error::{Class, Failure};
use crate::fs;
use crate::ui::Ui;

/// A file as it will be.
pub struct Write {
    path: Utf8PathBuf,
    text: String,
    before: Option<String>,
    kind: Kind,
}

/// Whose file it is.
pub enum Kind {
    /// Ours.
    Whole,
    /// The user's, with a part that is ours: its name, and whether it is new.
    Part(String, bool),
}

impl Write {
    /// Looks at what stands there.
    pub fn find(path: Utf8PathBuf, text: String, kind: Kind) -> Result<Write> {
        let before = match fs_err::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(Failure::new(Class::Config, format!("{path} cannot be replaced: {error}"))
                    .hint(format!("see what it is: `ls -ld {path}`"))
                    .into());
            }
        };
        Ok(Write { path, text, before, kind })
    }

    /// It stands there as it would be written.
    pub fn is_there(&self) -> bool {
        self.before.as_ref() == Some(&self.text)
    }

    /// The file that is written: a link stays one.
    fn file(&self) -> Utf8PathBuf {
        self.path.canonicalize_utf8().unwrap_or_else(|_| self.path.clone())
    }

    /// Writes it, in one step, and says so.
    pub fn perform(&self, root: &Utf8Path, ui: &Ui) -> Result<()> {
        let name = shown(&self.path, root);
        let message = match &self.kind {
            // Where members alone are configured.
            Kind::Part(_, true) if self.is_there() => "the members' configuration".to_owned(),
            Kind::Part(part, _) => format!("{part} in {name}"),
            Kind::Whole => name.to_string(),
        };
        if self.is_there() {
            ui.status("Unchanged", message);
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        fs::write_atomically(&self.file(), self.text.as_bytes())?;
        let verb = match (&self.before, &self.kind) {
            (None, _) => "Created",
            (Some(_), Kind::Part(_, true)) => "Added",
            (Some(_), _) => "Changed",
        };
        ui.status(verb, message);
        Ok(())
    }
}

/// Fails for a file that is somebody else's, or cannot be written, before any is.
pub fn check(writes: &[Write], root: &Utf8Path, args: &InitArgs) -> Result<()> {
    let is_theirs = |write: &&Write| matches!(write.kind, Kind::Whole) && write.before.is_some() && !write.is_there();
    match writes.iter().find(is_theirs).filter(|_| !args.force) {
        None => writes.iter().filter(|write| !write.is_there()).try_for_each(|write| {
            let file = write.file();
            fs::check_writable(file.parent().unwrap_or(root))
                .with_context(|| format!("cannot write {}", shown(&write.path, root)))
        }),
        Some(write) => {
            let path = shown(&write.path, root);
            Err(Failure::new(Class::Config, format!("{path} is there already, and differs from what would be written"))
                .hint("see what that is with `--dry-run`, or have it replaced with `--force`")
                .into())
        }
    }
}

/// Prints what would be written, each file after its name.
pub fn print(writes: &[Write], root: &Utf8Path, ui: &Ui) -> Result<()> {
    for write in writes.iter().filter(|write| !write.is_there()) {
        ui.data(&format!("# {}", shown(&write.path, root)))?;
        ui.data(write.text.trim_end())?;
    }
    Ok(())
}

fn shown<'a>(path: &'a Utf8Path, root: &Utf8Path) -> &'a Utf8Path {
    path.strip_prefix(root).unwrap_or(path)
}
