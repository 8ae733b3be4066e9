//! Arguments of `init`.

use camino::Utf8PathBuf;
use clap::Args;

use crate::plan::CiService;

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Write the configuration to multiarch.toml instead of Cargo.toml
    #[arg(long)]
    pub file: bool,
    /// Push to this registry
    ///
    /// A registry is a host with an optional path, such as ghcr.io/you. The image name is appended to it.
    #[arg(long, value_name = "REGISTRY")]
    pub registry: Option<String>,
    /// Copy a built-in template to docker/ and use it in the configuration
    ///
    /// The built-in templates are scratch, alpine, debian, distroless-static and distroless-cc.
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    /// Write a CI workflow
    ///
    /// The workflow publishes the images when a tag is pushed.
    #[arg(long, value_name = "FORGE")]
    pub ci: Option<CiService>,
    /// Compile each platform in a separate CI job
    ///
    /// Jobs run on native runners if the CI service has them.
    #[arg(long, requires = "ci")]
    pub ci_native: bool,
    /// Overwrite existing files
    ///
    /// With --registry, --template or --ci, an existing configuration is kept, and only the registry, the template or the
    /// workflow is overwritten.
    #[arg(long)]
    pub force: bool,
    /// Print the files without writing them
    #[arg(long)]
    pub dry_run: bool,
    /// Path to Cargo.toml
    #[arg(long, value_name = "PATH")]
    pub manifest_path: Option<Utf8PathBuf>,
    /// Run without accessing the network
    #[arg(long)]
    pub offline: bool,
}
