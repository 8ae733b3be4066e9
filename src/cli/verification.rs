//! Arguments of `verify`, and the `--smoke` option.

use clap::{Arg, Args};

use super::policy::PolicyArgs;
use super::value_parsers::{Words, parse_platform, parse_words};
use super::{AccessArgs, MessageFormat};
use crate::finding::CheckCode;
use crate::oci::transport::ImageLocation;
use crate::plan::PlanRequest;
use crate::platform::Platform;

const IMAGES_HELP: &str = "Images to verify

Each image is a registry reference, oci:DIR[:NAME], oci-archive:FILE[:NAME] or docker-archive:FILE[:NAME].";

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Images to verify
    #[arg(value_name = "IMAGE", required_unless_present = "explain", long_help = IMAGES_HELP)]
    pub images: Vec<ImageLocation>,
    /// Explain a check by its code or name, or list all checks
    #[arg(long, value_name = "CODE", num_args = 0..=1, conflicts_with = "images")]
    pub explain: Option<Option<CheckCode>>,
    /// Verify only these platforms (comma-separated)
    #[arg(long = "platform", value_name = "PLATFORM", value_delimiter = ',', value_parser = parse_platform)]
    pub platforms: Vec<Platform>,
    /// Require the image to include these platforms (comma-separated)
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', value_parser = parse_platform)]
    pub require: Vec<Platform>,
    /// Access these registries over plain HTTP
    ///
    /// Loopback registries always use plain HTTP.
    #[arg(
        long = "insecure-registry",
        value_name = "HOST[:PORT]",
        value_delimiter = ',',
        env = "MULTIARCH_INSECURE_REGISTRIES",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub insecure_registries: Vec<String>,
    #[command(flatten)]
    pub access: AccessArgs,
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub message_format: MessageFormat,
}

/// Shows policy options in the short help of `verify`. Other commands show them only in the full help.
pub(crate) fn show_policy_in_short_help(arg: Arg) -> Arg {
    let is_policy = arg.get_help_heading() == Some("Verification");
    if is_policy { arg.hide_short_help(false) } else { arg }
}

#[derive(Debug, Args)]
pub(crate) struct SmokeArgs {
    /// Run each platform's image with these arguments before tags are moved
    ///
    /// The arguments are passed to the image's entrypoint, as in --smoke='--version'. Every run must exit with status
    /// 0.
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
    /// Adds the smoke run's arguments to a plan request.
    pub(crate) fn add_to(&self, request: PlanRequest) -> PlanRequest {
        PlanRequest { smoke: self.smoke.clone().map(|Words(words)| words), ..request }
    }
}
