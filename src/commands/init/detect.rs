//! What the images of a workspace ask for, by their dependencies, and the configuration that says so.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::Serialize;

use super::config_location::Place;
use super::guess_registry::Origin;
use super::render::render;
use super::{table_name, template_path};
use crate::compile::system_libraries::SystemLibrary;
use crate::compile::{CompileRequest, probe};
use crate::config::read::ConfigTable;
use crate::plan::{self, Build, BuiltIn, DEFAULT_TAGS, Image, Plan};
use crate::platform::{Libc, Platform};
use crate::ui::Ui;

/// What was found, image by image in the plan's order.
#[derive(Default)]
pub struct Found(Vec<Needs>);

/// What an image's dependencies want of the machine.
#[derive(Default)]
struct Needs {
    libraries: BTreeSet<SystemLibrary>,
    compiles_c: bool,
}

impl Found {
    /// Asks cargo for the dependencies of each image.
    pub fn look(plan: &Plan, ui: &Ui) -> Result<Found> {
        let mut found = Vec::new();
        for image in &plan.images {
            // All platforms want the same libraries, as far as a configuration tells.
            let build = image.platforms.first().map(|first| Build {
                settings: first.build.clone(),
                platforms: [first.platform].into(),
                binaries: first.binaries.iter().cloned().collect(),
            });
            let request = CompileRequest {
                builds: build.into_iter().collect(),
                paths: plan.paths.clone(),
                options: plan.cargo.clone(),
            };
            let dependencies = probe::probe(&request)?.into_result()?.dependencies.into_values().next();
            if dependencies.is_none() {
                ui.warning(format!(
                    "{}: its dependencies are not known, and so not what they want: `cargo metadata` says why",
                    image.name
                ));
            }
            found.push(dependencies.map_or_else(Needs::default, |dependencies| Needs {
                compiles_c: dependencies.needs_c.is_some(),
                libraries: dependencies.system_libraries,
            }));
        }
        Ok(Found(found))
    }

    /// Does a build script of any image compile C?
    pub fn compiles_c(&self) -> bool {
        self.0.iter().any(|needs| needs.compiles_c)
    }

    /// Says what a template of the user's choice will not do.
    pub fn advise(&self, template: Option<BuiltIn>, ui: &Ui) {
        let Some(template) = template.filter(|template| template.libc == Libc::Musl) else { return };
        let mut packages = self.0.iter().flat_map(|needs| &needs.libraries).map(|library| &library.package);
        if let Some(package) = packages.next() {
            let fits = with_glibc().map_or("debian", |template| template.name);
            ui.warning(format!(
                "{package} wants a library that musl does not have, and {} is for musl: `--template {fits}`",
                template.name
            ));
        }
    }

    /// The text of the configuration.
    pub fn config(&self, plan: &Plan, place: &Place, origin: &Origin, template: Option<BuiltIn>) -> Result<String> {
        let table = table_name(place.table);
        let mut wanted: Vec<Platform> = plan.platforms().map(|platform| platform.platform).collect();
        wanted.dedup();
        let names = |is_wanted: bool| {
            Platform::all().filter(|platform| wanted.contains(platform) == is_wanted).map(Platform::name).collect()
        };
        let registry = origin.registry();
        let variables = Variables {
            table,
            prefix: table
                .filter(|_| place.table != ConfigTable::Root)
                .map(|table| format!("{table}."))
                .unwrap_or_default(),
            registry: Registry { is_guess: registry.is_some(), value: registry.unwrap_or("ghcr.io/you".to_owned()) },
            platforms: names(true),
            others: names(false),
            tags: DEFAULT_TAGS,
            own_template: template.map(|template| OwnTemplate {
                path: template_path(template),
                base: template.base,
                libc: word(template.libc),
            }),
            is_one: plan.images.len() == 1,
            images: plan.images.iter().zip(&self.0).map(|(image, needs)| described(image, needs, template)).collect(),
        };
        render(include_str!("../../../templates/init.toml.j2"), &variables)
    }
}

/// The built-in template for programs that need glibc.
fn with_glibc() -> Option<BuiltIn> {
    plan::built_ins().find(|template| template.libc == Libc::Gnu)
}

/// A C library as the configuration calls it.
pub fn word(libc: Libc) -> String {
    serde_json::to_value(libc).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn described<'a>(image: &'a Image, needs: &'a Needs, template: Option<BuiltIn>) -> Described<'a> {
    let binaries = image.platforms.first().map(|platform| platform.binaries.as_slice()).unwrap_or_default();
    // A template that was asked for decides the libc, and musl has no use for Debian's packages.
    let is_gnu = template.is_none_or(|template| template.libc == Libc::Gnu);
    let libraries = || needs.libraries.iter().filter(|_| is_gnu);
    let packages: BTreeSet<&str> = libraries().filter_map(|library| library.debian).collect();
    Described {
        name: &image.name,
        package: &image.package,
        bins: binaries.iter().map(|binary| binary.name.as_str()).collect(),
        template: with_glibc().filter(|_| template.is_none()).map(|template| template.name),
        libraries: libraries()
            .map(|library| Library { package: &library.package, links: &library.links, vendored: library.vendored })
            .collect(),
        unknown: libraries().filter(|library| library.debian.is_none()).map(|library| library.links.as_str()).collect(),
        sysroot_packages: packages.into_iter().collect(),
    }
}

#[derive(Serialize)]
struct Variables<'a> {
    table: Option<&'static str>,
    prefix: String,
    registry: Registry,
    platforms: Vec<&'static str>,
    others: Vec<&'static str>,
    tags: [&'static str; 2],
    own_template: Option<OwnTemplate>,
    is_one: bool,
    images: Vec<Described<'a>>,
}

#[derive(Serialize)]
struct Registry {
    value: String,
    is_guess: bool,
}

#[derive(Serialize)]
struct OwnTemplate {
    path: String,
    base: &'static str,
    libc: String,
}

#[derive(Serialize)]
struct Described<'a> {
    name: &'a str,
    package: &'a str,
    bins: Vec<&'a str>,
    template: Option<&'static str>,
    libraries: Vec<Library<'a>>,
    unknown: Vec<&'a str>,
    sysroot_packages: Vec<&'a str>,
}

#[derive(Serialize)]
struct Library<'a> {
    package: &'a str,
    links: &'a str,
    vendored: Option<&'static str>,
}
