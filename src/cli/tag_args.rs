//! Options that allow tags to be overwritten or to move to a lower version.

use clap::Args;
use clap::builder::BoolishValueParser;

use crate::plan::{PlanRequest, TagPermissions};

#[derive(Debug, Args)]
pub(crate) struct OverwriteArgs {
    /// Allow immutable tags to move to another image
    ///
    /// By default, publishing another image under the same version is an error.
    #[arg(
        long,
        value_parser = BoolishValueParser::new(),
        env = "MULTIARCH_ALLOW_OVERWRITE",
        hide_env_values = true,
        help_heading = "Image"
    )]
    allow_overwrite: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// Allow tags to move to a lower version
    ///
    /// By default, tags such as `latest` stay at the highest version.
    #[arg(
        long,
        value_parser = BoolishValueParser::new(),
        env = "MULTIARCH_ALLOW_DOWNGRADE",
        hide_env_values = true,
        help_heading = "Image"
    )]
    allow_downgrade: bool,
}

impl OverwriteArgs {
    /// Adds this option to a plan request.
    pub(crate) fn add_to(&self, request: PlanRequest) -> PlanRequest {
        let tag_permissions = TagPermissions { overwrite: self.allow_overwrite, ..request.tag_permissions };
        PlanRequest { tag_permissions, ..request }
    }
}

impl TagArgs {
    /// Adds these options to a plan request.
    pub(crate) fn add_to(&self, request: PlanRequest) -> PlanRequest {
        let request = self.overwrite.add_to(request);
        let tag_permissions = TagPermissions { downgrade: self.allow_downgrade, ..request.tag_permissions };
        PlanRequest { tag_permissions, ..request }
    }
}
