//! What a command prints about a plan, a run or a verified image: JSON reports, tables, graphs and pages. Builds text and
//! prints nothing itself.

pub mod build_report;
pub mod checklist;
pub mod checks_table;
pub mod graph;
pub mod html;
pub mod plan_json;
pub mod plan_table;
pub mod references;
pub mod schema;
pub mod short_digest;
pub mod timings_page;
pub mod verify_report;
pub mod verify_table;

#[cfg(test)]
mod browser_tests;
#[cfg(test)]
mod samples;

pub use build_report::{MovedTag, Report, ReportInputs, ReportedImage};
pub use short_digest::shorten_digest;
pub use verify_report::FailedVerification;
