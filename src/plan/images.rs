//! Selects the images to build and rejects conflicting names.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexSet;

use super::{Binary, ConfigSources, Image, Package, Workspace};
use crate::error::{Class, Failure};

/// Returns an error if two images have the same name or reference, or if two binaries have the same file name.
pub(crate) fn check_collisions(workspace: &Workspace, images: &[Image]) -> Result<(), Failure> {
    let mut names: BTreeMap<&str, &Image> = BTreeMap::new();
    let mut references: BTreeMap<String, &str> = BTreeMap::new();
    for image in images {
        if let Some(other) = names.insert(&image.name, image) {
            let message = format!(
                "packages '{}' and '{}' both produce an image named '{}'",
                other.package, image.package, image.name
            );
            return Err(Failure::new(Class::Config, message)
                .hint("name the images with images.NAME = { bins = [\"…\"] }, or select one package with `-p NAME`"));
        }
        for reference in image.references() {
            if let Some(other) = references.insert(reference.clone(), &image.name) {
                let message = format!("images '{other}' and '{}' have the same reference {reference}", image.name);
                return Err(
                    Failure::new(Class::Config, message).hint("change the name, registry or tag of one of them")
                );
            }
        }
    }
    let binaries: BTreeSet<&Binary> =
        images.iter().flat_map(|image| &image.platforms).flat_map(|platform| &platform.binaries).collect();
    for binary in &binaries {
        // `cargo build --bin NAME` builds the binary with that name in every selected package.
        let has_same_bin = |other: &&&Binary| {
            other.package != binary.package
                && workspace.package(&other.package).is_some_and(|package| package.bins.contains(&binary.name))
        };
        if let Some(other) = binaries.iter().find(has_same_bin) {
            let message = format!(
                "packages '{}' and '{}' both have a binary '{}', which cargo would write to the same file",
                binary.package, other.package, binary.name
            );
            return Err(Failure::new(Class::Config, message)
                .hint("rename one of them with `name` in [[bin]], or build one package at a time with `-p NAME`"));
        }
    }
    Ok(())
}

/// Selects the packages passed with `-p`. If none were passed, keeps the current selection.
pub(crate) fn select_packages(
    mut workspace: Workspace,
    names: &[String],
    sources: &ConfigSources,
) -> Result<Workspace, Failure> {
    if let Some(unknown) = names.iter().find(|name| workspace.package(name).is_none()) {
        let failure = Failure::new(Class::Config, format!("the workspace has no package '{unknown}'"));
        let images = select_images(&workspace, sources).unwrap_or_default();
        if let Some(image) = images.iter().find(|image| image.name == *unknown) {
            return Err(failure.hint(format!(
                "'{unknown}' is an image, not a package: select it with `-p {}` or `--bin {}`",
                image.package.name, image.binaries[0].name
            )));
        }
        let known = workspace.packages.iter().map(|package| package.name.as_str());
        return Err(failure.did_you_mean_or_list(unknown, known, "available packages"));
    }
    if !names.is_empty() {
        workspace.selected = names.iter().cloned().collect::<IndexSet<_>>().into_iter().collect();
        workspace.has_explicit_selection = true;
    }
    Ok(workspace)
}

/// An image to build, and the binaries that it contains.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ImageSelection<'a> {
    pub name: String,
    /// Package that provides the image's version.
    pub package: &'a Package,
    pub binaries: Vec<Binary>,
}

/// Returns the images to build: the configured images, or one image per binary if none are configured.
pub(crate) fn select_images<'a>(
    workspace: &'a Workspace,
    sources: &ConfigSources,
) -> Result<Vec<ImageSelection<'a>>, Failure> {
    if sources.configured_images().is_empty() {
        image_per_binary(workspace, sources)
    } else {
        configured_images(workspace, sources)
    }
}

