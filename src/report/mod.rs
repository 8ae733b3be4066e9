//! Renders plans, runs, and verified images as JSON, tables, graphs, and HTML pages. Returns text for the commands to
//! print.

#[cfg(test)]
mod browser_tests;
pub(crate) mod build_report;
pub(crate) mod checklist;
pub(crate) mod checks_table;
pub(crate) mod graph;
pub(crate) mod html;
pub(crate) mod plan_json;
pub(crate) mod plan_table;
pub(crate) mod references;
#[cfg(test)]
mod samples;
pub(crate) mod schema;
pub(crate) mod timings_page;
pub(crate) mod verify_report;
pub(crate) mod verify_table;

pub(crate) use build_report::{Report, ReportInputs, ReportedImage, TagOutcome};
pub(crate) use verify_report::FailedVerification;
