//! The registries of the plan: is each there and trusted, does it take a push of every image, has it the bases.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::check::{Check, State};
use super::{Findings, machine};
use crate::image::bases;
use crate::oci::reference::repository_name;
use crate::plan::Plan;
use crate::publish::preflight::push_repositories;
use crate::registry::Registry;
use crate::threads::CancelToken;
use crate::ui::Ui;

pub fn examine(plan: &Plan, findings: &mut Findings, ui: &Ui) -> Result<()> {
    let registry = Registry::new(&plan.engine.insecure_registries, &CancelToken::default(), ui.bars())?;
    let mut hosts = BTreeMap::new();
    for image in &plan.images {
        match push_repositories(image) {
            Ok(repositories) => {
                for repository in repositories {
                    push(repository, &registry, &mut hosts, findings)?;
                }
            }
            // `build` wants none, and a publish may be given one.
            Err(failure) => findings.add(Check::failed("registry", &failure.into()).only(State::Warning)),
        }
    }
    let bases: BTreeSet<&str> = plan.platforms().map(|platform| platform.base.as_str()).collect();
    for base in bases.into_iter().filter(|base| *base != "scratch") {
        pull(plan, base, &registry, &mut hosts, findings, ui)?;
    }
    Ok(())
}

/// The registries alone, where it is not known what is pushed to them.
pub fn ping_all(plan: &Plan, findings: &mut Findings, ui: &Ui) -> Result<()> {
    let registry = Registry::new(&plan.engine.insecure_registries, &CancelToken::default(), ui.bars())?;
    let mut hosts = BTreeMap::new();
    plan.images
        .iter()
        .flat_map(|image| &image.repositories)
        .try_for_each(|repository| ping(repository, &registry, &mut hosts, findings).map(drop))
}

/// The hosts that were asked: does it answer?
type Hosts = BTreeMap<String, bool>;

fn push(repository: &str, registry: &Registry, hosts: &mut Hosts, findings: &mut Findings) -> Result<()> {
    if !ping(repository, registry, hosts, findings)? {
        return Ok(());
    }
    match registry.check_push(repository) {
        Ok(()) => {
            let who = if registry.is_logged_in(repository) { "with your credentials" } else { "from anybody" };
            findings.add(Check::ok("registry", format!("{repository} takes a push {who}")));
        }
        Err(error) => findings.fail("registry", error)?,
    }
    Ok(())
}

fn pull(
    plan: &Plan,
    base: &str,
    registry: &Registry,
    hosts: &mut Hosts,
    findings: &mut Findings,
    ui: &Ui,
) -> Result<()> {
    let repository = match repository_name(base) {
        Ok(repository) => repository,
        Err(failure) => return Ok(findings.fail("base", failure)?),
    };
    if !ping(&repository, registry, hosts, findings)? {
        return Ok(());
    }
    let mut only = plan.clone();
    only.images.iter_mut().for_each(|image| image.platforms.retain(|platform| platform.base == base));
    match bases::pin(&only, registry, ui) {
        Ok(_) => findings.add(Check::ok("base", format!("{base} has every platform"))),
        Err(error) => findings.fail("base", error)?,
    }
    Ok(())
}

/// Does the host of a repository answer? It is asked once, and what came of it told once.
fn ping(repository: &str, registry: &Registry, hosts: &mut Hosts, findings: &mut Findings) -> Result<bool> {
    let host = repository.split_once('/').map_or(repository, |(host, _)| host);
    if let Some(answers) = hosts.get(host) {
        return Ok(*answers);
    }
    let met = registry.ping(repository);
    hosts.insert(host.to_owned(), met.is_ok());
    match met {
        Ok(ahead) => {
            findings.add(Check::ok("registry", format!("{host} answers")));
            ahead.into_iter().for_each(|ahead| findings.add(machine::clock(host, ahead)));
            Ok(true)
        }
        Err(error) => {
            findings.fail("registry", error)?;
            Ok(false)
        }
    }
}
