//! Builds zig's C libraries while cargo compiles the first crates, so that linking does not have to wait for them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::c_env::CEnv;
use super::linker::types::Linker;
use super::rustflags;
use super::toolchain::Toolchain;
use crate::platform::Platform;
use crate::process::Cmd;
use crate::threads::CancelToken;
use crate::ui::{Bar, Ui};

/// Delay before assuming that zig is building a library. Linking an empty program is much faster.
const SHOW_AFTER: Duration = Duration::from_secs(3);

/// Links an empty program for each target that zig links for. zig then builds the target's C library, which can take
/// minutes, and keeps it in its cache. rustc runs zig, because the way of linking decides how the library is built.
/// Whether the program can be linked makes no difference, because cargo's own link reports errors.
pub(crate) fn prebuild(toolchain: &Toolchain, c_env: &CEnv, cancel: &CancelToken, ui: &Ui) -> Result<()> {
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
            let libc = if build.is_musl() { "musl" } else { "glibc stubs" };
            let platform = Platform::for_triple(&settings.triple).next().map(Platform::name).unwrap_or_default();
            let text = format!("{libc} for {platform} with zig, once");
            let mut progress = Progress { text, ui, start: Instant::now(), bar: None };
            let rust = &toolchain.facts.rust;
            let cmd = Cmd::new(&rust.rustc)
                .args(rustflags::all(&build, rust))
                .args(["--target", &settings.triple, "-C", &format!("linker={compiler}"), "--out-dir"])
                .arg(dir.path())
                .arg(&source);
            cmd.stream_and_poll(cancel, |_| (), || progress.poll())?;
        }
    }
    Ok(())
}

/// Shows that zig is building a library, once it has taken too long to be only linking.
struct Progress<'a> {
    text: String,
    ui: &'a Ui,
    start: Instant,
    bar: Option<Bar>,
}

impl Progress<'_> {
    fn poll(&mut self) {
        if self.bar.is_some() || self.start.elapsed() < SHOW_AFTER {
            return;
        }
        let bars = self.ui.bars();
        if !bars.are_visible() {
            self.ui.status("Building", &self.text);
        }
        let bar = bars.elapsed("Building");
        bar.message(&self.text);
        self.bar = Some(bar);
    }
}
