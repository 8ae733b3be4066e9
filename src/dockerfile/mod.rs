//! Dockerfiles: templates, rendering, parsing, and evaluating a stage. Knows no engine.

pub mod build_args;
pub mod embedded_support;
pub mod error;
pub mod evaluate;
pub mod expand;
pub mod instructions;
pub mod pinned_bases;
pub mod ports;
pub mod read_stage;
pub mod render;
pub mod stage;
pub mod stage_config;
pub mod template;
pub mod template_check;