/// Returns the configured images that contain a selected binary.
fn configured_images<'a>(
    workspace: &'a Workspace,
    sources: &ConfigSources,
) -> Result<Vec<ImageSelection<'a>>, Failure> {
    let bin_flags = sources.command_line.bins.as_ref();
    let is_selected = |binary: &Binary| {
        (!workspace.has_explicit_selection || workspace.selected.contains(&binary.package))
            && bin_flags.is_none_or(|bins| bins.contains(&binary.name))
    };
    let configured = sources.configured_images();
    let mut images = Vec::new();
    for (name, owner) in &configured {
        let binaries = binaries_of_image(name, *owner, workspace, sources)?;
        if let Some(package) = workspace.package(&binaries[0].package)
            && binaries.iter().any(is_selected)
        {
            images.push(ImageSelection { name: (*name).to_owned(), package, binaries });
        }
    }
    let has_bin = |bin: &&String| images.iter().flat_map(|image| &image.binaries).any(|binary| binary.name == **bin);
    let missing = match bin_flags.into_iter().flatten().find(|bin| !has_bin(bin)) {
        Some(bin) => {
            package_with_bin(workspace, bin)?;
            format!("the binary '{bin}'")
        }
        None if images.is_empty() => format!("a binary from {}", workspace.selected.join(", ")),
        None => return Ok(images),
    };
    let names = configured.keys().copied().collect::<Vec<_>>().join(", ");
    Err(Failure::new(Class::Config, format!("no image contains {missing}")).hint(format!(
        "configure an image for the binary, or add the binary to `bins` in one of these images: {names}"
    )))
}

/// Returns the binaries of a configured image: those in `bins`, else all binaries of its package, else the binary with
/// the image's name. `owner` is the package whose metadata configures the image.
fn binaries_of_image(
    name: &str,
    owner: Option<&str>,
    workspace: &Workspace,
    sources: &ConfigSources,
) -> Result<Vec<Binary>, Failure> {
    let settings = sources.image_config(name, owner);
    let package = match owner {
        Some(owner) => workspace.package(owner),
        None => workspace.package(name),
    };
    let bins = match (settings.bins, package) {
        (Some(bins), _) if !bins.is_empty() => bins,
        (_, Some(package)) if !package.bins.is_empty() => package.bins.clone(),
        _ if workspace.package_with_bin(name).is_some() => vec![name.to_owned()],
        _ => {
            let location = sources.locate(name, &[], None);
            return Err(Failure::new(Class::Config, format!("{location}image '{name}' has no binaries"))
                .hint(format!("list its binaries in images.{name}: bins = [\"…\"]")));
        }
    };
    let find = |bin: &String| {
        check_exists(workspace, bin, || sources.locate(name, &["bins"], Some(bin)))?;
        find_binary(workspace, package, bin)
    };
    bins.iter().map(find).collect()
}

/// Returns one image per binary of the selected packages. If a package has only one binary, the image is named after
/// the package.
fn image_per_binary<'a>(workspace: &'a Workspace, sources: &ConfigSources) -> Result<Vec<ImageSelection<'a>>, Failure> {
    let mut images = Vec::new();
    let mut requested_bins: IndexSet<String> = IndexSet::new();
    for package in workspace.selected.iter().filter_map(|name| workspace.package(name)) {
        let only = sources.all_platforms_config(&sources.image_config(&package.name, Some(&package.name))).bins;
        requested_bins.extend(only.iter().flatten().cloned());
        for bin in package.bins.iter().filter(|bin| only.as_ref().is_none_or(|only| only.contains(bin))) {
            let name = if package.bins.len() == 1 { &package.name } else { bin };
            let binaries = vec![find_binary(workspace, Some(package), bin)?];
            images.push(ImageSelection { name: name.clone(), package, binaries });
        }
    }
    let has_image = |bin: &&String| images.iter().any(|image| image.binaries[0].name == **bin);
    if let Some(missing) = requested_bins.iter().find(|bin| !has_image(bin)) {
        check_exists(workspace, missing, || sources.locate("", &["bins"], Some(missing)))?;
        let package = package_with_bin(workspace, missing)?;
        return Err(Failure::new(Class::Config, format!("binary '{missing}' is not in a selected package"))
            .hint(format!("select its package with `-p {}`", package.name)));
    }
    if images.is_empty() { Err(no_binaries(workspace)) } else { Ok(images) }
}

fn no_binaries(workspace: &Workspace) -> Failure {
    let packages = match &workspace.selected[..] {
        [] => "the workspace, which has no default members".to_owned(),
        names => names.join(", "),
    };
    Failure::new(Class::Config, format!("no binary target in {packages}"))
        .hint("add src/main.rs, or select another package with `-p NAME`")
}

