//! Finds files that the configuration names in the workspace.

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Class, Failure};

/// Returns the real path of a file or directory in the workspace. Fails if it does not exist or is outside `root`, the
/// workspace root. `label` names the configuration key and the path for errors.
pub(crate) fn resolve(root: &Utf8Path, path: &str, label: &str) -> Result<Utf8PathBuf, Failure> {
    let full = root.join(path);
    let failure = |problem: &str| Failure::new(Class::Config, format!("{label} {problem}"));
    let real = full.canonicalize_utf8().map_err(|_| {
        failure("does not exist").hint(format!("check that {full} exists: paths are relative to the workspace root"))
    })?;
    let real_root = root.canonicalize_utf8().unwrap_or_else(|_| root.to_owned());
    if !real.starts_with(&real_root) {
        return Err(failure("is outside the workspace").hint(format!("copy it into {root}")));
    }
    Ok(real)
}
