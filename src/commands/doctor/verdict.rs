//! The last line of a run without errors: what the machine can do, and the command to run next.

use std::collections::BTreeSet;

use crate::plan::Plan;
use crate::platform::Platform;
use crate::ui::text::plural;

/// Describes what can be done now, as in `to publish app for linux/amd64: run …`. `has_options` tells whether options
/// changed the configuration for the check.
pub(crate) fn verdict(plan: &Plan, is_workspace: bool, has_options: bool, warnings: usize) -> String {
    let used: BTreeSet<Platform> = plan.platforms().map(|platform| platform.platform).collect();
    let platforms = used.iter().map(Platform::to_string).collect::<Vec<_>>().join(", ");
    let warnings = match warnings {
        0 => String::new(),
        count => format!(" (with {})", plural(count, "warning", "warnings")),
    };
    if !is_workspace {
        return format!("to build for {platforms}{warnings}: run `cargo multiarch init` in a workspace");
    }
    let images = plan.images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>().join(", ");
    let options = if has_options { " with the same options" } else { "" };
    if plan.images.iter().any(|image| image.repositories.is_empty()) {
        let command = "cargo multiarch publish --registry ghcr.io/you";
        return format!("to build {images} for {platforms}{warnings}: choose a registry and run `{command}`{options}");
    }
    format!("to publish {images} for {platforms}{warnings}: run `cargo multiarch publish`{options}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Checkout, ConfigSources, PlanRequest, Workspace, resolve};

    #[test]
    fn the_verdict_names_the_next_command() {
        const ALL: &str = "linux/amd64, linux/arm64";
        for (config, is_workspace, has_options, warnings, expected) in [
            (
                "registry = 'r.example'",
                true,
                false,
                0,
                format!("to publish program for {ALL}: run `cargo multiarch publish`"),
            ),
            (
                "registry = 'r.example'",
                true,
                true,
                1,
                format!(
                    "to publish program for {ALL} (with 1 warning): run `cargo multiarch publish` with the same options"
                ),
            ),
            (
                "",
                true,
                false,
                2,
                format!(
                    "to build program for {ALL} (with 2 warnings): choose a registry and run `cargo multiarch publish \
                     --registry ghcr.io/you`"
                ),
            ),
            ("", false, false, 0, format!("to build for {ALL}: run `cargo multiarch init` in a workspace")),
        ] {
            let sources = ConfigSources { workspace: toml::from_str(config).unwrap(), ..ConfigSources::default() };
            let workspace = Workspace::placeholder("/w".into());
            let plan = resolve(&workspace, &sources, &Checkout::None, &PlanRequest::default()).unwrap();
            assert_eq!(verdict(&plan, is_workspace, has_options, warnings), expected);
        }
    }
}
