//! Checks one platform's root file system and config by following the steps that start a container.

use oci_spec::image::ImageConfiguration;
use serde::Serialize;

use super::dynamic_link::{self, ProgramLinkage};
use super::exec_chain::{self, StartedProgram};
use super::exec_context::ExecContext;
use super::policy::{self, LinkedPrograms};
use crate::config::policy::Policy;
use crate::finding::{FILE_CAPABILITIES, Finding, WRONG_BASE, printable};
use crate::oci::rootfs::{FileContent, RegularFile, RootFs, file_name};
use crate::platform::{ElfIdentity, Platform};

/// Facts about one platform of an image, reported in addition to the findings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Facts"))]
pub(crate) struct PlatformFacts {
    /// Path of the program that the container starts.
    pub program: Option<String>,
    /// C library that the program loads from the image: `musl`, or a version such as `glibc 2.36`. `static` if it loads
    /// none.
    pub libc: Option<String>,
    /// Minimum glibc version that the program needs.
    pub glibc: Option<String>,
    /// Name of the distribution (`PRETTY_NAME` in os-release(5)).
    pub distribution: Option<String>,
}

/// The result of checking a platform.
#[derive(Debug, Default)]
pub(crate) struct CheckedPlatform {
    pub facts: PlatformFacts,
    pub findings: Vec<Finding>,
}

/// Checks a platform's merged file system and config. `health_check` is the program that the health check runs, with its
/// arguments. It is empty if there is no health check.
pub(crate) fn check(
    root: &RootFs,
    platform: Platform,
    config: &ImageConfiguration,
    health_check: &[String],
    policy: &Policy,
) -> CheckedPlatform {
    let (context, mut findings) = ExecContext::new(root, platform, config);
    findings.extend(check_base(&context));
    let chain = exec_chain::follow(&context);
    findings.extend(chain.findings);
    let main = link_programs(&context, &chain.programs, &mut findings);
    let health_check = check_health_check(&context, health_check, &mut findings);
    let programs = LinkedPrograms { main, health_check };
    findings.extend(policy::check(policy, &context, &programs));
    let main_program = programs.main_program();
    let facts = PlatformFacts {
        program: chain.program.as_deref().map(printable),
        libc: main_program.and_then(|program| program.libc.as_deref()).map(printable),
        glibc: main_program.and_then(|program| needed_glibc(&context, &program.path)),
        distribution: distribution(root),
    };
    let mut unique = Vec::new();
    for finding in findings {
        let finding = finding.for_platform(platform.name());
        if !unique.contains(&finding) {
            unique.push(finding);
        }
    }
    CheckedPlatform { facts, findings: unique }
}

/// Checks the dynamic loaders and libraries of programs.
fn link_programs(
    context: &ExecContext<'_>,
    programs: &[StartedProgram],
    findings: &mut Vec<Finding>,
) -> Vec<ProgramLinkage> {
    let mut linked = Vec::new();
    for program in programs {
        let linkage = dynamic_link::check(&context.with_user(program.user.clone()), &program.path);
        findings.extend(linkage.findings.iter().cloned());
        findings.extend(check_capabilities(context, &program.path));
        linked.push(linkage);
    }
    linked
}

/// Checks the programs that the health check runs. Skips findings that ENTRYPOINT or CMD has already caused.
fn check_health_check(
    context: &ExecContext<'_>,
    command: &[String],
    findings: &mut Vec<Finding>,
) -> Vec<ProgramLinkage> {
    let chain = exec_chain::follow_health_check(context, command);
    let mut found = chain.findings;
    let programs = link_programs(context, &chain.programs, &mut found);
    found.retain(|finding| !findings.contains(finding));
    findings.extend(found.into_iter().map(Finding::in_health_check));
    programs
}

/// Warns about a program with capabilities, which the kernel refuses to start if the container may not have all of them
/// (capabilities(7), "Safety checking for capability-dumb binaries").
fn check_capabilities(context: &ExecContext<'_>, path: &str) -> Option<Finding> {
    let names = context.file(path)?.1.capabilities?.names();
    let upper: Vec<String> = names.iter().map(|name| name.to_ascii_uppercase()).collect();
    let reason = format!("requires {} to start", names.join(", "));
    let fix = format!(
        "run it with them, for example `docker run --cap-drop ALL --cap-add {}`, and allow this check",
        upper.join(" --cap-add ")
    );
    Some(FILE_CAPABILITIES.finding(reason, fix).in_file(format!("/{}", path.trim_start_matches('/'))))
}

/// Returns the minimum glibc version that a program needs.
fn needed_glibc(context: &ExecContext<'_>, path: &str) -> Option<String> {
    match context.file(path)?.1 {
        RegularFile { content: FileContent::Program(program), .. } => {
            program.elf.as_ref()?.needed_glibc().as_deref().map(printable)
        }
        _ => None,
    }
}

/// Programs from which to determine a base image's architecture, in order of preference.
const SHELLS: &[&str] = &["/bin/sh", "/bin/busybox", "/bin/bash", "/usr/bin/env"];
const LOADER_PREFIXES: &[&str] = &["ld-linux", "ld-musl", "ld64.so", "ld.so"];

/// Checks that the base image's programs are built for the platform. A static binary starts even on a base for the
/// wrong platform, so no other check would detect this.
fn check_base(context: &ExecContext<'_>) -> Option<Finding> {
    let expected = context.platform.elf_identity();
    let wrong_base = |path: &str, found: ElfIdentity| {
        let fix = "use a base that supports this platform, and refer to it by a multi-platform tag or digest";
        WRONG_BASE.finding(format!("from the base image is built for {found}, expected {expected}"), fix).in_file(path)
    };
    for path in SHELLS {
        if let Some(found) = machine(context, path) {
            return if found.same_machine(&expected) { None } else { Some(wrong_base(path, found)) };
        }
    }
    let mut first = None;
    for (path, _) in ["lib", "usr/lib"].into_iter().flat_map(|dir| context.root.with_prefix(dir)) {
        if !LOADER_PREFIXES.iter().any(|prefix| file_name(path).starts_with(prefix)) {
            continue;
        }
        let path = format!("/{path}");
        let Some(found) = machine(context, &path) else { continue };
        if found.same_machine(&expected) {
            return None;
        }
        first.get_or_insert((path, found));
    }
    let (path, found) = first?;
    Some(wrong_base(&path, found))
}

/// Returns the architecture that the ELF file at a path is built for.
fn machine(context: &ExecContext<'_>, path: &str) -> Option<ElfIdentity> {
    match context.file(path)?.1 {
        RegularFile { content: FileContent::Program(program), .. } => Some(program.elf.as_ref()?.identity),
        _ => None,
    }
}

/// Returns the name of the image's distribution (os-release(5), `PRETTY_NAME`).
fn distribution(root: &RootFs) -> Option<String> {
    let text = root.text("etc/os-release").or_else(|| root.text("usr/lib/os-release"))?;
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(printable(name.trim_matches(['"', '\''])))
}
