//! Selects the engine that builds the images.

use anyhow::{Context, Result};

use super::build_context;
use super::buildx::builder::{self, Builder};
use super::buildx::buildkitd_config::{self, PlainHttpHosts};
use super::buildx::docker::BuilderError;
use crate::config::choices::EngineChoice;
use crate::dockerfile::embedded_support::{self, Refusal};
use crate::dockerfile::render::Dockerfile;
use crate::dockerfile::stage::StageSource;
use crate::error::{self, Class, Failure, message_with_causes};
use crate::plan::{EngineOptions, Image, Paths};
use crate::ui::Ui;

/// An engine that builds images. Both engines build equivalent images from the same Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Engine {
    Buildx(Builder),
    Embedded,
}

/// The selected engine, with the reason for the choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EngineSelection {
    pub engine: Engine,
    pub why: String,
}

impl EngineSelection {
    fn new(engine: Engine, why: impl Into<String>) -> EngineSelection {
        EngineSelection { engine, why: why.into() }
    }

    /// Returns the engine's name, as accepted by `--engine`.
    pub(crate) fn name(&self) -> &'static str {
        match self.engine {
            Engine::Buildx(_) => "buildx",
            Engine::Embedded => "embedded",
        }
    }
}

/// The images to build and the options for building them.
#[derive(Clone, Copy)]
pub(crate) struct EngineRequest<'a> {
    pub options: &'a EngineOptions,
    pub images: &'a [Image],
    /// The Dockerfiles of the images, in the same order as `images`.
    pub dockerfiles: &'a [Dockerfile],
    pub paths: &'a Paths,
    pub source_date_epoch: u64,
}

impl EngineRequest<'_> {
    /// Returns the reason why the embedded engine cannot build the images, or `None` if it can. Fails if no engine can
    /// build them.
    pub(crate) fn needs_buildx(&self) -> Result<Option<Failure>, Failure> {
        let images = self.images.iter().zip(self.dockerfiles);
        let mut refusals: Vec<Refusal> =
            images.filter_map(|(image, dockerfile)| self.check_embedded(image, dockerfile).err()).collect();
        if let Some(index) = refusals.iter().position(|refusal| refusal.by_every_engine) {
            return Err(refusals.swap_remove(index).failure);
        }
        Ok(refusals.into_iter().next().map(|refusal| refusal.failure))
    }

    /// Returns the registries that a builder must access over plain HTTP.
    pub(crate) fn plain_http_hosts(&self) -> PlainHttpHosts {
        let dockerfiles = self.dockerfiles.iter().map(|dockerfile| dockerfile.text.as_str());
        buildkitd_config::plain_http_hosts(dockerfiles, &self.options.insecure_registries)
    }

    /// Fails if the embedded engine cannot build `image`.
    fn check_embedded(&self, image: &Image, dockerfile: &Dockerfile) -> Result<(), Refusal> {
        let platforms: Vec<_> =
            image.platforms.iter().map(|platform| (platform.platform, platform.base.as_str())).collect();
        let source = StageSource::new(image, dockerfile, self.source_date_epoch);
        let in_context = |path: &str| build_context::will_contain(image, &self.paths.root, path);
        let result = embedded_support::check(&source, &platforms, &in_context);
        match (result, unsupported_option(image, self.options)) {
            (Err(refusal), _) if refusal.by_every_engine => Err(refusal),
            (_, Some(failure)) => Err(Refusal { failure, by_every_engine: false }),
            (result, None) => result,
        }
    }
}

/// Returns an error for the first configured option that the embedded engine does not support.
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
    let message = format!("image '{}': the embedded engine does not support '{key}'", image.name);
    let hint = format!("remove '{key}', or build with Docker: `--engine buildx`");
    Some(Failure::new(Class::Config, message).hint(hint))
}

/// Selects an engine, or fails if no engine can build the images on this machine. Has no side effects.
pub(crate) fn choose(request: EngineRequest<'_>, ui: &Ui) -> Result<EngineSelection> {
    if let Some(why) = needs_embedded(request.images) {
        return choose_embedded(request.options.choice, request.needs_buildx()?, why);
    }
    let plain_http = request.plain_http_hosts();
    let find_builder = || builder::find(request.options.builder.as_deref(), &plain_http, ui);
    decide(request.options.choice, request.needs_buildx()?, find_builder)
}

/// Returns the reason why only the embedded engine can build the images, if there is one. BuildKit cannot set extended
/// attributes without running a program as root in the image.
fn needs_embedded(images: &[Image]) -> Option<String> {
    let has_capabilities = |image: &&Image| image.platforms.iter().any(|platform| !platform.capabilities.is_empty());
    let image = images.iter().find(has_capabilities)?;
    Some(format!("image '{}': buildx cannot set `capabilities`", image.name))
}