/// Finds a binary by name, first in the image's own package and then in all others.
fn find_binary(workspace: &Workspace, owner: Option<&Package>, bin: &str) -> Result<Binary, Failure> {
    let owner = owner.filter(|package| package.bins.iter().any(|name| name == bin));
    let mut others = workspace.packages.iter().filter(|package| package.bins.iter().any(|name| name == bin));
    if let (None, Some(one), Some(two)) = (owner, others.next(), others.next())
        && [one, two].iter().filter(|package| workspace.selected.contains(&package.name)).count() != 1
    {
        let message = format!("packages '{}' and '{}' both have a binary '{bin}'", one.name, two.name);
        return Err(Failure::new(Class::Config, message)
            .hint(format!("configure the image in only one package, or select a package with `-p {}`", one.name)));
    }
    let package = owner.map_or_else(|| package_with_bin(workspace, bin), Ok)?;
    Ok(Binary { name: bin.to_owned(), package: package.name.clone() })
}

fn package_with_bin<'a>(workspace: &'a Workspace, bin: &str) -> Result<&'a Package, Failure> {
    workspace.package_with_bin(bin).ok_or_else(|| no_such_binary(workspace, bin, ""))
}

/// Fails if the workspace has no binary with a name from the configuration. `locate` returns the location of the name.
fn check_exists(workspace: &Workspace, bin: &str, locate: impl FnOnce() -> String) -> Result<(), Failure> {
    match workspace.package_with_bin(bin) {
        Some(_) => Ok(()),
        None => Err(no_such_binary(workspace, bin, &locate())),
    }
}

