//! Which engine makes the images, and why.

use anyhow::{Context, Result};

use super::builder::{self, Builder};
use super::dockerfile::{self, Dockerfile};
use super::limits::{self, Refusal};
use super::script::Source;
use super::variables::given;
use crate::error::{Class, Failure};
use crate::plan::{EngineChoice, Image, Plan};
use crate::ui::Ui;

/// What makes the images. Both make the same from one Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    Buildx(Builder),
    Embedded,
}

/// Decides, and says so. Nothing has been compiled yet.
pub fn choose(plan: &Plan, dockerfiles: &[Dockerfile], ui: &Ui) -> Result<Engine> {
    let images = plan.images.iter().zip(dockerfiles);
    let mut refusals: Vec<Refusal> =
        images.filter_map(|(image, dockerfile)| check(plan, image, dockerfile).err()).collect();
    if let Some(wrong) = refusals.iter().position(|refusal| refusal.by_all) {
        return Err(refusals.swap_remove(wrong).failure.into());
    }
    let wants_buildx = refusals.into_iter().next().map(|refusal| refusal.failure);
    let (engine, why) = match (plan.engine, wants_buildx) {
        (EngineChoice::Embedded, Some(failure)) => return Err(failure.into()),
        (EngineChoice::Embedded, None) => (Engine::Embedded, "as asked for".to_owned()),
        (EngineChoice::Buildx, _) => {
            let builder = builder::preflight(plan, true, ui)?;
            (Engine::Buildx(builder), "as asked for".to_owned())
        }
        (EngineChoice::Auto, Some(reason)) => {
            let builder = builder::preflight(plan, true, ui).with_context(|| reason.to_string())?;
            (Engine::Buildx(builder), reason.to_string())
        }
        (EngineChoice::Auto, None) => match builder::preflight(plan, false, ui) {
            Ok(builder) => {
                let why = format!("Docker is here, with the {} driver", builder.driver);
                (Engine::Buildx(builder), why)
            }
            Err(error) if crate::error::class_of(&error) == Class::Interrupted => return Err(error),
            Err(error) => (Engine::Embedded, format!("{error:#}")),
        },
    };
    match &engine {
        Engine::Buildx(_) => ui.status("Using", format!("docker buildx: {why}")),
        Engine::Embedded => ui.status("Using", format!("the embedded engine: {why}")),
    }
    Ok(engine)
}

/// Fails with what an image wants that the embedded engine does not have.
fn check(plan: &Plan, image: &Image, rendered: &Dockerfile) -> Result<(), Refusal> {
    let options = &image.buildx;
    let on = |value: &Option<String>| value.as_ref().is_some_and(|value| value != "false");
    let keys = [
        ("builder", plan.builder.is_some()),
        ("cache-from", !options.cache_from.is_empty()),
        ("cache-to", !options.cache_to.is_empty()),
        ("provenance", on(&options.provenance)),
        ("sbom", on(&options.sbom)),
        ("secrets", !options.secrets.is_empty()),
        ("buildx-args", !options.args.is_empty()),
    ];
    let set = keys.iter().find(|(_, set)| *set).map(|(key, _)| {
        let what = format!("image '{}': the embedded engine has no '{key}'", image.name);
        let hint = "take the key out, or take the other engine: `--engine buildx`";
        Refusal { failure: Failure::new(Class::Config, what).hint(hint), by_all: false }
    });
    let bases: Vec<_> = image.platforms.iter().map(|platform| (platform.platform, platform.base.as_str())).collect();
    let given = given(image, rendered, plan.source_date_epoch);
    let binaries = dockerfile::staged_binaries(image);
    let source = Source { image: &image.name, dockerfile: rendered, given: &given, binaries: &binaries };
    match (limits::check(source, &bases), set) {
        (Err(wrong), _) if wrong.by_all => Err(wrong),
        (_, Some(set)) => Err(set),
        (result, None) => result,
    }
}
