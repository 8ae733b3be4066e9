//! The subcommands, one file or directory each.

pub mod build_images;
pub mod completions;
pub mod doctor;
pub mod findings;
pub mod init;
pub mod man;
pub mod results;
pub mod schema;
pub mod timings_page;
pub mod verify;
