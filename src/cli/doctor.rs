//! Arguments of `doctor`.

use clap::Args;

use super::tag_args::OverwriteArgs;
use super::{OutputArgs, SettingsArgs, SmokeArgs};

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub smoke: SmokeArgs,
    #[command(flatten)]
    pub overwrite: OverwriteArgs,

    /// Install zig, missing targets, QEMU and a buildx builder, then check again
    #[arg(long)]
    pub fix: bool,
}
