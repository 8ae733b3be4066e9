//! Checks an image against the user's policy, which goes beyond whether it can start.

use std::collections::HashMap;

use super::dynamic_link::ProgramLinkage;
use super::exec_context::ExecContext;
use crate::config::policy::{Policy, RequiredMetadata};
use crate::finding::{DENIED_LIBRARY, Finding, MISSING_ANNOTATION, MISSING_LABEL, NOT_STATIC, ROOT_USER, TOO_LARGE};
use crate::ui::size;

/// Checks one platform. `programs` are those that it starts.
pub(crate) fn check(policy: &Policy, context: &ExecContext<'_>, programs: &[ProgramLinkage]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for program in programs {
        let denied = |library: &&String| policy.deny_needed.iter().any(|glob| glob.matches(library));
        findings.extend(program.libraries.iter().filter(denied).map(|library| {
            DENIED_LIBRARY
                .finding(
                    format!("leads to {library}, which deny-needed forbids"),
                    "link it statically, or do without it",
                )
                .in_file(format!("/{}", program.path))
        }));
    }
    // The last program is the image's purpose; a shell or an init program before it may be dynamic.
    if let Some(program) = programs.last()
        && policy.static_only
        && program.is_dynamic
    {
        let fix = "link it statically: libc = \"musl\"";
        findings.push(
            NOT_STATIC
                .finding("is linked dynamically, and static-only forbids that", fix)
                .in_file(format!("/{}", program.path)),
        );
    }
    if policy.non_root_only && context.user.as_ref().is_some_and(|user| user.uid == 0) {
        findings.push(
            ROOT_USER.finding("it runs as root, which non-root-only forbids", "name a user: user = \"65532:65532\""),
        );
    }
    let labels = context.config.config().as_ref().and_then(|config| config.labels().clone()).unwrap_or_default();
    findings.extend(policy.require_labels.iter().filter_map(|required| {
        let reason = unmet(required, &labels)?;
        Some(
            MISSING_LABEL
                .finding(format!("label {reason}"), format!("set it: labels = {{ \"{}\" = \"…\" }}", required.name)),
        )
    }));
    findings
}

/// Checks the size of a platform's config and layers.
pub(crate) fn check_size(policy: &Policy, bytes: u64) -> Option<Finding> {
    let most = policy.max_size.map(|most| most.as_u64()).filter(|most| bytes > *most)?;
    let reason = format!(
        "its layers have {}, {} more than the {} that max-size allows",
        size::format_bytes(bytes),
        size::format_bytes(bytes - most),
        size::format_bytes(most)
    );
    Some(TOO_LARGE.finding(
        reason,
        "see what is in it: `docker history IMAGE`; strip = true in the profile makes binaries smaller",
    ))
}

/// Checks the annotations of an index, or of a single manifest.
pub(crate) fn check_annotations(policy: &Policy, annotations: &HashMap<String, String>) -> Vec<Finding> {
    let missing = policy.require_annotations.iter().filter_map(|required| {
        let reason = unmet(required, annotations)?;
        let fix = format!("set it: annotations = {{ \"{}\" = \"…\" }}", required.name);
        Some(MISSING_ANNOTATION.finding(format!("annotation {reason}"), fix))
    });
    missing.collect()
}

/// Returns why a required label or annotation is missing.
fn unmet(required: &RequiredMetadata, actual: &HashMap<String, String>) -> Option<String> {
    match (actual.get(&required.name), &required.value) {
        (None, _) => Some(format!("{} is not there", required.name)),
        (Some(value), Some(glob)) if !glob.matches(value) => {
            Some(format!("{} is \"{value}\", wanted {glob}", required.name))
        }
        _ => None,
    }
}
