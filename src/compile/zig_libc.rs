//! Builds zig's C libraries while cargo compiles the first crates, so that linking does not have to wait for them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::c_env::CEnv;
use super::linker::types::{Linker, LinkerSelection};
use crate::plan::BuildSettings;
use crate::process::Cmd;
use crate::threads::CancelToken;

/// Links an empty program for each target that zig links for. zig then builds the target's C library, which takes up to
/// a minute, and keeps it in its cache. Whether zig succeeds makes no difference, because cargo's own link reports errors.
pub(crate) fn prebuild(
    linkers: &BTreeMap<BuildSettings, LinkerSelection>,
    c_env: &CEnv,
    cancel: &CancelToken,
) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let source = dir.path().join("empty.c");
    fs_err::write(&source, "int main(void) { return 0; }\n")?;
    let by_zig = linkers.iter().filter(|(_, selection)| selection.linker == Linker::Zig);
    let variables = by_zig.filter_map(|(settings, _)| Some((c_env.get(settings)?.get("CC")?, settings)));
    let mut started = BTreeSet::new();
    for (compiler, settings) in variables {
        if started.insert(compiler) && !cancel.is_cancelled() {
            let output = dir.path().join("empty");
            let cmd = Cmd::new(compiler).arg(&source).args(link_args(settings)).arg("-o").arg(output);
            cmd.stream_until(cancel, |_| ())?;
        }
    }
    Ok(())
}

/// The arguments with which rustc links, as far as zig's C library depends on them.
fn link_args(settings: &BuildSettings) -> &'static [&'static str] {
    if settings.triple.contains("-musl") { &["-static-pie"] } else { &["-pie"] }
}
