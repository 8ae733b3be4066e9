//! What `--fix` does: what a publish would do by itself, or needs no other rights than hers.

use anyhow::Result;
use serde::Serialize;

use crate::compile::toolchain::Toolchain;
use crate::error::{Class, class_of, hints_of, sentence};
use crate::image::buildx::builder::{self, Builder};
use crate::image::buildx::qemu;
use crate::plan::Plan;
use crate::platform::Platform;
use crate::ui::Ui;

pub enum Repair {
    /// Standard libraries, by rustup.
    Std(Box<Toolchain>),
    /// A builder for several platforms.
    Builder(Box<Plan>, Builder),
    /// QEMU in the kernel, by a container that registers it.
    Emulation(Vec<Platform>),
}

/// What was run, and what it said where it failed.
#[derive(Debug, Serialize)]
pub struct Done {
    command: String,
    error: Option<String>,
    /// The kind of failure that it was.
    #[serde(skip)]
    pub failed: Option<Class>,
}

impl Repair {
    /// As one would type it.
    pub fn command(&self) -> String {
        match self {
            Repair::Std(toolchain) => format!("rustup target add {}", toolchain.missing_std().join(" ")),
            Repair::Builder(plan, builder) => {
                builder::create_command(plan, builder).map(|cmd| cmd.to_string()).unwrap_or_default()
            }
            Repair::Emulation(platforms) => qemu::install_command(platforms).to_string(),
        }
    }

    /// Shows the command, runs it, and says what came of it; fails for Ctrl-C alone.
    pub fn run(self, ui: &Ui) -> Result<Done> {
        let command = self.command();
        ui.status("Fixing", format!("by `{command}`"));
        let result = match self {
            Repair::Std(toolchain) => toolchain.install_std(ui).map(drop),
            Repair::Builder(plan, builder) => builder::make(&plan, &builder, ui),
            Repair::Emulation(platforms) => qemu::install_command(&platforms).read().map(drop),
        };
        match result {
            Ok(()) => {
                ui.status("Fixed", format!("by `{command}`"));
                Ok(Done { command, error: None, failed: None })
            }
            Err(error) if class_of(&error) == Class::Interrupted => Err(error),
            Err(error) => {
                let said = std::iter::once(sentence(&error)).chain(hints_of(&error).into_iter().map(str::to_owned));
                let said = said.collect::<Vec<_>>().join("; ");
                ui.warning(&said);
                Ok(Done { command, error: Some(said), failed: Some(class_of(&error)) })
            }
        }
    }
}
