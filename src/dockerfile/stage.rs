//! What a stage of a Dockerfile does, if it needs no program to run: copies, and changes of the config.
//! Both engines build from the same text, so that there is one description of an image.

use anyhow::Result;
use indexmap::IndexMap;
use parse_dockerfile::{Dockerfile, Instruction};
use serde_json::Value;

use super::build_args::{GlobalArgs, global_args, passed_args};
use super::error::StageError;
use super::{instructions, render};
use crate::error::{Class, Failure};
use crate::plan::Image;
use crate::platform::Platform;

/// A rendered Dockerfile and what its stages are evaluated with.
pub(crate) struct StageSource<'a> {
    /// The image's name.
    pub image: &'a str,
    pub dockerfile: &'a render::Dockerfile,
    /// The build arguments that are passed from outside.
    pub passed_args: IndexMap<String, String>,
    /// The paths in the build context of the binaries of all platforms.
    pub binaries: Vec<String>,
}

/// Files of the build context that go into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StageCopy {
    /// Normalized, and relative to the build context. Empty for a WORKDIR, which creates its directory.
    pub sources: Vec<String>,
    /// Absolute. A directory if it ends with `/`.
    pub target: String,
    /// The mode of files and directories. `None` if they keep their own.
    pub mode: Option<u32>,
    /// `user[:group]`, in numbers or names. `None` is root.
    pub owner: Option<String>,
    /// The instruction, for the image's history.
    pub text: String,
}

/// An evaluated stage: the copies and the config that its instructions make of a base.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stage {
    /// The argument of FROM, as written.
    pub from: String,
    pub copies: Vec<StageCopy>,
    /// The `config` of an image config (image-spec, config.md, and Docker's additions to it).
    pub config: Value,
}

impl<'a> StageSource<'a> {
    pub(crate) fn new(image: &'a Image, dockerfile: &'a render::Dockerfile, source_date_epoch: u64) -> StageSource<'a> {
        StageSource {
            image: &image.name,
            dockerfile,
            passed_args: passed_args(image, dockerfile, source_date_epoch),
            binaries: render::staged_binaries(image),
        }
    }

    /// Whether a path in the build context is that of a binary of some platform.
    pub(crate) fn is_binary(&self, path: &str) -> bool {
        self.binaries.iter().any(|binary| binary == path)
    }

    pub(crate) fn parse(&self) -> Result<Dockerfile<'a>, Failure> {
        parse_dockerfile::parse(&self.dockerfile.text).map_err(|error| {
            Failure::new(
                Class::Config,
                format!("image '{}': the embedded engine cannot read its Dockerfile: {error}", self.image),
            )
            .hint("see it with `cargo multiarch dockerfile`")
            .hint("or take the other engine: `--engine buildx`")
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

    /// An error that names the template and the line, with a hint.
    pub(crate) fn failure(&self, error: &StageError, stage: &str, line: &str) -> Failure {
        let image = self.image;
        let location = self.dockerfile.locate(stage, line);
        match error {
            StageError::Unsupported(feature) => Failure::new(
                Class::Config,
                format!("image '{image}': the embedded engine cannot do {feature} of its template {location}"),
            )
            .hint("take the other engine: `--engine buildx`"),
            StageError::Invalid(problem) => {
                Failure::new(Class::Config, format!("image '{image}': {location}: {problem}: {line}"))
                    .hint("see what the template comes to with `cargo multiarch dockerfile`")
            }
        }
    }
}
