//! Selects the engine that builds each image.

use std::cell::OnceCell;

use anyhow::{Context, Result};

use super::build_context;
use super::buildx::builder::{self, Builder};
use super::buildx::buildkitd_config::{self, PlainHttpHosts};
use super::buildx::docker::{BuilderError, DockerStatus};
use crate::config::choices::EngineChoice;
use crate::dockerfile::embedded_support::{self, Refusal};
use crate::dockerfile::render::Dockerfile;
use crate::dockerfile::stage::StageSource;
use crate::error::{self, Class, Failure, message_with_causes};
use crate::plan::{EngineOptions, Image, Paths, is_attestation_on};
use crate::ui::Ui;

/// An engine that builds images. Both engines build equivalent images from the same Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Engine {
    Buildx(Builder),
    Embedded,
}

/// The engine selected for an image, with the reason for the choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EngineSelection {
    pub engine: Engine,
    pub why: String,
    /// Whether a machine with a different Docker installation would select the other engine.
    pub depends_on_machine: bool,
}

impl EngineSelection {
    fn new(engine: Engine, why: impl Into<String>) -> EngineSelection {
        EngineSelection { engine, why: why.into(), depends_on_machine: false }
    }

    /// Returns the engine's name, as accepted by `--engine`.
    pub(crate) fn name(&self) -> &'static str {
        self.engine.name()
    }
}

impl Engine {
    /// Returns the name, as accepted by `--engine`.
    fn name(&self) -> &'static str {
        match self {
            Engine::Buildx(_) => "buildx",
            Engine::Embedded => "embedded",
        }
    }

    /// Returns the name for messages.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Engine::Buildx(_) => "docker buildx",
            Engine::Embedded => "the embedded engine",
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
    /// Returns the reason why the embedded engine cannot build an image, or `None` if it can. Fails if no engine can
    /// build the image. `index` is the position of the image in the plan.
    pub(crate) fn needs_buildx(&self, index: usize) -> Result<Option<Failure>, Failure> {
        let (Some(image), Some(dockerfile)) = (self.images.get(index), self.dockerfiles.get(index)) else {
            return Ok(None);
        };
        match self.check_embedded(image, dockerfile) {
            Ok(()) => Ok(None),
            Err(refusal) if refusal.by_every_engine => Err(refusal.failure),
            Err(refusal) => Ok(Some(refusal.failure)),
        }
    }

    /// Selects an engine for each image. `find_builder` finds a builder that uses plain HTTP for the given hosts, and is
    /// called only if a selection depends on the available builders.
    pub(crate) fn select(
        &self,
        find_builder: impl Fn(&PlainHttpHosts) -> Result<Builder, BuilderError>,
    ) -> Vec<Result<EngineSelection>> {
        let needs: Vec<_> = (0..self.images.len()).map(|index| self.needs_buildx(index)).collect();
        let uses_buildx = |image: &Image, needs: &Result<Option<Failure>, Failure>| {
            image.engine == EngineChoice::Buildx || matches!(needs, Ok(Some(_)))
        };
        let with_needs = self.images.iter().zip(self.dockerfiles).zip(&needs);
        let built_by_buildx = with_needs.filter(|((image, _), needs)| uses_buildx(image, needs));
        // One builder serves all images that require buildx.
        let shared_hosts = self.plain_http_hosts(built_by_buildx.map(|((_, dockerfile), _)| dockerfile));
        let mut selections = Vec::new();
        for ((image, dockerfile), needs) in self.images.iter().zip(self.dockerfiles).zip(needs) {
            let hosts =
                if uses_buildx(image, &needs) { shared_hosts.clone() } else { self.plain_http_hosts([dockerfile]) };
            let needs = needs.map(|needs| needs.map(|failure| suggest_image_engine(failure, image)));
            let selection = match (needs, needs_embedded(image)) {
                (Err(failure), _) => Err(failure.into()),
                (Ok(needs), Some(why)) => require_embedded(image.engine, needs, why),
                (Ok(needs), None) => decide(image.engine, needs, || find_builder(&hosts)),
            };
            selections.push(selection);
        }
        selections
    }

    /// Returns the registries that a builder must access over plain HTTP to build `dockerfiles`.
    fn plain_http_hosts<'a>(&self, dockerfiles: impl IntoIterator<Item = &'a Dockerfile>) -> PlainHttpHosts {
        let dockerfiles = dockerfiles.into_iter().map(|dockerfile| dockerfile.text.as_str());
        buildkitd_config::plain_http_hosts(dockerfiles, &self.options.insecure_registries)
    }

    /// Reports whether the files and the configuration of an image can be determined without a builder. `index` is the
    /// position of the image in the plan.
    pub(crate) fn is_predictable(&self, index: usize) -> bool {
        let (Some(image), Some(dockerfile)) = (self.images.get(index), self.dockerfiles.get(index)) else {
            return false;
        };
        // Additional arguments may change anything, such as labels and build arguments.
        image.buildx.args.is_empty() && self.check_dockerfile(image, dockerfile).is_ok()
    }

    /// Fails if the embedded engine cannot build `image`.
    fn check_embedded(&self, image: &Image, dockerfile: &Dockerfile) -> Result<(), Refusal> {
        let result = self.check_dockerfile(image, dockerfile);
        match (result, unsupported_option(image, self.options)) {
            (Err(refusal), _) if refusal.by_every_engine => Err(refusal),
            (_, Some(failure)) => Err(Refusal { failure, by_every_engine: false }),
            (result, None) => result,
        }
    }

    /// Fails if the embedded engine does not support a Dockerfile.
    fn check_dockerfile(&self, image: &Image, dockerfile: &Dockerfile) -> Result<(), Refusal> {
        let platforms: Vec<_> =
            image.platforms.iter().map(|platform| (platform.platform, platform.base.as_str())).collect();
        let source = StageSource::new(image, dockerfile, self.source_date_epoch);
        let in_context = |path: &str| build_context::will_contain(image, &self.paths.root, path);
        embedded_support::check(&source, &platforms, &in_context)
    }
}

