//! Resolves an image's settings for one platform: base, files, container configuration and build settings.

use std::collections::BTreeSet;

use camino::Utf8Path;
use indexmap::IndexMap;

use super::check_container::{self, check_directory, check_file_entry};
use super::{Binary, BuildSettings, ContainerConfig, ImagePlatform, PlannedDirectory, Template, Workspace};
use crate::config::ca_certificates::{CaCertificates, CaSource};
use crate::config::{Config, DirectoryEntry, FileEntry};
use crate::error::{Class, Failure, closest_match};
use crate::oci::capabilities::{self, FileCapabilities};
use crate::platform::{Libc, Platform};

/// A built-in Dockerfile template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BuiltInTemplate {
    pub name: &'static str,
    /// Default base image.
    pub base: &'static str,
    /// Libc of the default base image.
    pub libc: Libc,
}

/// The base of images without a base image.
pub(crate) const SCRATCH: &str = "scratch";

const BUILT_IN_TEMPLATES: [BuiltInTemplate; 5] = [
    BuiltInTemplate { name: SCRATCH, base: SCRATCH, libc: Libc::Musl },
    BuiltInTemplate { name: "alpine", base: "alpine:3.22", libc: Libc::Musl },
    BuiltInTemplate { name: "debian", base: "debian:trixie-slim", libc: Libc::Gnu },
    BuiltInTemplate { name: "distroless-static", base: "gcr.io/distroless/static-debian12:nonroot", libc: Libc::Musl },
    BuiltInTemplate { name: "distroless-cc", base: "gcr.io/distroless/cc-debian12:nonroot", libc: Libc::Gnu },
];

/// Returns all built-in templates.
pub(crate) fn built_in_templates() -> impl Iterator<Item = BuiltInTemplate> {
    BUILT_IN_TEMPLATES.into_iter()
}

/// Finds a built-in template by name.
pub(crate) fn built_in_template(name: &str) -> Result<BuiltInTemplate, Failure> {
    built_in_templates().find(|template| template.name == name).ok_or_else(|| {
        let names: Vec<&str> = built_in_templates().map(|template| template.name).collect();
        let failure = Failure::new(Class::Config, format!("unknown template '{name}'"));
        match closest_match(name, names.iter().copied()) {
            Some(candidate) => failure.hint(format!("did you mean '{candidate}'?")),
            None => failure.hint(format!(
                "use a built-in template ({}), or a path that contains '.' or '/': template = \"docker/app.j2\" or \
                 `cargo multiarch publish --template docker/app.j2`",
                names.join(", ")
            )),
        }
    })
}

/// Default user of images: the numeric user and group IDs of `nonroot` in distroless images.
const NON_ROOT: &str = "65532:65532";

/// Resolves an image's settings for one platform, and fills in defaults.
pub(crate) fn resolve_image_platform(
    image: &str,
    platform: Platform,
    settings: &Config,
    binaries: &[Binary],
    labels: &IndexMap<String, String>,
    workspace: &Workspace,
) -> Result<ImagePlatform, Failure> {
    check_container::check(settings, image)?;
    let template = choose_template(settings, &workspace.root)?;
    let built_in = match template {
        Template::BuiltIn(name) => Some(built_in_template(name)?),
        Template::File(_) => None,
    };
    let libc = choose_libc(image, settings, built_in)?;
    let base = choose_base(image, settings, built_in, libc)?;
    let files = settings.files.clone().unwrap_or_default();
    check_files(image, &files, binaries)?;
    let directories = directories(image, settings, &files, binaries)?;
    let is_scratch = base == SCRATCH && !has_own_base(&template);
    let build = build_settings(image, platform, libc, settings)?;
    let copy_libraries = settings.copy_libraries.unwrap_or_default() && !build.sysroot_packages.is_empty();
    if copy_libraries && is_scratch {
        let message = format!("image '{image}': copy-libraries needs a base with glibc, but the base is scratch");
        return Err(Failure::new(Class::Config, message)
            .hint("set base = \"debian:trixie-slim\", or remove copy-libraries and link statically"));
    }
    Ok(ImagePlatform {
        platform,
        annotations: IndexMap::new(),
        symbols: workspace.profiles.symbols(&build.profile),
        build,
        binaries: binaries.to_vec(),
        base,
        template,
        files,
        directories,
        capabilities: file_capabilities(image, settings)?,
        ca_certificates: ca_certificates(settings, is_scratch),
        has_default_ca_certificates: is_scratch && settings.ca_certificates.is_none(),
        timezones: settings.timezones.unwrap_or_default(),
        copy_libraries,
        container: container_config(image, settings, binaries, labels),
    })
}

