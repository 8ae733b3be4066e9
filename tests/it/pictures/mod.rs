//! What is drawn of plans and of runs: from data, by the whole program, and as a browser shows it.

mod browser;
mod graph;
mod samples;
mod timings;
