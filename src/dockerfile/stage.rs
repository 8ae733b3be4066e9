//! Dockerfile stages: the inputs for evaluating a stage, and the resulting copies and image configuration.

use anyhow::Result;
use indexmap::IndexMap;
use parse_dockerfile::{Dockerfile, Instruction};
use serde_json::Value;

use super::build_args::{GlobalArgs, global_args, passed_args};
use super::error::StageError;
use super::{empty_command, instructions, render};
use crate::error::{Class, Failure};
use crate::plan::Image;
use crate::platform::Platform;

/// A rendered Dockerfile and the inputs for evaluating its stages.
pub(crate) struct StageSource<'a> {
    /// Name of the image that the Dockerfile builds.
    pub image: &'a str,
    pub dockerfile: &'a render::Dockerfile,
    /// The text of the Dockerfile, with placeholders for empty commands.
    pub text: String,
    /// Values of the build arguments passed to the build, keyed by name.
    pub passed_args: IndexMap<String, String>,
    /// Paths of all binaries in the build context.
    pub binaries: Vec<String>,
}

/// A copy from the build context into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StageCopy {
    /// Normalized paths, relative to the build context. Empty for WORKDIR, which only creates a directory.
    pub sources: Vec<String>,
    /// Absolute path in the image. A trailing `/` marks a directory.
    pub target: String,
    /// Mode for the copied files and directories. `None` keeps their existing modes.
    pub mode: Option<u32>,
    /// Owner as `user[:group]`, by ID or name. `None` means root.
    pub owner: Option<String>,
    /// Text of the instruction, for the image history.
    pub text: String,
}

/// The result of evaluating a stage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stage {
    /// Argument of FROM, as written in the Dockerfile.
    pub from: String,
    pub copies: Vec<StageCopy>,
    /// The `config` object of the image configuration (image-spec, config.md, with Docker's extensions).
    pub config: Value,
}

impl<'a> StageSource<'a> {
    pub(crate) fn new(image: &'a Image, dockerfile: &'a render::Dockerfile, source_date_epoch: u64) -> StageSource<'a> {
        StageSource {
            image: &image.name,
            dockerfile,
            text: empty_command::insert_placeholders(&dockerfile.text),
            passed_args: passed_args(image, dockerfile, source_date_epoch),
            binaries: render::staged_binaries(image),
        }
    }

    /// Reports whether a path in the build context refers to a binary.
    pub(crate) fn is_binary(&self, path: &str) -> bool {
        self.binaries.iter().any(|binary| binary == path)
    }

    pub(crate) fn parse(&self) -> Result<Dockerfile<'_>, Failure> {
        parse_dockerfile::parse(&self.text).map_err(|error| {
            Failure::new(
                Class::Config,
                format!("image '{}': the embedded engine cannot parse the Dockerfile: {error}", self.image),
            )
            .hint("print the Dockerfile with `cargo multiarch dockerfile`")
            .hint("or use buildx: `--engine buildx`")
        })
    }

    /// Evaluates the ARG instructions before the first FROM.
    pub(crate) fn global_args(&self, parsed: &Dockerfile<'_>, platform: Platform) -> Result<GlobalArgs, StageError> {
        global_args(parsed.global_args(), &self.passed_args, platform)
    }

    /// Returns the first line of an instruction.
    pub(crate) fn first_line(&self, instruction: &Instruction<'_>) -> &'a str {
        let start = instructions::offset(instruction).unwrap_or_default();
        self.dockerfile.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim()
    }

    /// Converts an error into a failure with the location in the template and a hint.
    pub(crate) fn failure(&self, error: &StageError, stage: &str, line: &str) -> Failure {
        let image = self.image;
        let location = self.dockerfile.locate(stage, line);
        match error {
            StageError::Unsupported(feature) => Failure::new(
                Class::Config,
                format!("image '{image}': {location}: the embedded engine does not support {feature}"),
            )
            .hint("use buildx: `--engine buildx`"),
            StageError::Invalid(problem) => {
                Failure::new(Class::Config, format!("image '{image}': {location}: {problem}: {line}"))
                    .hint("print the rendered template with `cargo multiarch dockerfile`")
            }
        }
    }
}
