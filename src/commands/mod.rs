//! The subcommands, one per module, which combine the stages implemented in the rest of the crate.

pub(crate) mod build;
pub(crate) mod build_images;
pub(crate) mod check_images;
pub(crate) mod compile;
pub(crate) mod completions;
pub(crate) mod dockerfile;
pub(crate) mod doctor;
pub(crate) mod findings;
pub(crate) mod init;
pub(crate) mod load_plan;
pub(crate) mod login;
pub(crate) mod man;
pub(crate) mod plan;
pub(crate) mod prepare;
pub(crate) mod publish;
pub(crate) mod registry_access;
pub(crate) mod report_output;
pub(crate) mod schema;
pub(crate) mod timings_page;
pub(crate) mod verify;
pub(crate) mod zig;
