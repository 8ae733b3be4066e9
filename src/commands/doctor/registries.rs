//! Checks of registries: whether each answers, accepts a push of every image, and has the bases.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::check_result::{CheckResult, CheckState};
use super::machine;
use super::results::Results;
use crate::image::bases;
use crate::oci::reference::repository_name;
use crate::plan::{Image, Plan};
use crate::platform::Platform;
use crate::publish::preflight::push_repositories;
use crate::registry::Registry;
use crate::threads::CancelToken;
use crate::ui::Ui;

/// Checks the registries that images are pushed to, and those that their bases are pulled from.
pub(crate) fn check(plan: &Plan, results: &mut Results, ui: &Ui) -> Result<()> {
    let mut checker = RegistryChecker::new(&plan.engine.insecure_registries, results, ui)?;
    for image in &plan.images {
        match push_repositories(image) {
            Ok(repositories) => {
                for repository in repositories {
                    checker.check_push(repository)?;
                }
            }
            // `build` needs no repository, and `publish` may get one from a flag.
            Err(failure) => {
                let missing = CheckResult::error("registry", &failure.into());
                checker.results.add(missing.with_state(CheckState::Warning));
            }
        }
    }
    for (base, platforms) in bases::platforms_by_base(&plan.images) {
        checker.check_pull(base, &platforms)?;
    }
    Ok(())
}

/// Checks only whether the registries answer, if it is not known what is pushed to them.
pub(crate) fn ping_all(images: &[Image], insecure_registries: &[String], results: &mut Results, ui: &Ui) -> Result<()> {
    let mut checker = RegistryChecker::new(insecure_registries, results, ui)?;
    for repository in images.iter().flat_map(|image| &image.repositories) {
        checker.ping(repository)?;
    }
    Ok(())
}

struct RegistryChecker<'a> {
    registry: Registry,
    /// The hosts that were checked before, and whether they answered.
    hosts: BTreeMap<String, bool>,
    results: &'a mut Results,
    ui: &'a Ui,
}

impl<'a> RegistryChecker<'a> {
    fn new(insecure_registries: &[String], results: &'a mut Results, ui: &'a Ui) -> Result<Self> {
        let registry = Registry::new(insecure_registries, &CancelToken::default(), ui.bars())?;
        Ok(RegistryChecker { registry, hosts: BTreeMap::new(), results, ui })
    }

    fn check_push(&mut self, repository: &str) -> Result<()> {
        if !self.ping(repository)? {
            return Ok(());
        }
        match self.registry.check_push(repository) {
            Ok(()) => {
                let is_logged_in = self.registry.is_logged_in(repository);
                let user = if is_logged_in { "with your credentials" } else { "from anybody" };
                self.results.add(CheckResult::ok("registry", format!("{repository} takes a push {user}")));
            }
            Err(error) => self.results.add_error("registry", error)?,
        }
        Ok(())
    }

    fn check_pull(&mut self, base: &str, platforms: &BTreeSet<Platform>) -> Result<()> {
        let repository = match repository_name(base) {
            Ok(repository) => repository,
            Err(failure) => return Ok(self.results.add_error("base", failure)?),
        };
        if !self.ping(&repository)? {
            return Ok(());
        }
        match bases::resolve(base, platforms, &self.registry, self.ui) {
            Ok(_) => self.results.add(CheckResult::ok("base", format!("{base} has every platform"))),
            Err(error) => self.results.add_error("base", error)?,
        }
        Ok(())
    }

    /// Returns whether the host of a repository answers. Each host is checked and reported only once.
    fn ping(&mut self, repository: &str) -> Result<bool> {
        let host = repository.split_once('/').map_or(repository, |(host, _)| host);
        if let Some(answers) = self.hosts.get(host) {
            return Ok(*answers);
        }
        let answer = self.registry.ping(repository);
        self.hosts.insert(host.to_owned(), answer.is_ok());
        match answer {
            Ok(clock_difference) => {
                self.results.add(CheckResult::ok("registry", format!("{host} answers")));
                if let Some(ahead) = clock_difference {
                    self.results.add(machine::clock(host, ahead));
                }
                Ok(true)
            }
            Err(error) => {
                self.results.add_error("registry", error)?;
                Ok(false)
            }
        }
    }
}
