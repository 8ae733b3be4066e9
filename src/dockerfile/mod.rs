//! Renders Dockerfiles from templates, and parses and evaluates their stages. Independent of the build engine.

pub(crate) mod build_args;
pub(crate) mod embedded_support;
pub(crate) mod empty_command;
pub(crate) mod error;
pub(crate) mod evaluate;
pub(crate) mod expand;
pub(crate) mod instructions;
pub(crate) mod pinned_bases;
pub(crate) mod ports;
pub(crate) mod read_stage;
pub(crate) mod render;
pub(crate) mod required_copy;
pub(crate) mod run_order;
pub(crate) mod stage;
pub(crate) mod stage_config;
pub(crate) mod template;
pub(crate) mod template_check;
