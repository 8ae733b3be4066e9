//! Opens the registries of a plan, with the same credentials for this program and for the programs that it runs.

use std::time::Duration;

use anyhow::Result;

use crate::credentials::{CredentialSources, PrivateDockerConfig};
use crate::error::Failure;
use crate::image::bases;
use crate::oci::reference::parse_reference;
use crate::plan::Plan;
use crate::process::find_program;
use crate::registry::Registry;
use crate::threads::CancelToken;
use crate::ui::Ui;

/// Access to the registries of a plan.
pub(crate) struct RegistryAccess {
    pub registry: Registry,
    /// Credentials for child processes. Kept until the run ends.
    _shared: Option<PrivateDockerConfig>,
}

impl RegistryAccess {
    /// Opens the registries that a plan publishes to and pulls base images from. `limit` is how long to wait for one that
    /// does not answer.
    pub(crate) fn open(plan: &Plan, limit: Option<Duration>, cancel: &CancelToken, ui: &Ui) -> Result<RegistryAccess> {
        let shared = share_credentials(plan)?;
        Ok(RegistryAccess { registry: connect(plan, limit, cancel, ui)?, _shared: shared })
    }
}

/// Creates a client for the registries of a plan.
pub(crate) fn connect(plan: &Plan, limit: Option<Duration>, cancel: &CancelToken, ui: &Ui) -> Result<Registry> {
    let registry = Registry::new(&plan.engine.insecure_registries, cancel, ui.bars())?;
    let sources = sources(plan)?;
    Ok(match limit {
        Some(limit) => registry.with_credentials(sources.with_helper_limit(limit)).with_answer_limit(limit),
        None => registry.with_credentials(sources),
    })
}

/// Makes the credentials for the registries of a plan available to child processes, until the returned value is dropped.
pub(crate) fn share_credentials(plan: &Plan) -> Result<Option<PrivateDockerConfig>> {
    // Without Docker, no child process accesses a registry.
    if find_program("docker").is_none() {
        return Ok(None);
    }
    let bases = bases::platforms_by_base(&plan.images).into_keys().map(parse_reference);
    PrivateDockerConfig::create(&sources(plan)?, &bases.collect::<Result<Vec<_>, _>>()?)
}

fn sources(plan: &Plan) -> Result<CredentialSources, Failure> {
    let repositories = plan.images.iter().flat_map(|image| &image.repositories);
    let repositories = repositories.map(|repository| parse_reference(repository)).collect::<Result<Vec<_>, _>>()?;
    Ok(CredentialSources::for_push(&repositories))
}
