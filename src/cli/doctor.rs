//! Flags of `doctor`.

use clap::Args;

use super::{OutputArgs, SettingsArgs, SmokeArgs};

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub smoke: SmokeArgs,

    /// Run the commands that install targets, a builder and QEMU where they are missing, and check again
    #[arg(long)]
    pub fix: bool,
}