/// Returns an error for the first configured option that the embedded engine does not support.
fn unsupported_option(image: &Image, engine: &EngineOptions) -> Option<Failure> {
    let options = &image.buildx;
    let keys = [
        ("builder", engine.builder.is_some()),
        ("cache-from", !options.cache_from.is_empty()),
        ("cache-to", !options.cache_to.is_empty()),
        ("provenance", is_attestation_on(options.provenance.as_deref())),
        ("sbom", is_attestation_on(options.sbom.as_deref())),
        ("secrets", !options.secrets.is_empty()),
        ("buildx-args", !options.args.is_empty()),
    ];
    let (key, _) = keys.iter().find(|(_, is_set)| *is_set)?;
    let message = format!("image '{}': the embedded engine does not support '{key}'", image.name);
    let hint = format!("remove '{key}', or build with Docker: `--engine buildx`");
    Some(Failure::new(Class::Config, message).hint(hint))
}

/// Selects an engine for each image, in plan order. A selection is an error if no engine can build its image on this
/// machine. Has no side effects.
pub(crate) fn choose(request: EngineRequest<'_>, ui: &Ui) -> Vec<Result<EngineSelection>> {
    let name = request.options.builder.as_deref();
    let docker: OnceCell<DockerStatus> = OnceCell::new();
    request.select(|plain_http| {
        let docker = match docker.get() {
            Some(docker) => docker,
            None => {
                let probed = DockerStatus::probe(name, ui)?;
                docker.get_or_init(|| probed)
            }
        };
        builder::choose(name, plain_http, docker, ui)
    })
}

/// Images that are built by the same engine for the same reason.
pub(crate) struct EngineGroup<'a> {
    pub selection: &'a EngineSelection,
    pub images: Vec<&'a str>,
}

impl EngineGroup<'_> {
    /// Returns the reason for the selection, without the name of the image if that is listed beside it.
    pub(crate) fn why_for_listed_images(&self) -> &str {
        let why = &self.selection.why;
        self.images.iter().find_map(|name| why.strip_prefix(&format!("image '{name}': "))).unwrap_or(why)
    }
}

/// Groups images by their engine and the reason for its selection.
pub(crate) fn group<'a>(images: impl IntoIterator<Item = (&'a Image, &'a EngineSelection)>) -> Vec<EngineGroup<'a>> {
    let mut groups: Vec<EngineGroup<'a>> = Vec::new();
    for (image, selection) in images {
        match groups.iter_mut().find(|group| group.selection == selection) {
            Some(group) => group.images.push(&image.name),
            None => groups.push(EngineGroup { selection, images: vec![&image.name] }),
        }
    }
    groups
}

