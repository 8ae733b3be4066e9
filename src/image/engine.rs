//! Chooses the engine that builds the images.

use anyhow::{Context, Result};

use super::buildx::builder::{self, Builder};
use super::buildx::buildkitd_config::{self, PlainHttpHosts};
use super::buildx::docker::BuilderError;
use super::context;
use crate::config::choices::EngineChoice;
use crate::dockerfile::embedded_support::{self, Refusal};
use crate::dockerfile::render::Dockerfile;
use crate::dockerfile::stage::StageSource;
use crate::error::{self, Class, Failure, message_with_causes};
use crate::plan::{EngineOptions, Image, Paths};
use crate::ui::Ui;

/// What builds the images. Both engines build the same from one Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Engine {
    Buildx(Builder),
    Embedded,
}

/// An engine, and why it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EngineSelection {
    pub engine: Engine,
    pub why: String,
}

impl EngineSelection {
    fn new(engine: Engine, why: impl Into<String>) -> EngineSelection {
        EngineSelection { engine, why: why.into() }
    }

    /// The engine's name, as `--engine` takes it.
    pub(crate) fn name(&self) -> &'static str {
        match self.engine {
            Engine::Buildx(_) => "buildx",
            Engine::Embedded => "embedded",
        }
    }
}

/// What an engine has to build.
#[derive(Clone, Copy)]
pub(crate) struct EngineRequest<'a> {
    pub options: &'a EngineOptions,
    pub images: &'a [Image],
    /// In the images' order.
    pub dockerfiles: &'a [Dockerfile],
    pub paths: &'a Paths,
    pub source_date_epoch: u64,
}

impl EngineRequest<'_> {
    /// Returns why the embedded engine cannot build the images, if it cannot. Fails for what no engine can build.
    pub(crate) fn needs_buildx(&self) -> Result<Option<Failure>, Failure> {
        let images = self.images.iter().zip(self.dockerfiles);
        let mut refusals: Vec<Refusal> =
            images.filter_map(|(image, dockerfile)| self.check_embedded(image, dockerfile).err()).collect();
        if let Some(index) = refusals.iter().position(|refusal| refusal.by_every_engine) {
            return Err(refusals.swap_remove(index).failure);
        }
        Ok(refusals.into_iter().next().map(|refusal| refusal.failure))
    }

    /// The registries that a builder must reach over plain HTTP.
    pub(crate) fn plain_http_hosts(&self) -> PlainHttpHosts {
        let dockerfiles = self.dockerfiles.iter().map(|dockerfile| dockerfile.text.as_str());
        buildkitd_config::plain_http_hosts(dockerfiles, &self.options.insecure_registries)
    }

    /// Fails if the embedded engine cannot build an image.
    fn check_embedded(&self, image: &Image, dockerfile: &Dockerfile) -> Result<(), Refusal> {
        let platforms: Vec<_> =
            image.platforms.iter().map(|platform| (platform.platform, platform.base.as_str())).collect();
        let source = StageSource::new(image, dockerfile, self.source_date_epoch);
        let in_context = |path: &str| context::will_contain(image, &self.paths.root, path);
        let result = embedded_support::check(&source, &platforms, &in_context);
        match (result, unsupported_option(image, self.options)) {
            (Err(refusal), _) if refusal.by_every_engine => Err(refusal),
            (_, Some(failure)) => Err(Refusal { failure, by_every_engine: false }),
            (result, None) => result,
        }
    }
}

/// An error for the first option of an image that the embedded engine does not have.
fn unsupported_option(image: &Image, engine: &EngineOptions) -> Option<Failure> {
    let options = &image.buildx;
    let is_on = |value: &Option<String>| value.as_ref().is_some_and(|value| value != "false");
    let keys = [
        ("builder", engine.builder.is_some()),
        ("cache-from", !options.cache_from.is_empty()),
        ("cache-to", !options.cache_to.is_empty()),
        ("provenance", is_on(&options.provenance)),
        ("sbom", is_on(&options.sbom)),
        ("secrets", !options.secrets.is_empty()),
        ("buildx-args", !options.args.is_empty()),
    ];
    let (key, _) = keys.iter().find(|(_, is_set)| *is_set)?;
    let message = format!("image '{}': the embedded engine has no '{key}'", image.name);
    let hint = format!("leave {key} out, or take the other engine: `--engine buildx`");
    Some(Failure::new(Class::Config, message).hint(hint))
}

/// Chooses an engine, or fails if no engine can build the images here. Changes and prints nothing.
pub(crate) fn choose(request: EngineRequest<'_>, ui: &Ui) -> Result<EngineSelection> {
    let plain_http = request.plain_http_hosts();
    let find_builder = || builder::find(request.options.builder.as_deref(), &plain_http, ui);
    decide(request.options.choice, request.needs_buildx()?, find_builder)
}

