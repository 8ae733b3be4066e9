//! Copies of built-in templates for `--template`, and the configuration keys that these copies require.

use crate::config::Config;
use crate::dockerfile::render::built_in;
use crate::plan::BuiltInTemplate;
use crate::platform::Libc;

/// Returns the path of the copy, relative to the workspace root.
pub(crate) fn path(template: BuiltInTemplate) -> String {
    format!("docker/{}.Dockerfile.j2", template.name)
}

pub(crate) fn text(template: BuiltInTemplate) -> String {
    format!(
        "# Run `cargo multiarch dockerfile --variables` to list the available variables.\n{}",
        built_in(template.name)
    )
}

/// Returns the keys to add to `config`. Unlike a built-in template, a copy does not imply a base image and a libc, so
/// they are added unless `config` already sets them.
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

/// Returns the name of a libc, as written in the configuration.
pub(crate) fn libc_name(libc: Libc) -> &'static str {
    match libc {
        Libc::Gnu => "gnu",
        Libc::Musl => "musl",
    }
}