/// Chooses the libc to link against: the configured libc, else the libc of an explicitly configured template, else
/// musl. The base is not considered, because static binaries run on any base.
fn choose_libc(image: &str, settings: &Config, built_in: Option<BuiltInTemplate>) -> Result<Libc, Failure> {
    let explicit_template = built_in.filter(|_| settings.template.is_some());
    let libc = settings.libc.or(explicit_template.map(|template| template.libc)).unwrap_or(Libc::Musl);
    if let Some(template) = built_in
        && libc == Libc::Gnu
        && template.libc == Libc::Musl
        && template.name != SCRATCH
    {
        let message = format!(
            "image '{image}': libc \"gnu\" requires glibc, which the '{}' template does not provide",
            template.name
        );
        return Err(Failure::new(Class::Config, message)
            .hint("use libc = \"musl\", or a base image with glibc, such as base = \"debian:trixie-slim\""));
    }
    Ok(libc)
}

/// Chooses the base image: the configured base, else the template's default, else scratch.
fn choose_base(
    image: &str,
    settings: &Config,
    built_in: Option<BuiltInTemplate>,
    libc: Libc,
) -> Result<String, Failure> {
    if let Some(base) = &settings.base {
        return Ok(base.clone());
    }
    let base = built_in.map_or(SCRATCH, |template| template.base);
    if base == SCRATCH && libc == Libc::Gnu {
        let message = format!("image '{image}': libc \"gnu\" requires a base image with glibc");
        return Err(Failure::new(Class::Config, message)
            .hint("set base = \"debian:trixie-slim\" or template = \"debian\", or use libc = \"musl\""));
    }
    Ok(base.to_owned())
}

/// Returns the capabilities of binaries. Fails if one is unknown.
fn file_capabilities(image: &str, settings: &Config) -> Result<IndexMap<String, FileCapabilities>, Failure> {
    let failure = |problem: String| Failure::new(Class::Config, format!("image '{image}': capabilities: {problem}"));
    let mut result = IndexMap::new();
    for (name, capabilities) in &settings.capabilities {
        let capabilities = FileCapabilities::from_names(capabilities).map_err(|unknown| {
            let short = unknown.to_ascii_lowercase();
            failure(format!("unknown capability '{unknown}'"))
                .did_you_mean(short.trim_start_matches("cap_"), capabilities::NAMES.iter().copied())
                .hint("list names from capabilities(7) in lower case and without CAP_, such as \"net_bind_service\"")
        })?;
        // An empty list removes capabilities that are set for all images or all platforms.
        if !capabilities.is_empty() {
            result.insert(name.clone(), capabilities);
        }
    }
    Ok(result)
}

/// Returns the directories to create. Fails if a directory is invalid, or has the same path as something else.
fn directories(
    image: &str,
    settings: &Config,
    files: &[FileEntry],
    binaries: &[Binary],
) -> Result<Vec<PlannedDirectory>, Failure> {
    let user = settings.user.as_deref().unwrap_or(NON_ROOT);
    let mut directories: Vec<PlannedDirectory> = Vec::new();
    for DirectoryEntry { path, mode, owner } in settings.directories.iter().flatten() {
        let directory = PlannedDirectory {
            path: path.clone(),
            mode: mode.clone().unwrap_or_else(|| "0755".to_owned()),
            owner: owner.clone().unwrap_or_else(|| user.to_owned()),
        };
        check_directory(&directory, image)?;
        let other = if directories.iter().any(|other| other.path == *path) {
            Some(("another directory", "list the path only once"))
        } else if files.iter().any(|file| file.to == *path) {
            Some(("a file", "list the path only once, in `files` or `directories`"))
        } else if binaries.iter().any(|binary| binary.path() == *path) {
            Some(("a binary", "use another path for the directory, such as path = \"/var/lib/app\""))
        } else {
            None
        };
        if let Some((other, hint)) = other {
            let message = format!("image '{image}': a directory and {other} both have the path {path}");
            return Err(Failure::new(Class::Config, message).hint(hint));
        }
        directories.push(directory);
    }
    Ok(directories)
}