/// Returns the reason why only the embedded engine can build an image, if there is one. BuildKit cannot set extended
/// attributes without running a program as root in the image.
fn needs_embedded(image: &Image) -> Option<String> {
    let has_capabilities =
        image.platforms.iter().any(|platform| platform.capabilities.values().any(|names| !names.is_empty()));
    has_capabilities.then(|| format!("image '{}': buildx cannot set `capabilities`", image.name))
}

/// Selects the embedded engine for an image that buildx cannot build. `why` is the reason, and `needs_buildx` the reason
/// why the embedded engine cannot build the image either, if there is one.
fn require_embedded(choice: EngineChoice, needs_buildx: Option<Failure>, why: String) -> Result<EngineSelection> {
    match (choice, needs_buildx) {
        (EngineChoice::Buildx, _) => Err(Failure::new(Class::Config, why)
            .hint("remove `capabilities`, or build with the embedded engine: `--engine embedded`")
            .into()),
        (EngineChoice::Auto, Some(reason)) => {
            Err(Failure::new(Class::Config, format!("{why}, and the embedded engine cannot build it: {reason}"))
                .hint("remove `capabilities`, or change what requires buildx")
                .into())
        }
        (EngineChoice::Embedded, Some(reason)) => Err(reason.into()),
        (EngineChoice::Embedded, None) => Ok(EngineSelection::new(Engine::Embedded, "as requested")),
        (EngineChoice::Auto, None) => Ok(EngineSelection::new(Engine::Embedded, why)),
    }
}

/// Decides which engine builds an image. `needs_buildx` is the reason why the embedded engine cannot be used, or `None`
/// if it can. `find_builder` is called only if the decision depends on the available builders.
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
        (EngineChoice::Auto, None) => {
            let selection = prefer_existing_builder(find_builder())?;
            Ok(EngineSelection { depends_on_machine: true, ..selection })
        }
    }
}

/// Selects an engine for an image that both engines can build: buildx if the user has a usable builder, or else the
/// embedded engine.
fn prefer_existing_builder(builder: Result<Builder, BuilderError>) -> Result<EngineSelection> {
    let embedded = |why: &str| Ok(EngineSelection::new(Engine::Embedded, why));
    match builder {
        Ok(builder) => match &builder.managed {
            // The reason must not depend on whether an earlier run has already created the builder.
            Some(managed) => embedded(&managed.why),
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

/// Adds a hint to the reason why the embedded engine cannot build an image whose configuration requests this engine.
fn suggest_image_engine(failure: Failure, image: &Image) -> Failure {
    if image.engine != EngineChoice::Embedded || image.has_engine_flag {
        return failure;
    }
    failure.hint(format!(
        "or change engine = \"embedded\" in the configuration; to use Docker only for this image, add engine = \"buildx\" to \
         [images.{}] or to [package.metadata.multiarch] of {}",
        image.name, image.package
    ))
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

/// Prints the selected engines, and creates their builders if needed. Returns the engine of each image.
pub(crate) fn start(images: &[Image], selections: Vec<EngineSelection>, paths: &Paths, ui: &Ui) -> Result<Vec<Engine>> {
    let groups = group(images.iter().zip(&selections));
    for group in &groups {
        let label = group.selection.engine.label();
        let used = if groups.len() == 1 {
            format!("{label}: {}", group.selection.why)
        } else {
            format!("{label} for {}: {}", group.images.join(", "), group.why_for_listed_images())
        };
        ui.status("Using", used);
    }
    let engines: Vec<Engine> = selections.into_iter().map(|selection| selection.engine).collect();
    for builder in builders(&engines) {
        builder::create(builder, paths, ui)?;
    }
    Ok(engines)
}

/// Returns the builders that the images use, without duplicates.
pub(crate) fn builders<'a>(engines: impl IntoIterator<Item = &'a Engine>) -> Vec<&'a Builder> {
    let mut builders = Vec::new();
    for engine in engines {
        if let Engine::Buildx(builder) = engine
            && !builders.contains(&builder)
        {
            builders.push(builder);
        }
    }
    builders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(is_managed: bool) -> Result<Builder, BuilderError> {
        let managed = is_managed.then(|| builder::ManagedBuilder::new("classic image store"));
        Ok(Builder { name: None, driver: "docker".to_owned(), is_multi_node: false, managed })
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
