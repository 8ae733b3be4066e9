//! The fixes that `--fix` can apply. All of them are commands that `publish` would run anyway or that need no
//! additional permissions.

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::Serialize;

use crate::compile::toolchain::Toolchain;
use crate::compile::{zig_install, zig_package};
use crate::error::{Class, all_hints, failure_class, message_with_causes};
use crate::image::buildx::builder::{self, Builder};
use crate::image::buildx::qemu;
use crate::plan::Paths;
use crate::platform::Platform;
use crate::ui::Ui;

/// A fix that `--fix` can apply.
pub(crate) enum Fix {
    /// Install standard libraries with rustup.
    InstallStd(Box<Toolchain>),
    /// Install zig into this cache directory.
    InstallZig(Utf8PathBuf),
    /// Create a builder for multi-platform images.
    CreateBuilder(Box<Paths>, Builder),
    /// Register QEMU with the kernel by running a privileged container.
    RegisterQemu(Vec<Platform>),
}

/// The outcome of applying a fix.
#[derive(Debug, Serialize)]
pub(crate) struct FixResult {
    command: String,
    error: Option<String>,
    /// The class of the error, if the fix failed.
    #[serde(skip)]
    pub error_class: Option<Class>,
}

impl Fix {
    /// Returns the fix's command line as a user would type it.
    pub(crate) fn command(&self) -> String {
        match self {
            Fix::InstallStd(toolchain) => format!("rustup target add {}", toolchain.missing_std().join(" ")),
            Fix::InstallZig(cache_dir) => zig_package::install_command(cache_dir).to_string(),
            Fix::CreateBuilder(paths, builder) => {
                builder::create_command(builder, paths).map(|cmd| cmd.to_string()).unwrap_or_default()
            }
            Fix::RegisterQemu(platforms) => qemu::install_command(platforms).to_string(),
        }
    }

    /// Applies the fix and prints the outcome. Returns an error only if the fix is interrupted.
    pub(crate) fn apply(self, ui: &Ui) -> Result<FixResult> {
        let command = self.command();
        ui.status("Fixing", format!("with `{command}`"));
        let result = match self {
            Fix::InstallStd(toolchain) => toolchain.install_std(ui).map(drop),
            Fix::InstallZig(cache_dir) => zig_install::install(&cache_dir, ui),
            Fix::CreateBuilder(paths, builder) => builder::create(&builder, &paths, ui),
            Fix::RegisterQemu(platforms) => qemu::install_command(&platforms).read().map(drop),
        };
        match result {
            Ok(()) => {
                ui.status("Fixed", format!("with `{command}`"));
                Ok(FixResult { command, error: None, error_class: None })
            }
            Err(error) if failure_class(&error) == Class::Interrupted => Err(error),
            Err(error) => {
                let hints = all_hints(&error).into_iter().map(str::to_owned);
                let message = std::iter::once(message_with_causes(&error)).chain(hints).collect::<Vec<_>>().join("; ");
                ui.warning(&message);
                Ok(FixResult { command, error: Some(message), error_class: Some(failure_class(&error)) })
            }
        }
    }
}
