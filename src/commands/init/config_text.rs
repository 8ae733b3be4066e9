//! Renders the text of a new configuration.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::Serialize;

use super::config_location::table_name;
use super::detect::NativeDependencies;
use super::guess_registry::Registry;
use super::render::render;
use super::template_copy;
use crate::config::ConfigTable;
use crate::plan::{self, Binary, BuiltInTemplate, DEFAULT_TAGS, Image};
use crate::platform::{Libc, Platform};

/// The variables for `templates/init.toml.j2`.
#[derive(Serialize)]
struct ConfigVariables<'a> {
    table: Option<&'static str>,
    /// The prefix for subtable names: the name of the table and a dot. Empty in multiarch.toml.
    prefix: String,
    registry: RegistryVariable,
    platforms: Vec<&'static str>,
    /// The supported platforms that are not in `platforms`.
    others: Vec<&'static str>,
    tags: [&'static str; 2],
    template_copy: Option<TemplateCopyVariables>,
    /// Whether the configuration needs no list of images, because the only image is the default one.
    has_default_image: bool,
    images: Vec<ImageVariables<'a>>,
}

#[derive(Serialize)]
struct RegistryVariable {
    value: String,
    /// Whether the user has requested the registry.
    is_set: bool,
    is_guess: bool,
}

#[derive(Serialize)]
struct TemplateCopyVariables {
    path: String,
    base: &'static str,
    libc: &'static str,
}

#[derive(Serialize)]
struct ImageVariables<'a> {
    name: &'a str,
    package: &'a str,
    bins: Vec<&'a str>,
    entrypoint: &'a [String],
    /// The path of a binary that the image does not start.
    other: Option<String>,
    /// The built-in template to suggest for glibc. `None` if the user requested a template.
    template: Option<&'static str>,
    libraries: Vec<LibraryVariables<'a>>,
    /// The libraries whose Debian packages are unknown.
    unknown: Vec<&'a str>,
    sysroot_packages: Vec<&'a str>,
}

#[derive(Serialize)]
struct LibraryVariables<'a> {
    package: &'a str,
    links: &'a str,
    vendored: Option<&'static str>,
}

/// Renders a configuration for `images`. `dependencies` has one entry per image, in the same order as `images`.
pub(crate) fn config_text(
    table: ConfigTable,
    images: &[Image],
    dependencies: &[NativeDependencies],
    registry: Registry,
    template: Option<BuiltInTemplate>,
) -> Result<String> {
    let used: BTreeSet<Platform> =
        images.iter().flat_map(|image| &image.platforms).map(|platform| platform.platform).collect();
    let (platforms, others): (Vec<Platform>, Vec<Platform>) =
        Platform::all().partition(|platform| used.contains(platform));
    let name = table_name(table);
    let variables = ConfigVariables {
        table: name,
        prefix: name.map(|table| format!("{table}.")).unwrap_or_default(),
        registry: registry_variable(registry),
        platforms: platforms.into_iter().map(Platform::name).collect(),
        others: others.into_iter().map(Platform::name).collect(),
        tags: DEFAULT_TAGS,
        template_copy: template.map(|template| TemplateCopyVariables {
            path: template_copy::path(template),
            base: template.base,
            libc: template_copy::libc_name(template.libc),
        }),
        has_default_image: matches!(images, [image] if binaries(image).len() == 1),
        images: images
            .iter()
            .zip(dependencies)
            .map(|(image, dependencies)| image_variables(image, dependencies, template))
            .collect(),
    };
    render(include_str!("../../../templates/init.toml.j2"), &variables)
}

fn registry_variable(registry: Registry) -> RegistryVariable {
    let (is_set, is_guess) = (matches!(registry, Registry::Requested(_)), matches!(registry, Registry::Guessed(_)));
    let value = match registry {
        Registry::Requested(registry) | Registry::Guessed(registry) => registry,
        Registry::Unknown => "ghcr.io/you".to_owned(),
    };
    RegistryVariable { value, is_set, is_guess }
}

/// Returns an image's binaries, which are the same on all platforms.
fn binaries(image: &Image) -> &[Binary] {
    image.platforms.first().map(|platform| platform.binaries.as_slice()).unwrap_or_default()
}

fn image_variables<'a>(
    image: &'a Image,
    dependencies: &'a NativeDependencies,
    template: Option<BuiltInTemplate>,
) -> ImageVariables<'a> {
    let entrypoint =
        image.platforms.first().map(|platform| platform.container.entrypoint.as_slice()).unwrap_or_default();
    let other = binaries(image).iter().map(Binary::path).find(|path| !entrypoint.contains(path));
    // Suggest Debian packages only for glibc, because they do not work with musl. A requested template determines the
    // libc.
    let is_gnu = template.is_none_or(|template| template.libc == Libc::Gnu);
    let libraries = || dependencies.libraries.iter().filter(|_| is_gnu);
    let sysroot_packages: BTreeSet<&str> = libraries().filter_map(|library| library.debian).collect();
    ImageVariables {
        name: &image.name,
        package: &image.package,
        bins: binaries(image).iter().map(|binary| binary.name.as_str()).collect(),
        entrypoint,
        other,
        template: if template.is_none() { glibc_template().map(|template| template.name) } else { None },
        libraries: libraries()
            .map(|library| LibraryVariables {
                package: &library.package,
                links: &library.links,
                vendored: library.vendored,
            })
            .collect(),
        unknown: libraries().filter(|library| library.debian.is_none()).map(|library| library.links.as_str()).collect(),
        sysroot_packages: sysroot_packages.into_iter().collect(),
    }
}

/// Returns the built-in template for programs that need glibc.
pub(crate) fn glibc_template() -> Option<BuiltInTemplate> {
    plan::built_in_templates().find(|template| template.libc == Libc::Gnu)
}
