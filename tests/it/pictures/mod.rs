//! What is drawn of plans and of runs: from data, by the whole program, and as a browser shows it.

mod graph;
pub mod samples;