/// Selects the embedded engine for images that only it can build. `why` is the reason.
fn choose_embedded(choice: EngineChoice, needs_buildx: Option<Failure>, why: String) -> Result<EngineSelection> {
    match (choice, needs_buildx) {
        (EngineChoice::Buildx, _) => Err(Failure::new(Class::Config, why)
            .hint("remove `capabilities`, or build with the embedded engine: `--engine embedded`")
            .into()),
        (EngineChoice::Auto, Some(reason)) => Err(Failure::new(
            Class::Config,
            format!("{why}, and the embedded engine cannot build the images: {reason}"),
        )
        .hint("remove `capabilities`, or what requires buildx")
        .into()),
        (EngineChoice::Embedded, Some(reason)) => Err(reason.into()),
        (EngineChoice::Embedded, None) => Ok(EngineSelection::new(Engine::Embedded, "as requested")),
        (EngineChoice::Auto, None) => Ok(EngineSelection::new(Engine::Embedded, why)),
    }
}

/// Decides which engine to use. `needs_buildx` is the reason why the embedded engine cannot be used, or `None` if it
/// can. `find_builder` is called only if the decision depends on the available builders.
pub(crate) fn decide(
    choice: EngineChoice,
    needs_buildx: Option<Failure>,
    find_builder: impl FnOnce() -> Result<Builder, BuilderError>,
) -> Result<EngineSelection> {
    match (choice, needs_buildx) {
        (EngineChoice::Embedded, Some(failure)) => Err(failure.into()),
        (EngineChoice::Embedded, None) => Ok(EngineSelection::new(Engine::Embedded, "as requested")),
        (EngineChoice::Buildx, Some(_)) => Ok(EngineSelection::new(Engine::Buildx(find_builder()?), "as requested")),
        (EngineChoice::Buildx, None) => {
            let builder = find_builder().map_err(suggest_embedded)?;
            Ok(EngineSelection::new(Engine::Buildx(builder), "as requested"))
        }
        (EngineChoice::Auto, Some(reason)) => {
            let builder = find_builder().map_err(anyhow::Error::from);
            let builder = builder.with_context(|| format!("{reason}, and docker buildx cannot be used"))?;
            Ok(EngineSelection::new(Engine::Buildx(builder), reason.to_string()))
        }
        (EngineChoice::Auto, None) => prefer_existing_builder(find_builder()),
    }
}

/// Selects an engine for images that both engines can build: buildx if a usable builder exists, or else the embedded
/// engine.
fn prefer_existing_builder(builder: Result<Builder, BuilderError>) -> Result<EngineSelection> {
    let embedded = |why: &str| Ok(EngineSelection::new(Engine::Embedded, why));
    match builder {
        Ok(builder) => match &builder.to_create {
            Some(to_create) => embedded(&to_create.why),
            None => {
                let why = format!("Docker is available with the {} driver", builder.driver);
                Ok(EngineSelection::new(Engine::Buildx(builder), why))
            }
        },
        // This is common on machines that do not run Docker, so report a short reason instead of Docker's long message.
        Err(BuilderError::NoDaemon(_)) => embedded("no Docker daemon is running"),
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

/// Adds a hint that the images can be built without buildx.
fn suggest_embedded(error: BuilderError) -> anyhow::Error {
    match anyhow::Error::from(error).downcast::<Failure>() {
        Ok(failure) if failure.class() == Class::Engine => {
            failure.hint("or omit `--engine buildx`: the embedded engine does not need Docker").into()
        }
        Ok(failure) => failure.into(),
        Err(error) => error,
    }
}

/// Prints the selected engine, and creates its builder if needed.
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
        let to_create = to_create.then(|| builder::BuilderToCreate::new("classic image store"));
        Ok(Builder { name: None, driver: "docker".to_owned(), is_multi_node: false, to_create })
    }

    fn failure(message: &str) -> Failure {
        Failure::new(Class::Engine, message)
    }

    #[test]
    fn auto_uses_docker_if_it_is_ready() {
        let decide = |needs: Option<&str>, found| decide(EngineChoice::Auto, needs.map(failure), || found).unwrap();
        for (needs, found, name, why) in [
            (None, builder(false), "buildx", "Docker is available with the docker driver"),
            (None, builder(true), "embedded", "classic image store"),
            (None, Err(BuilderError::NoDaemon(failure("docker failed"))), "embedded", "no Docker daemon is running"),
            (None, Err(failure("docker buildx is not installed").into()), "embedded", "docker buildx is not installed"),
            (Some("RUN is not supported"), builder(true), "buildx", "RUN is not supported"),
        ] {
            let selection = decide(needs, found);
            assert_eq!((selection.name(), selection.why.as_str()), (name, why));
        }
    }

    #[test]
    fn requested_engine_is_used_or_fails() {
        let embedded = decide(EngineChoice::Embedded, None, || panic!("no builder is needed")).unwrap();
        assert_eq!(embedded.engine, Engine::Embedded);
        let error =
            decide(EngineChoice::Embedded, Some(failure("RUN is not supported")), || panic!("no builder is needed"));
        assert_eq!(error.unwrap_err().to_string(), "RUN is not supported");
        let no_daemon = || Err(BuilderError::NoDaemon(failure("docker failed")));
        let error = decide(EngineChoice::Buildx, None, no_daemon).unwrap_err();
        assert!(error::all_hints(&error)[0].contains("omit `--engine buildx`"), "{error}");
        let error = decide(EngineChoice::Auto, Some(failure("RUN is not supported")), no_daemon).unwrap_err();
        assert_eq!(
            message_with_causes(&error),
            "RUN is not supported, and docker buildx cannot be used: docker failed"
        );
    }
}
