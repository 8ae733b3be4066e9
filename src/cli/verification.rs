//! What was typed of images to verify, of what an image must keep to, and of its smoke run.

use bytesize::ByteSize;
use clap::Args;

use super::{MessageFormat, given, parse_platform};
use crate::config::Config;
use crate::config::policy::{Glob, Required};
use crate::finding::CheckCode;
use crate::oci::transport::ImageLocation;
use crate::plan::PlanRequest;
use crate::platform::Platform;

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A reference, `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]` or `docker-archive:FILE[:NAME]`
    #[arg(value_name = "IMAGE", required_unless_present = "explain")]
    pub images: Vec<ImageLocation>,
    /// Say what a finding means and how to mend it, by its code or name, or list them all; and verify nothing
    #[arg(long, value_name = "CODE", num_args = 0..=1, conflicts_with = "images")]
    pub explain: Option<Option<CheckCode>>,
    /// Look at these platforms only
    #[arg(long = "platform", value_name = "PLATFORM", value_delimiter = ',', value_parser = parse_platform)]
    pub platforms: Vec<Platform>,
    /// Platforms that must be there
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', value_parser = parse_platform)]
    pub require: Vec<Platform>,
    /// A registry that is spoken to by plain HTTP; those on loopback are anyway
    #[arg(
        long = "insecure-registry",
        value_name = "HOST[:PORT]",
        value_delimiter = ',',
        env = "MULTIARCH_INSECURE_REGISTRIES",
        hide_env_values = true
    )]
    pub insecure_registries: Vec<String>,
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// The form of the result on stdout: a table, or JSON
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub message_format: MessageFormat,
}

/// What an image must keep to beyond starting.
#[derive(Debug, Default, Args)]
pub struct PolicyArgs {
    /// Findings that do not count, by their codes
    #[arg(long, value_name = "CODE", value_delimiter = ',', help_heading = "Verification")]
    allow: Vec<CheckCode>,
    /// Libraries that no program may lead to, such as 'libssl*'
    #[arg(long, value_name = "PATTERN", value_delimiter = ',', help_heading = "Verification")]
    deny_needed: Vec<Glob>,
    /// Programs must be linked statically
    #[arg(long, help_heading = "Verification")]
    static_only: bool,
    /// The user must not be root
    #[arg(long, help_heading = "Verification")]
    non_root_only: bool,
    /// The most that a platform's config and layers may have, such as 50MB
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Verification")]
    max_size: Option<ByteSize>,
    /// Labels that must be there, or match: NAME, NAME=PATTERN
    #[arg(long = "require-label", value_name = "NAME[=PATTERN]", value_delimiter = ',', help_heading = "Verification")]
    require_labels: Vec<Required>,
    /// Annotations of the index that must be there, or match
    #[arg(
        long = "require-annotation",
        value_name = "NAME[=PATTERN]",
        value_delimiter = ',',
        help_heading = "Verification"
    )]
    require_annotations: Vec<Required>,
}

impl PolicyArgs {
    /// As a layer over the configuration.
    pub fn config(&self) -> Config {
        Config {
            allow: given(&self.allow),
            deny_needed: given(&self.deny_needed),
            static_only: self.static_only.then_some(true),
            non_root_only: self.non_root_only.then_some(true),
            max_size: self.max_size,
            require_labels: given(&self.require_labels),
            require_annotations: given(&self.require_annotations),
            ..Config::default()
        }
    }
}

#[derive(Debug, Args)]
pub struct SmokeArgs {
    /// Run every platform's image with these words after its entrypoint before a tag moves, such as '--version'
    #[arg(
        long,
        value_name = "WORDS",
        allow_hyphen_values = true,
        value_parser = parse_words,
        help_heading = "Verification"
    )]
    smoke: Option<Words>,
}

/// Words as a shell splits them.
#[derive(Debug, Clone)]
struct Words(Vec<String>);

fn parse_size(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| format!("'{text}' is no size: a number and a unit, such as 50MB or 1.5GiB"))
}

fn parse_words(text: &str) -> Result<Words, String> {
    shell_words::split(text).map(Words).map_err(|error| error.to_string())
}

impl SmokeArgs {
    /// Adds the words to what a run asks for.
    pub fn add_to(&self, request: PlanRequest) -> PlanRequest {
        PlanRequest { smoke: self.smoke.clone().map(|Words(words)| words), ..request }
    }
}
