//! The checks of one platform's root file system and config, in the order in which a container starts. Pure.

use oci_spec::image::ImageConfiguration;
use serde::Serialize;

use super::dynamic_link::{self, Loaded};
use super::exec_chain::{self, StartedProgram};
use super::exec_context::ExecContext;
use super::policy;
use crate::config::policy::Policy;
use crate::finding::{Finding, WRONG_BASE, printable};
use crate::oci::rootfs::{Content, File, RootFs};
use crate::platform::Platform;

/// What an image is, beside what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Facts"))]
pub struct PlatformFacts {
    /// What it starts.
    pub program: Option<String>,
    /// `static`, `glibc 2.36`, `musl`: what that program finds in the image.
    pub libc: Option<String>,
    /// The highest glibc that the program asks for.
    pub glibc: Option<String>,
    /// os-release(5): `PRETTY_NAME`.
    pub distribution: Option<String>,
}

/// Checks a merged file system.
pub fn check(
    tree: &RootFs,
    platform: Platform,
    config: &ImageConfiguration,
    policy: &Policy,
) -> (PlatformFacts, Vec<Finding>) {
    let (root, mut findings) = ExecContext::new(tree, platform, config);
    findings.extend(base(&root));
    let way = exec_chain::follow(&root);
    findings.extend(way.findings);
    let load = |running: &StartedProgram| dynamic_link::check(&root.seen_by(running.user.clone()), &running.path);
    let loaded: Vec<Loaded> = way.programs.iter().map(load).collect();
    let programs: Vec<(&str, &Loaded)> =
        way.programs.iter().map(|running| running.path.as_str()).zip(&loaded).collect();
    findings.extend(loaded.iter().flat_map(|loaded| loaded.findings.iter().cloned()));
    findings.extend(policy::check(policy, &root, &programs));
    // What is started last is what the image is for.
    let facts = PlatformFacts {
        libc: loaded.last().and_then(|last| last.libc.as_deref()).map(printable),
        glibc: way.programs.last().and_then(|last| match root.file(&last.path)?.1 {
            File { content: Content::Program(program), .. } => {
                program.elf.as_ref()?.needed_glibc().as_deref().map(printable)
            }
            _ => None,
        }),
        program: way.program.as_deref().map(printable),
        distribution: name(tree),
    };
    let mut once = Vec::new();
    for finding in findings {
        let finding = finding.for_platform(platform.name());
        if !once.contains(&finding) {
            once.push(finding);
        }
    }
    (facts, once)
}

/// What every base has, if it has a shell.
const SHELLS: &[&str] = &["/bin/sh", "/bin/busybox", "/bin/bash", "/usr/bin/env"];
const LOADERS: &[&str] = &["ld-linux", "ld-musl", "ld64.so", "ld.so"];

/// Is the base for the platform? A static binary starts on any, until it runs something of it.
fn base(root: &ExecContext<'_>) -> Option<Finding> {
    let wanted = root.platform.elf_identity();
    let machine = |path: &str| match root.file(path)?.1 {
        File { content: Content::Program(program), .. } => Some(program.elf.as_ref()?.identity),
        _ => None,
    };
    let fix = "name a base that has this platform, by its index and not by one platform's digest or tag";
    let wrong = |path: &str, found| {
        WRONG_BASE.finding(format!("of the base is for {found}, wanted {wanted}"), fix).in_file(path)
    };
    if let Some((path, found)) = SHELLS.iter().find_map(|path| Some((path, machine(path)?))) {
        return (!found.same_machine(&wanted)).then(|| wrong(path, found));
    }
    let is_loader =
        |path: &str| LOADERS.iter().any(|name| path.rsplit('/').next().is_some_and(|file| file.starts_with(name)));
    let below = ["lib", "usr/lib"].into_iter().flat_map(|folder| root.tree.below(folder));
    let loaders: Vec<_> = below
        .filter(|(path, _)| is_loader(path))
        .filter_map(|(path, _)| Some((format!("/{path}"), machine(path)?)))
        .collect();
    let fits = loaders.iter().any(|(_, found)| found.same_machine(&wanted));
    loaders.first().filter(|_| !fits).map(|(path, found)| wrong(path, *found))
}

fn name(tree: &RootFs) -> Option<String> {
    let text = tree.text("etc/os-release").or_else(|| tree.text("usr/lib/os-release"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(printable(line.trim_matches(['"', '\''])))
}
