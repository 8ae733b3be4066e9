//! What a command prints about a plan, a run or a verified image: JSON reports, tables, graphs and pages. Builds text and
//! prints nothing itself.

pub(crate) mod build_report;
pub(crate) mod checklist;
pub(crate) mod checks_table;
pub(crate) mod graph;
pub(crate) mod html;
pub(crate) mod plan_json;
pub(crate) mod plan_table;
pub(crate) mod references;
pub(crate) mod schema;
pub(crate) mod short_digest;
pub(crate) mod timings_page;
pub(crate) mod verify_report;
pub(crate) mod verify_table;

#[cfg(test)]
mod browser_tests;
#[cfg(test)]
mod samples;

pub(crate) use build_report::{MovedTag, Report, ReportInputs, ReportedImage};
pub(crate) use short_digest::shorten_digest;
pub(crate) use verify_report::FailedVerification;
