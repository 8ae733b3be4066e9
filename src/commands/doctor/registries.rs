//! Checks that registries respond, accept pushes, and provide the base images.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;

use super::check_result::{CheckResult, CheckState};
use super::machine;
use super::results::Results;
use crate::commands::registry_access::connect;
use crate::image::bases;
use crate::oci::reference::repository_name;
use crate::plan::{Image, Plan};
use crate::platform::Platform;
use crate::publish::push_access::push_repositories;
use crate::publish::tags;
use crate::registry::Registry;
use crate::threads::CancelToken;
use crate::ui::Ui;

/// Checks the registries that images are pushed to and the registries that base images are pulled from.
pub(crate) fn check(plan: &Plan, limit: Option<Duration>, results: &mut Results, ui: &Ui) -> Result<()> {
    let mut checker = RegistryChecker::new(plan, limit, results, ui)?;
    for image in &plan.images {
        match push_repositories(image) {
            Ok(repositories) => {
                for repository in repositories {
                    checker.check_push(repository)?;
                }
            }
            // Only warn, because `build` does not need a repository and `publish` accepts one as a flag.
            Err(failure) => {
                let missing = CheckResult::error("registry", &failure.into());
                checker.results.add(missing.with_state(CheckState::Warning));
            }
        }
    }
    if !plan.tag_permissions.overwrite {
        checker.check_tags(&plan.images)?;
    }
    for (base, platforms) in bases::platforms_by_base(&plan.images) {
        checker.check_pull(base, &platforms)?;
    }
    Ok(())
}

/// Checks only whether the registries respond, for runs outside a workspace.
pub(crate) fn ping_all(plan: &Plan, limit: Option<Duration>, results: &mut Results, ui: &Ui) -> Result<()> {
    let mut checker = RegistryChecker::new(plan, limit, results, ui)?;
    for repository in plan.images.iter().flat_map(|image| &image.repositories) {
        checker.ping(repository)?;
    }
    Ok(())
}

struct RegistryChecker<'a> {
    registry: Registry,
    /// The hosts that have been checked, and whether they responded.
    hosts: BTreeMap<String, bool>,
    results: &'a mut Results,
    ui: &'a Ui,
}

impl<'a> RegistryChecker<'a> {
    fn new(plan: &Plan, limit: Option<Duration>, results: &'a mut Results, ui: &'a Ui) -> Result<Self> {
        let registry = connect(plan, limit, &CancelToken::default(), ui)?;
        Ok(RegistryChecker { registry, hosts: BTreeMap::new(), results, ui })
    }

    fn check_push(&mut self, repository: &str) -> Result<()> {
        if !self.ping(repository)? {
            return Ok(());
        }
        match self.registry.check_push(repository) {
            Ok(()) => {
                let credentials = match self.registry.credentials_source(repository) {
                    Some(source) => format!("with the credentials from {source}"),
                    None => "without credentials".to_owned(),
                };
                self.results.add(CheckResult::ok("registry", format!("{repository} accepts pushes {credentials}")));
            }
            Err(error) => self.results.add_error("registry", error)?,
        }
        Ok(())
    }

    /// Warns about versions that have already been published from another commit. This is normal after a release, and
    /// `publish` fails only if the version has not been increased by then.
    fn check_tags(&mut self, images: &[Image]) -> Result<()> {
        for image in images {
            // Registries that do not respond have already been reported.
            let responds = |repository: &&String| self.hosts.get(host(repository)).is_some_and(|responds| *responds);
            let repositories = image.repositories.iter().filter(responds).cloned().collect();
            let image = Image { repositories, ..image.clone() };
            match tags::find_other_revisions(&[image], &self.registry) {
                Ok(Some(failure)) => {
                    self.results.add(CheckResult::error("registry", &failure.into()).with_state(CheckState::Warning));
                }
                Ok(None) => {}
                Err(error) => self.results.add_error("registry", error)?,
            }
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
            Ok(_) => self.results.add(CheckResult::ok("base", format!("{base} is available for all platforms"))),
            Err(error) => self.results.add_error("base", error)?,
        }
        Ok(())
    }

    /// Returns whether a repository's host responds. Each host is checked and listed only once.
    fn ping(&mut self, repository: &str) -> Result<bool> {
        let host = host(repository);
        if let Some(responds) = self.hosts.get(host) {
            return Ok(*responds);
        }
        let response = self.registry.ping(repository);
        self.hosts.insert(host.to_owned(), response.is_ok());
        match response {
            Ok(clock_difference) => {
                self.results.add(CheckResult::ok("registry", format!("{host} responds")));
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

/// Returns the host of a repository, with its port.
fn host(repository: &str) -> &str {
    repository.split_once('/').map_or(repository, |(host, _)| host)
}
