//! Flags of `init`.

use camino::Utf8PathBuf;
use clap::Args;

use crate::plan::CiService;

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Write multiarch.toml instead of a table in Cargo.toml
    #[arg(long)]
    pub file: bool,
    /// Copy a built-in template (scratch, alpine, debian, distroless-static, distroless-cc) to docker/, and use it
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    /// Write a workflow that publishes on a tag
    #[arg(long, value_name = "FORGE")]
    pub ci: Option<CiService>,
    /// The workflow compiles each platform on a machine of its own, and one job publishes
    #[arg(long, requires = "ci")]
    pub ci_native: bool,
    /// Replace what is there: the configuration or, with --template or --ci, these alone
    #[arg(long)]
    pub force: bool,
    /// Print what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The manifest of the package or workspace
    #[arg(long, value_name = "PATH")]
    pub manifest_path: Option<Utf8PathBuf>,
    /// Do without the network for crates
    #[arg(long)]
    pub offline: bool,
}