/// Decides on an engine. `needs_buildx` is why the embedded engine cannot be used; `find_builder` is called only if the
/// answer depends on it.
pub(crate) fn decide(
    choice: EngineChoice,
    needs_buildx: Option<Failure>,
    find_builder: impl FnOnce() -> Result<Builder, BuilderError>,
) -> Result<EngineSelection> {
    match (choice, needs_buildx) {
        (EngineChoice::Embedded, Some(failure)) => Err(failure.into()),
        (EngineChoice::Embedded, None) => Ok(EngineSelection::new(Engine::Embedded, "as asked for")),
        (EngineChoice::Buildx, Some(_)) => Ok(EngineSelection::new(Engine::Buildx(find_builder()?), "as asked for")),
        (EngineChoice::Buildx, None) => {
            let builder = find_builder().map_err(suggest_embedded)?;
            Ok(EngineSelection::new(Engine::Buildx(builder), "as asked for"))
        }
        (EngineChoice::Auto, Some(reason)) => {
            let builder = find_builder().map_err(anyhow::Error::from);
            let builder = builder.with_context(|| format!("{reason}, and docker buildx cannot be used"))?;
            Ok(EngineSelection::new(Engine::Buildx(builder), reason.to_string()))
        }
        (EngineChoice::Auto, None) => decide_freely(find_builder()),
    }
}

/// Decides for images that both engines can build.
fn decide_freely(builder: Result<Builder, BuilderError>) -> Result<EngineSelection> {
    let embedded = |why: &str| Ok(EngineSelection::new(Engine::Embedded, why));
    match builder {
        Ok(builder) => match &builder.to_create {
            Some(to_create) => embedded(&to_create.why),
            None => {
                let why = format!("Docker is here, with the {} driver", builder.driver);
                Ok(EngineSelection::new(Engine::Buildx(builder), why))
            }
        },
        // The usual state of a machine without Docker, and not worth Docker's whole message.
        Err(BuilderError::NoDaemon(_)) => embedded("no Docker daemon answers"),
        Err(error) => {
            let error = anyhow::Error::from(error);
            if error::failure_class(&error) == Class::Interrupted {
                Err(error)
            } else {
                embedded(&message_with_causes(&error))
            }
        }
    }
}

/// Hints that images which do not need buildx can be built without it.
fn suggest_embedded(error: BuilderError) -> anyhow::Error {
    match anyhow::Error::from(error).downcast::<Failure>() {
        Ok(failure) if failure.class() == Class::Engine => {
            failure.hint("or leave out `--engine buildx`: the embedded engine needs no Docker").into()
        }
        Ok(failure) => failure.into(),
        Err(error) => error,
    }
}

/// Prints which engine is used, and creates its builder if needed.
pub(crate) fn start(selection: EngineSelection, paths: &Paths, ui: &Ui) -> Result<Engine> {
    let name = match &selection.engine {
        Engine::Buildx(_) => "docker buildx",
        Engine::Embedded => "the embedded engine",
    };
    ui.status("Using", format!("{name}: {}", selection.why));
    if let Engine::Buildx(builder) = &selection.engine {
        builder::create(builder, paths, ui)?;
    }
    Ok(selection.engine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(to_create: bool) -> Result<Builder, BuilderError> {
        let to_create = to_create.then(|| builder::BuilderToCreate::new("one platform only"));
        Ok(Builder { name: None, driver: "docker".to_owned(), is_multi_node: false, to_create })
    }

    fn failure(message: &str) -> Failure {
        Failure::new(Class::Engine, message)
    }

    #[test]
    fn auto_uses_docker_if_it_is_ready() {
        let decide = |needs: Option<&str>, found| decide(EngineChoice::Auto, needs.map(failure), || found).unwrap();
        for (needs, found, name, why) in [
            (None, builder(false), "buildx", "Docker is here, with the docker driver"),
            (None, builder(true), "embedded", "one platform only"),
            (None, Err(BuilderError::NoDaemon(failure("docker says …"))), "embedded", "no Docker daemon answers"),
            (None, Err(failure("docker has no buildx").into()), "embedded", "docker has no buildx"),
            (Some("it has RUN"), builder(true), "buildx", "it has RUN"),
        ] {
            let selection = decide(needs, found);
            assert_eq!((selection.name(), selection.why.as_str()), (name, why));
        }
    }

    #[test]
    fn what_was_requested_is_used_or_an_error() {
        let embedded = decide(EngineChoice::Embedded, None, || panic!("needs no builder")).unwrap();
        assert_eq!(embedded.engine, Engine::Embedded);
        let error = decide(EngineChoice::Embedded, Some(failure("it has RUN")), || panic!("needs no builder"));
        assert_eq!(error.unwrap_err().to_string(), "it has RUN");
        let no_daemon = || Err(BuilderError::NoDaemon(failure("docker says …")));
        let error = decide(EngineChoice::Buildx, None, no_daemon).unwrap_err();
        assert!(error::all_hints(&error)[0].contains("leave out `--engine buildx`"), "{error}");
        let error = decide(EngineChoice::Auto, Some(failure("it has RUN")), no_daemon).unwrap_err();
        assert_eq!(message_with_causes(&error), "it has RUN, and docker buildx cannot be used: docker says …");
    }
}
