//! What a stage of a Dockerfile does, where it needs no program to run: copies, and changes of the config. Pure.
//! Both engines build from the same text, so that there is one description of an image.

use anyhow::Result;
use indexmap::IndexMap;
use parse_dockerfile::{Dockerfile, Instruction};
use serde_json::Value;

use super::build_args::{BuildArgs, outer};
use super::error::StageError;
use super::read_stage::keyword;
use super::render;
use crate::error::{Class, Failure};
use crate::platform::Platform;

/// A rendered Dockerfile, and what it is read with.
#[derive(Clone, Copy)]
pub struct StageSource<'a> {
    pub image: &'a str,
    pub dockerfile: &'a render::Dockerfile,
    /// What the build is given from outside.
    pub given: &'a IndexMap<String, String>,
    /// Where the binaries of all platforms are staged.
    pub binaries: &'a [String],
}

/// Bytes of the build context that go into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageCopy {
    /// Relative to the build context, normal; none for a WORKDIR, which makes its folder.
    pub sources: Vec<String>,
    /// Absolute. With a `/` at its end it is a folder.
    pub target: String,
    /// Of files and folders alike, where they don't keep their own.
    pub mode: Option<u32>,
    /// `user[:group]`, in numbers or names; root where there is none.
    pub owner: Option<String>,
    /// The instruction, for the image's history.
    pub text: String,
}

/// What the instructions of a stage come to on top of a base's config.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// As FROM says it.
    pub from: String,
    pub copies: Vec<StageCopy>,
    /// The `config` of an image config (image-spec, config.md, and Docker's additions to it).
    pub config: Value,
}

impl<'a> StageSource<'a> {
    pub fn parse(&self) -> Result<Dockerfile<'a>, Failure> {
        parse_dockerfile::parse(&self.dockerfile.text).map_err(|error| {
            Failure::new(
                Class::Config,
                format!("image '{}': the embedded engine cannot read its Dockerfile: {error}", self.image),
            )
            .hint("see it with `cargo multiarch dockerfile`")
            .hint("or take the other engine: `--engine buildx`")
        })
    }

    /// What is above the first FROM.
    pub fn outer(&self, parsed: &Dockerfile<'_>, platform: Platform) -> Result<BuildArgs, StageError> {
        outer(parsed.global_args(), self.given, platform)
    }

    /// The instruction's first line.
    pub fn line(&self, instruction: &Instruction<'_>) -> &'a str {
        let start = keyword(instruction).unwrap_or_default();
        self.dockerfile.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim()
    }

    /// Says where in which template a fault is, and what to do about it.
    pub fn failure(&self, fault: &StageError, stage: &str, line: &str) -> Failure {
        let image = self.image;
        let place = self.dockerfile.place(stage, line);
        match fault {
            StageError::Unsupported(what) => Failure::new(
                Class::Config,
                format!("image '{image}': the embedded engine cannot do {what} of its template {place}"),
            )
            .hint("take the other engine: `--engine buildx`"),
            StageError::Invalid(what) => {
                Failure::new(Class::Config, format!("image '{image}': {place}: {what}: {line}"))
                    .hint("see what the template comes to with `cargo multiarch dockerfile`")
            }
        }
    }
}