/// Returns the sources of the CA certificates. Bases have certificates of their own or none on purpose, so only images
/// based on `scratch` have a default.
fn ca_certificates(settings: &Config, is_scratch: bool) -> Vec<CaSource> {
    match &settings.ca_certificates {
        Some(CaCertificates(sources)) => sources.clone(),
        None if is_scratch => vec![CaSource::Bundled],
        None => Vec::new(),
    }
}

/// Reports whether a custom template starts from a base image that it names itself. The configured base has no effect
/// then.
fn has_own_base(template: &Template) -> bool {
    let Template::File(path) = template else { return false };
    // Reading a named pipe would block. If the template is missing or not a file, rendering fails later.
    if !path.is_file() {
        return false;
    }
    let text = fs_err::read_to_string(path).unwrap_or_default();
    let environment = minijinja::Environment::new();
    let Ok(parsed) = environment.template_from_str(&text) else { return false };
    !parsed.undeclared_variables(false).contains("base") && !text.contains("FROM scratch")
}

/// Returns an error if a file entry is invalid, or if it has the same path as a binary or another file.
fn check_files(image: &str, files: &[FileEntry], binaries: &[Binary]) -> Result<(), Failure> {
    for file in files {
        check_file_entry(file, image)?;
        if binaries.iter().any(|binary| binary.path() == file.to) {
            let message = format!("image '{image}': a file and a binary both have the path {}", file.to);
            return Err(Failure::new(Class::Config, message));
        }
    }
    for (index, file) in files.iter().enumerate() {
        if files[..index].iter().any(|other| other.to == file.to) {
            return Err(Failure::new(Class::Config, format!("image '{image}': two files have the path {}", file.to)));
        }
    }
    Ok(())
}

fn container_config(
    image: &str,
    settings: &Config,
    binaries: &[Binary],
    labels: &IndexMap<String, String>,
) -> ContainerConfig {
    let mut labels = labels.clone();
    labels.extend(settings.labels.clone());
    let default_entrypoint = || {
        let main = binaries.iter().find(|binary| binary.name == image).unwrap_or(&binaries[0]);
        vec![main.path()]
    };
    ContainerConfig {
        env: settings.env.clone(),
        labels,
        entrypoint: settings.entrypoint.clone().unwrap_or_else(default_entrypoint),
        cmd: settings.cmd.clone(),
        expose: settings.expose.iter().flatten().map(ToString::to_string).collect(),
        volumes: settings.volumes.clone().unwrap_or_default(),
        user: Some(settings.user.clone().unwrap_or_else(|| NON_ROOT.to_owned())),
        workdir: settings.workdir.clone(),
        stop_signal: settings.stop_signal.clone(),
        healthcheck: settings.healthcheck.clone(),
        explicit_keys: explicit_keys(settings),
    }
}

/// Returns the keys of container settings that are set explicitly, such as `user` and `env.PATH`.
fn explicit_keys(settings: &Config) -> Vec<String> {
    let keys = [
        ("entrypoint", settings.entrypoint.is_some()),
        ("cmd", settings.cmd.is_some()),
        ("expose", settings.expose.as_ref().is_some_and(|list| !list.is_empty())),
        ("volumes", settings.volumes.as_ref().is_some_and(|list| !list.is_empty())),
        ("user", settings.user.is_some()),
        ("workdir", settings.workdir.is_some()),
        ("stop-signal", settings.stop_signal.is_some()),
        ("healthcheck", settings.healthcheck.is_some()),
    ];
    let mut paths: Vec<String> = settings.env.keys().map(|name| format!("env.{name}")).collect();
    paths.extend(settings.labels.keys().map(|name| format!("labels.{name}")));
    paths.extend(keys.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key.to_owned()));
    paths
}

