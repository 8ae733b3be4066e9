//! Checks an image against the user's policy: forbidden libraries, static linking, a non-root user, size, labels and
//! annotations.

use std::collections::HashMap;

use super::dynamic_link::ProgramLinkage;
use super::exec_context::ExecContext;
use crate::config::policy::{Policy, RequiredMetadata};
use crate::finding::{DENIED_LIBRARY, Finding, MISSING_ANNOTATION, MISSING_LABEL, NOT_STATIC, ROOT_USER, TOO_LARGE};
use crate::ui::size;

/// The programs that a container runs.
pub(crate) struct LinkedPrograms {
    /// Programs that ENTRYPOINT and CMD start, in the order in which they start.
    pub main: Vec<ProgramLinkage>,
    /// Programs that the health check runs.
    pub health_check: Vec<ProgramLinkage>,
}

impl LinkedPrograms {
    /// Returns the last program that ENTRYPOINT and CMD start. Those before it are shells and init programs.
    pub(crate) fn main_program(&self) -> Option<&ProgramLinkage> {
        self.main.last()
    }
}

/// Checks one platform against the policy.
pub(crate) fn check(policy: &Policy, context: &ExecContext<'_>, programs: &LinkedPrograms) -> Vec<Finding> {
    let mut findings = Vec::new();
    for program in programs.main.iter().chain(&programs.health_check) {
        let denied = |library: &&String| policy.deny_needed.iter().any(|glob| glob.matches(library));
        findings.extend(program.libraries.iter().filter(denied).map(|library| {
            DENIED_LIBRARY
                .finding(
                    format!("needs {library}, which deny-needed forbids"),
                    "link the library statically, or remove the dependency",
                )
                .in_file(format!("/{}", program.path))
        }));
    }
    // Only the main program must be static. Shells, init programs and health checks may be dynamically linked.
    if let Some(program) = programs.main_program()
        && policy.static_only
        && program.is_dynamic
    {
        let fix = "link it statically: set libc = \"musl\"";
        findings.push(
            NOT_STATIC
                .finding("is dynamically linked, which static-only forbids", fix)
                .in_file(format!("/{}", program.path)),
        );
    }
    if policy.non_root_only && context.user.as_ref().is_some_and(|user| user.uid == 0) {
        findings.push(
            ROOT_USER.finding(
                "the container runs as root, which non-root-only forbids",
                "set a user: user = \"65532:65532\"",
            ),
        );
    }
    let labels = context.config.config().as_ref().and_then(|config| config.labels().clone()).unwrap_or_default();
    findings.extend(policy.require_labels.iter().filter_map(|required| {
        let reason = unmet(required, &labels)?;
        Some(
            MISSING_LABEL.finding(
                format!("label {reason}"),
                format!("set the label: labels = {{ \"{}\" = \"…\" }}", required.name),
            ),
        )
    }));
    findings
}

/// Checks the total size of a platform's config and layers.
pub(crate) fn check_size(policy: &Policy, bytes: u64) -> Option<Finding> {
    let limit = policy.max_size.map(|limit| limit.as_u64()).filter(|limit| bytes > *limit)?;
    let reason = format!(
        "image size is {}, which exceeds max-size ({}) by {}",
        size::format_bytes(bytes),
        size::format_bytes(limit),
        size::format_bytes(bytes - limit)
    );
    Some(TOO_LARGE.finding(
        reason,
        "run `docker history IMAGE` to see the size of each layer, and set strip = true in the Cargo profile to shrink binaries",
    ))
}

/// Checks the annotations of an index, or of the manifest if there is no index.
pub(crate) fn check_annotations(policy: &Policy, annotations: &HashMap<String, String>) -> Vec<Finding> {
    let missing = policy.require_annotations.iter().filter_map(|required| {
        let reason = unmet(required, annotations)?;
        let fix = format!("set the annotation: annotations = {{ \"{}\" = \"…\" }}", required.name);
        Some(MISSING_ANNOTATION.finding(format!("annotation {reason}"), fix))
    });
    missing.collect()
}

/// Describes how a label or annotation violates a requirement. Returns `None` if it meets the requirement.
fn unmet(required: &RequiredMetadata, actual: &HashMap<String, String>) -> Option<String> {
    match (actual.get(&required.name), &required.value) {
        (None, _) => Some(format!("{} is missing", required.name)),
        (Some(value), Some(glob)) if !glob.matches(value) => {
            Some(format!("{} is \"{value}\", expected {glob}", required.name))
        }
        _ => None,
    }
}
