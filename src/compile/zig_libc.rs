//! Builds zig's C libraries while cargo compiles the first crates, so that linking does not have to wait for them.

use std::collections::BTreeSet;

use anyhow::Result;

use super::c_env::CEnv;
use super::linker::types::Linker;
use super::rustflags;
use super::toolchain::Toolchain;
use crate::process::Cmd;
use crate::threads::CancelToken;

/// Links an empty program for each target that zig links for. zig then builds the target's C library, which can take
/// minutes, and keeps it in its cache. rustc runs zig, because the way of linking decides how the library is built.
/// Whether the program can be linked makes no difference, because cargo's own link reports errors.
pub(crate) fn prebuild(toolchain: &Toolchain, c_env: &CEnv, cancel: &CancelToken) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let source = dir.path().join("empty.rs");
    fs_err::write(&source, "fn main() {}\n")?;
    let mut started = BTreeSet::new();
    for (settings, selection) in &toolchain.linkers {
        let compiler = c_env.get(settings).and_then(|variables| variables.get("CC"));
        let Some(compiler) = compiler.filter(|_| selection.linker == Linker::Zig && !settings.build_std) else {
            continue;
        };
        if started.insert(compiler) && !cancel.is_cancelled() {
            let build = toolchain.facts.build(settings);
            let cmd = Cmd::new(&toolchain.facts.rust.rustc)
                .args(rustflags::all(&build, &toolchain.facts.rust))
                .args(["--target", &settings.triple, "-C"])
                .arg(format!("linker={compiler}"))
                .arg("--out-dir")
                .arg(dir.path())
                .arg(&source);
            cmd.stream_until(cancel, |_| ())?;
        }
    }
    Ok(())
}
