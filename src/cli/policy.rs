//! Flags that set the policy of an image.

use bytesize::ByteSize;
use clap::Args;

use super::value_parsers::{non_empty, parse_size};
use crate::config::Config;
use crate::config::policy::{Glob, RequiredMetadata};
use crate::finding::CheckCode;

/// Rules that an image must follow, beyond being able to start.
#[derive(Debug, Default, Args)]
pub(crate) struct PolicyArgs {
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
    require_labels: Vec<RequiredMetadata>,
    /// Annotations of the index that must be there, or match
    #[arg(
        long = "require-annotation",
        value_name = "NAME[=PATTERN]",
        value_delimiter = ',',
        help_heading = "Verification"
    )]
    require_annotations: Vec<RequiredMetadata>,
}

impl PolicyArgs {
    /// Returns the rules that were given, as a layer over the configuration files.
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
