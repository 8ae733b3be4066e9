//! The copy of a built-in template that `--template` writes, and the keys that the configuration needs for it.

use crate::config::Config;
use crate::dockerfile::render::built_in;
use crate::plan::BuiltInTemplate;
use crate::platform::Libc;

/// Returns the path of the copy, below the workspace's root.
pub(crate) fn path(template: BuiltInTemplate) -> String {
    format!("docker/{}.Dockerfile.j2", template.name)
}

pub(crate) fn text(template: BuiltInTemplate) -> String {
    format!("# `cargo multiarch dockerfile --variables` lists what can stand here.\n{}", built_in(template.name))
}

/// Returns the keys to add to `config`: a copy does not imply the base and libc of a built-in template.
pub(crate) fn config_keys(template: BuiltInTemplate, config: &Config) -> Vec<(&'static str, String)> {
    let mut keys = vec![("template", path(template))];
    if config.base.is_none() {
        keys.push(("base", template.base.to_owned()));
    }
    if config.libc.is_none() {
        keys.push(("libc", libc_name(template.libc).to_owned()));
    }
    keys
}

/// Returns the name of a C library in the configuration.
pub(crate) fn libc_name(libc: Libc) -> &'static str {
    match libc {
        Libc::Gnu => "gnu",
        Libc::Musl => "musl",
    }
}
