//! Which engine makes the images, and why.

use anyhow::{Context, Result};

use super::buildx::builder::{self, Builder};
use super::buildx::buildkitd_config::{self, PlainHosts};
use super::context;
use crate::config::choices::EngineChoice;
use crate::dockerfile::embedded_support::{self, Refusal};
use crate::dockerfile::render::Dockerfile;
use crate::dockerfile::stage::StageSource;
use crate::error::{self, Class, Failure, sentence};
use crate::plan::{Image, Plan};
use crate::ui::Ui;

/// What makes the images. Both make the same from one Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    Buildx(Builder),
    Embedded,
}

/// An engine, and why it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSelection {
    pub engine: Engine,
    pub why: String,
}

impl EngineSelection {
    /// As `--engine` takes it.
    pub fn name(&self) -> &'static str {
        match self.engine {
            Engine::Buildx(_) => "buildx",
            Engine::Embedded => "embedded",
        }
    }
}

/// Decides, or refuses what no engine can do here. Nothing is changed, and nothing said.
pub fn choose(plan: &Plan, dockerfiles: &[Dockerfile], ui: &Ui) -> Result<EngineSelection> {
    let plain = plain_hosts(plan, dockerfiles);
    decide(plan, needs_buildx(plan, dockerfiles)?, || builder::find(plan, &plain, ui))
}

/// Why the embedded engine cannot make the images, if it cannot; fails for what no engine can make.
pub fn needs_buildx(plan: &Plan, dockerfiles: &[Dockerfile]) -> Result<Option<Failure>, Failure> {
    let images = plan.images.iter().zip(dockerfiles);
    let mut refusals: Vec<Refusal> =
        images.filter_map(|(image, dockerfile)| check(plan, image, dockerfile).err()).collect();
    if let Some(wrong) = refusals.iter().position(|refusal| refusal.by_every_engine) {
        return Err(refusals.swap_remove(wrong).failure);
    }
    Ok(refusals.into_iter().next().map(|refusal| refusal.failure))
}

/// The registries to which a builder must speak plain HTTP.
pub fn plain_hosts(plan: &Plan, dockerfiles: &[Dockerfile]) -> PlainHosts {
    buildkitd_config::hosts(
        dockerfiles.iter().map(|dockerfile| dockerfile.text.as_str()),
        &plan.engine.insecure_registries,
    )
}

/// Decides; `builder` finds one, and is not asked where none is needed.
pub fn decide(
    plan: &Plan,
    needs_buildx: Option<Failure>,
    builder: impl FnOnce() -> Result<Builder>,
) -> Result<EngineSelection> {
    let chosen = |engine, why: &str| Ok(EngineSelection { engine, why: why.to_owned() });
    match (plan.engine.choice, needs_buildx) {
        (EngineChoice::Embedded, Some(failure)) => Err(failure.into()),
        (EngineChoice::Embedded, None) => chosen(Engine::Embedded, "as asked for"),
        (EngineChoice::Buildx, Some(_)) => chosen(Engine::Buildx(builder()?), "as asked for"),
        (EngineChoice::Buildx, None) => {
            let builder = builder().map_err(|error| match error.downcast::<Failure>() {
                Ok(failure) if failure.class() == Class::Engine => {
                    failure.hint("or leave out `--engine buildx`: the embedded engine needs no Docker").into()
                }
                Ok(failure) => failure.into(),
                Err(error) => error,
            })?;
            chosen(Engine::Buildx(builder), "as asked for")
        }
        (EngineChoice::Auto, Some(reason)) => {
            let builder = builder().with_context(|| format!("{reason}, and docker buildx cannot be used"))?;
            chosen(Engine::Buildx(builder), &reason.to_string())
        }
        (EngineChoice::Auto, None) => match builder() {
            Ok(builder) => match &builder.missing {
                Some(missing) => chosen(Engine::Embedded, &missing.why),
                None => {
                    let why = format!("Docker is here, with the {} driver", builder.driver);
                    chosen(Engine::Buildx(builder), &why)
                }
            },
            Err(error) if error::class_of(&error) == Class::Interrupted => Err(error),
            // What most machines without Docker's daemon say, in fewer words: nothing is wrong there.
            Err(error) => match sentence(&error) {
                said if said.contains("Cannot connect to the Docker daemon") => {
                    chosen(Engine::Embedded, "no Docker daemon answers")
                }
                said => chosen(Engine::Embedded, &said),
            },
        },
    }
}

/// Says which engine it is, before anything else is said, and makes the builder that is missing.
pub fn start(chosen: EngineSelection, plan: &Plan, ui: &Ui) -> Result<Engine> {
    let name = match &chosen.engine {
        Engine::Buildx(_) => "docker buildx",
        Engine::Embedded => "the embedded engine",
    };
    ui.status("Using", format!("{name}: {}", chosen.why));
    if let Engine::Buildx(builder) = &chosen.engine {
        builder::make(plan, builder, ui)?;
    }
    Ok(chosen.engine)
}

/// Fails with what an image wants that the embedded engine does not have.
fn check(plan: &Plan, image: &Image, rendered: &Dockerfile) -> Result<(), Refusal> {
    let options = &image.buildx;
    let on = |value: &Option<String>| value.as_ref().is_some_and(|value| value != "false");
    let keys = [
        ("builder", plan.engine.builder.is_some()),
        ("cache-from", !options.cache_from.is_empty()),
        ("cache-to", !options.cache_to.is_empty()),
        ("provenance", on(&options.provenance)),
        ("sbom", on(&options.sbom)),
        ("secrets", !options.secrets.is_empty()),
        ("buildx-args", !options.args.is_empty()),
    ];
    let set = keys.iter().find(|(_, set)| *set).map(|(key, _)| {
        let what = format!("image '{}': the embedded engine has no '{key}'", image.name);
        let hint = format!("leave {key} out, or take the other engine: `--engine buildx`");
        Refusal { failure: Failure::new(Class::Config, what).hint(hint), by_every_engine: false }
    });
    let bases: Vec<_> = image.platforms.iter().map(|platform| (platform.platform, platform.base.as_str())).collect();
    let source = StageSource::new(image, rendered, plan.source_date_epoch);
    let in_context = |path: &str| context::will_have(plan, image, path);
    match (embedded_support::check(&source, &bases, &in_context), set) {
        (Err(wrong), _) if wrong.by_every_engine => Err(wrong),
        (_, Some(set)) => Err(set),
        (result, None) => result,
    }
}
