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
    let denied = |programs: &[ProgramLinkage]| -> Vec<Finding> {
        programs.iter().flat_map(|program| denied_libraries(policy, program)).collect()
    };
    let mut findings = denied(&programs.main);
    let mut in_health_check = denied(&programs.health_check);
    in_health_check.retain(|finding| !findings.contains(finding));
    findings.extend(in_health_check.into_iter().map(Finding::in_health_check));
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

/// Returns findings about the libraries of a program that the policy forbids.
fn denied_libraries(policy: &Policy, program: &ProgramLinkage) -> Vec<Finding> {
    let is_denied = |library: &&String| policy.deny_needed.iter().any(|glob| glob.matches(library));
    let denied = program.libraries.iter().filter(is_denied).map(|library| {
        DENIED_LIBRARY
            .finding(
                format!("needs {library}, which deny-needed forbids"),
                "link the library statically, or remove the dependency",
            )
            .in_file(format!("/{}", program.path))
    });
    denied.collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::rootfs::RootFs;

    #[test]
    fn findings_about_libraries_name_the_health_check() {
        let program = |path: &str| ProgramLinkage {
            path: path.to_owned(),
            libraries: ["libssl.so.3".to_owned()].into(),
            ..ProgramLinkage::default()
        };
        let programs =
            LinkedPrograms { main: vec![program("app")], health_check: vec![program("app"), program("usr/bin/curl")] };
        let policy = Policy { deny_needed: vec!["libssl*".parse().unwrap()], ..Policy::default() };
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] }, "config": {},
        });
        let (root, config) = (RootFs::default(), serde_json::from_value(config).unwrap());
        let (context, _) = ExecContext::new(&root, "linux/amd64".parse().unwrap(), &config);
        let findings: Vec<String> = check(&policy, &context, &programs).iter().map(ToString::to_string).collect();
        let expected = [
            "/app needs libssl.so.3, which deny-needed forbids",
            "in HEALTHCHECK: /usr/bin/curl needs libssl.so.3, which deny-needed forbids",
        ];
        assert_eq!(findings, expected);
    }
}