fn no_such_binary(workspace: &Workspace, bin: &str, location: &str) -> Failure {
    let known = workspace.packages.iter().flat_map(|package| &package.bins).map(String::as_str);
    Failure::new(Class::Config, format!("{location}the workspace has no binary '{bin}'")).did_you_mean_or_list(
        bin,
        known,
        "available binaries",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Checkout, PlanRequest, resolve};

    /// Creates a workspace from package names and their binaries.
    fn workspace(packages: &[(&str, &[&str])]) -> Workspace {
        let packages = packages.iter().map(|(name, bins)| Package::for_tests(name, bins));
        Workspace::with_packages("/w".into(), packages.collect())
    }

    /// Resolves a plan and formats its images as `image: package/binary …; …`.
    fn images(packages: &[(&str, &[&str])], config: &str, flags: &str, request: &[&str]) -> Result<String, Failure> {
        let sources = ConfigSources {
            workspace: toml::from_str(config).unwrap(),
            command_line: toml::from_str(flags).unwrap(),
            ..ConfigSources::default()
        };
        let workspace = workspace(packages);
        let request: Vec<String> = request.iter().map(|name| (*name).to_owned()).collect();
        let workspace = select_packages(workspace, &request, &sources)?;
        let plan = resolve(&workspace, &sources, &Checkout::None, &PlanRequest::default())?;
        let line = |image: &Image| {
            let binaries = image.platforms[0].binaries.iter().map(|b| format!("{}/{}", b.package, b.name));
            format!("{}: {}", image.name, binaries.collect::<Vec<_>>().join(" "))
        };
        Ok(plan.images.iter().map(line).collect::<Vec<_>>().join("; "))
    }

    type Case<'a> = (&'a [(&'a str, &'a [&'a str])], &'a str, &'a str, &'a [&'a str], &'a str);

    #[test]
    fn selects_images_and_their_binaries() {
        const TWO: &[(&str, &[&str])] = &[("a", &["a"]), ("b", &["b1", "b2"]), ("lib", &[])];
        const SAME: &[(&str, &[&str])] = &[("a", &["server"]), ("b", &["server"])];
        const CONFIG: &str = "[images.one]\nbins = ['b1', 'a']\n[images.two]\nbins = ['b2']";
        let cases: &[Case<'_>] = &[
            (TWO, "", "", &[], "a: a/a; b1: b/b1; b2: b/b2"),
            (TWO, "", "", &["b"], "b1: b/b1; b2: b/b2"),
            (TWO, "", "bins = ['b2']", &[], "b2: b/b2"),
            (TWO, "bins = ['b2', 'a']", "", &[], "a: a/a; b2: b/b2"),
            (TWO, "[images.b]", "", &[], "b: b/b1 b/b2"),
            (TWO, "[images.b1]", "", &[], "b1: b/b1"),
            (TWO, CONFIG, "", &[], "one: b/b1 a/a; two: b/b2"),
            (TWO, CONFIG, "", &["a"], "one: b/b1 a/a"),
            (TWO, CONFIG, "bins = ['b2']", &[], "two: b/b2"),
            (SAME, "", "", &["b"], "b: b/server"),
            (SAME, "[images.b]\nbins = ['server']", "", &[], "b: b/server"),
        ];
        for (packages, config, flags, request, expected) in cases {
            let found = images(packages, config, flags, request).unwrap_or_else(|failure| failure.to_string());
            assert_eq!(found, *expected, "{config} | {flags} | {request:?}");
        }
    }

    #[test]
    fn rejects_conflicting_names() {
        const SAME: &[(&str, &[&str])] = &[("a", &["server"]), ("b", &["server"])];
        const AS_PACKAGE: &[(&str, &[&str])] = &[("a", &["x", "y"]), ("x", &["main"])];
        const UNBUILT: &[(&str, &[&str])] = &[("a", &["a", "tool"]), ("b", &["b", "tool"])];
        let cases: &[Case<'_>] = &[
            (
                SAME,
                "",
                "",
                &[],
                "packages 'a' and 'b' both have a binary 'server', which cargo would write to the same file",
            ),
            (AS_PACKAGE, "", "", &[], "packages 'a' and 'x' both produce an image named 'x'"),
            (UNBUILT, "[images.i]\nbins = ['tool', 'b']", "", &[], "packages 'a' and 'b' both have a binary 'tool'"),
            (
                &[("a", &["a"])],
                "tags = ['1']\n[images.'x/y']\nregistry = 'r.example'\nbins = ['a']\n[images.y]\nregistry = 'r.example/x'\nbins = ['a']",
                "",
                &[],
                "images 'x/y' and 'y' have the same reference r.example/x/y:1",
            ),
        ];
        for (packages, config, flags, request, expected) in cases {
            assert_eq!(images(packages, config, flags, request).unwrap_err().to_string(), *expected);
        }
    }

    #[test]
    fn suggests_flags_for_unknown_packages() {
        const TWO: &[(&str, &[&str])] = &[("example-core", &["server", "cli"]), ("b", &["b"])];
        for (config, request, hint) in [
            (
                "[images.core]\nbins = ['server']",
                "core",
                "'core' is an image, not a package: select it with `-p example-core` or `--bin server`",
            ),
            ("", "cli", "'cli' is an image, not a package: select it with `-p example-core` or `--bin cli`"),
            ("", "example-cor", "did you mean 'example-core'?"),
            ("", "other", "available packages: example-core, b"),
        ] {
            let failure = images(TWO, config, "", &[request]).unwrap_err();
            assert_eq!(failure.to_string(), format!("the workspace has no package '{request}'"));
            assert_eq!(failure.hints(), [hint]);
        }
    }

    #[test]
    fn rejects_missing_binaries_and_platforms() {
        const TWO: &[(&str, &[&str])] = &[("a", &["a"]), ("b", &["b1", "b2"])];
        const ONE: &str = "[images.one]\nbins = ['b1']";
        let cases: &[Case<'_>] = &[
            (TWO, "", "bins = ['c']", &[], "the workspace has no binary 'c'"),
            (TWO, "", "bins = ['b1']", &["a"], "binary 'b1' is not in a selected package"),
            (TWO, ONE, "bins = ['b2']", &[], "no image contains the binary 'b2'"),
            (TWO, ONE, "bins = ['c']", &[], "the workspace has no binary 'c'"),
            (TWO, ONE, "", &["a"], "no image contains a binary from a"),
            (TWO, "[images.other]", "", &[], "image 'other' has no binaries"),
            (TWO, "platforms = []", "", &["a"], "image 'a' has no platforms"),
            (&[("l", &[])], "", "", &[], "no binary target in l"),
            (&[], "", "", &[], "no binary target in the workspace, which has no default members"),
        ];
        for (packages, config, flags, request, expected) in cases {
            let failure = images(packages, config, flags, request).unwrap_err();
            assert_eq!(failure.to_string(), *expected);
            assert!(!failure.hints().is_empty(), "{failure} has no hint");
        }
    }
}
