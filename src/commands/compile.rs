//! `cargo multiarch compile`: compiles binaries into a bundle that `publish` can use on another machine.

use std::sync::mpsc;

use anyhow::Result;

use super::load_plan::{load_plan, lock_workspace};
use super::prepare::compile_request;
use super::registry_access::share_credentials;
use crate::cli::CompileArgs;
use crate::compile::toolchain::Toolchain;
use crate::compile::{self, bundle};
use crate::plan::PlanRequest;
use crate::threads::CancelToken;
use crate::ui::Ui;
use crate::ui::text::plural;

/// Runs `cargo multiarch compile`.
pub(crate) fn compile(args: &CompileArgs, ui: &Ui) -> Result<()> {
    let plan = load_plan(&args.settings, PlanRequest { is_partial: true, ..args.settings.request() })?;
    bundle::check_output_dir(&args.out)?;
    plan.notes.iter().for_each(|note| ui.note(note));
    let _credentials = share_credentials(&plan)?;
    let _lock = lock_workspace(&plan.paths, ui)?;
    let toolchain = Toolchain::find(compile_request(&plan))?.install_missing(ui)?;
    let (finished, _) = mpsc::channel();
    let artifacts = compile::run(&toolchain, &finished, &CancelToken::default(), ui)?;
    let files = bundle::write(&args.out, &toolchain, plan.commit.as_ref(), &artifacts)?;
    ui.status("Bundled", format!("{} in {}", plural(files.len(), "binary", "binaries"), args.out));
    files.iter().try_for_each(|file| Ok(ui.data(file.as_str())?))
}
