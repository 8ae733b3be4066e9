//! The subcommands, one file or directory each. Only this directory composes stages.

pub mod build;
pub mod build_images;
pub mod compile;
pub mod completions;
pub mod dockerfile;
pub mod doctor;
pub mod findings;
pub mod init;
pub mod load_plan;
pub mod man;
pub mod plan;
pub mod prepare;
pub mod publish;
pub mod results;
pub mod schema;
pub mod timings_page;
pub mod verify;
pub mod zig;
