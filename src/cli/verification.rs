//! Flags of `verify`, and of the smoke run.

use clap::Args;

use super::output::MessageFormat;
use super::policy::PolicyArgs;
use super::value_parsers::{Words, parse_platform, parse_words};
use crate::finding::CheckCode;
use crate::oci::transport::ImageLocation;
use crate::plan::PlanRequest;
use crate::platform::Platform;

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
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

#[derive(Debug, Args)]
pub(crate) struct SmokeArgs {
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

impl SmokeArgs {
    /// Adds the smoke command to a request.
    pub(crate) fn add_to(&self, request: PlanRequest) -> PlanRequest {
        PlanRequest { smoke: self.smoke.clone().map(|Words(words)| words), ..request }
    }
}