fn build_settings(image: &str, platform: Platform, libc: Libc, settings: &Config) -> Result<BuildSettings, Failure> {
    let triple = match &settings.target {
        None => platform.triple(libc).to_owned(),
        Some(target) if Platform::for_triple(target).any(|other| other == platform) => target.clone(),
        Some(target) => {
            return Err(Failure::new(
                Class::Config,
                format!("image '{image}': target '{target}' does not match {platform}"),
            )
            .hint(format!("use {} or {}", platform.triple(Libc::Musl), platform.triple(Libc::Gnu))));
        }
    };
    let mut rustflags: Vec<String> =
        platform.target_cpu().map(|cpu| format!("-Ctarget-cpu={cpu}")).into_iter().collect();
    rustflags.extend(settings.rustflags.iter().flatten().cloned());
    if let Some(glibc) = &settings.glibc {
        let numbers = glibc.split('.').filter(|part| part.parse::<u8>().is_ok()).count();
        if numbers != 2 || glibc.split('.').count() != 2 {
            return Err(Failure::new(Class::Config, format!("image '{image}': invalid glibc version '{glibc}'"))
                .hint("use a version such as glibc = \"2.28\""));
        }
    }
    let sysroot_packages = sysroot_packages(image, platform, &triple, settings)?;
    Ok(BuildSettings {
        triple,
        profile: settings.profile.clone().unwrap_or_else(|| "release".to_owned()),
        features: settings.features.clone().unwrap_or_default(),
        all_features: settings.all_features.unwrap_or_default(),
        no_default_features: settings.no_default_features.unwrap_or_default(),
        rustflags,
        env: settings.build_env.clone().into_iter().collect(),
        sysroot_packages,
        linker: settings.linker,
        glibc: settings.glibc.clone().filter(|_| libc == Libc::Gnu),
        build_std: settings.build_std.unwrap_or_default(),
    })
}

/// Returns the Debian packages for the sysroot, sorted. Fails if a package name is invalid, or if Debian does not
/// support the platform or the libc.
fn sysroot_packages(image: &str, platform: Platform, triple: &str, settings: &Config) -> Result<Vec<String>, Failure> {
    let packages: BTreeSet<&String> = settings.sysroot_packages.iter().flatten().collect();
    let failure = |problem: String| Failure::new(Class::Config, format!("image '{image}': {problem}"));
    let alternative =
        "avoid the system library: enable the crate's `vendored` feature, or use rustls instead of OpenSSL";
    for package in &packages {
        // Names follow Debian Policy, section 5.6.1, with an optional `=VERSION` as in apt. A leading dash must be
        // rejected, because apt would parse it as an option.
        let (name, version) = package.split_once('=').unwrap_or((package, "0"));
        let is_valid = |text: &str, punctuation: &str| {
            let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || punctuation.contains(c);
            text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) && text.chars().all(is_allowed)
        };
        if !is_valid(name, "+-.") || !is_valid(&version.to_ascii_lowercase(), "+-.:~") {
            return Err(failure(format!("sysroot-packages: '{package}' is not a valid Debian package name"))
                .hint("use a package name without an architecture: sysroot-packages = [\"libssl-dev\"]"));
        }
    }
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    if triple.contains("-musl") {
        return Err(failure(format!("sysroot-packages requires glibc, but {platform} uses musl"))
            .hint("use glibc: libc = \"gnu\", base = \"debian:trixie-slim\"")
            .hint(format!("or {alternative}")));
    }
    match platform.debian() {
        Some(_) => Ok(packages.into_iter().cloned().collect()),
        None => Err(failure(format!("sysroot-packages: Debian has no packages for {platform}")).hint(alternative)),
    }
}

/// Chooses the template: the configured name or path, else the built-in template for the base.
fn choose_template(settings: &Config, root: &Utf8Path) -> Result<Template, Failure> {
    if let Some(name) = &settings.template {
        if name.contains(['/', '.']) {
            return Ok(Template::File(root.join(name)));
        }
        return Ok(Template::BuiltIn(built_in_template(name)?.name));
    }
    let base = settings.base.as_deref().unwrap_or(SCRATCH);
    let path = base.split(['@']).next().unwrap_or(base);
    let name = path.rsplit('/').next().unwrap_or(path).split(':').next().unwrap_or(path);
    let by_base = match name {
        SCRATCH | "alpine" => name,
        _ if path.contains("distroless") && name.starts_with("static") => "distroless-static",
        _ if path.contains("distroless") => "distroless-cc",
        _ => "debian",
    };
    Ok(Template::BuiltIn(built_in_template(by_base)?.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_may_name_their_own_base() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("app.j2");
        for (text, expected) in [
            ("FROM debian AS {{ stage }}", true),
            ("# base\nFROM debian AS {{ stage }}", true),
            ("FROM {{ base }} AS {{ stage }}", false),
            ("{% set from = base %}FROM {{ from }} AS {{ stage }}", false),
            ("FROM scratch AS {{ stage }}", false),
            ("{{", false),
        ] {
            fs_err::write(&path, text).unwrap();
            assert_eq!(has_own_base(&Template::File(path.clone())), expected, "{text}");
        }
        assert!(!has_own_base(&Template::BuiltIn("debian")));
    }
}
