//! Options that set the verification policy.

use bytesize::ByteSize;
use clap::Args;

use super::value_parsers::{non_empty, parse_size};
use crate::config::Config;
use crate::config::policy::{Glob, RequiredMetadata};
use crate::finding::CheckCode;

/// Options that set requirements for an image beyond being able to start.
#[derive(Debug, Default, Args)]
pub(crate) struct PolicyArgs {
    /// Ignore these findings, by code or name
    #[arg(long, value_name = "CODE", value_delimiter = ',', help_heading = "Verification")]
    allow: Vec<CheckCode>,
    /// Reject these shared libraries, such as 'libssl*'
    ///
    /// A library is rejected if a program loads it, directly or indirectly.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',', hide_short_help = true, help_heading = "Verification")]
    deny_needed: Vec<Glob>,
    /// Require programs to be statically linked
    #[arg(long, hide_short_help = true, help_heading = "Verification")]
    static_only: bool,
    /// Require a user other than root
    #[arg(long, hide_short_help = true, help_heading = "Verification")]
    non_root_only: bool,
    /// Maximum image size per platform, such as 50MB
    ///
    /// The size includes the config and the compressed layers.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, hide_short_help = true, help_heading = "Verification")]
    max_size: Option<ByteSize>,
    /// Require labels on the image
    #[arg(
        long = "require-label",
        value_name = "NAME[=PATTERN]",
        value_delimiter = ',',
        hide_short_help = true,
        help_heading = "Verification"
    )]
    require_labels: Vec<RequiredMetadata>,
    /// Require annotations on the image
    ///
    /// They must be on the index or, if the image has no index, on the manifest.
    #[arg(
        long = "require-annotation",
        value_name = "NAME[=PATTERN]",
        value_delimiter = ',',
        hide_short_help = true,
        help_heading = "Verification"
    )]
    require_annotations: Vec<RequiredMetadata>,
}

impl PolicyArgs {
    /// Returns the policy as a configuration that overrides the configuration files.
    pub(crate) fn config(&self) -> Config {
        Config {
            allow: non_empty(&self.allow),
            deny_needed: non_empty(&self.deny_needed),
            static_only: self.static_only.then_some(true),
            non_root_only: self.non_root_only.then_some(true),
            max_size: self.max_size,
            require_labels: non_empty(&self.require_labels),
            require_annotations: non_empty(&self.require_annotations),
            ..Config::default()
        }
    }
}
