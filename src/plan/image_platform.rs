//! What one platform of an image is made of and how its binaries are compiled. Pure.

use std::collections::BTreeSet;

use camino::Utf8Path;
use indexmap::IndexMap;

use super::check_names::{check_file, check_values};
use super::{Binary, BuildSettings, ContainerConfig, ImagePlatform, Template, Workspace, check_container};
use crate::config::Config;
use crate::error::{Class, Failure, closest_match};
use crate::platform::{Libc, Platform};

/// The built-in templates: name, the base where none is named, and the libc that fits it.
const BUILT_IN: &[(&str, &str, Libc)] = &[
    ("scratch", "scratch", Libc::Musl),
    ("alpine", "alpine:3.22", Libc::Musl),
    ("debian", "debian:trixie-slim", Libc::Gnu),
    ("distroless-static", "gcr.io/distroless/static-debian12:nonroot", Libc::Musl),
    ("distroless-cc", "gcr.io/distroless/cc-debian12:nonroot", Libc::Gnu),
];

/// A built-in template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    pub name: &'static str,
    /// The base where none is named.
    pub base: &'static str,
    /// The libc that fits it.
    pub libc: Libc,
}

/// The built-in templates.
pub fn built_ins() -> impl Iterator<Item = BuiltIn> {
    BUILT_IN.iter().map(|(name, base, libc)| BuiltIn { name, base, libc: *libc })
}

/// The built-in template of a name.
pub fn built_in(name: &str) -> Result<BuiltIn, Failure> {
    built_ins().find(|template| template.name == name).ok_or_else(|| {
        let known = built_ins().map(|template| template.name);
        let failure = Failure::new(Class::Config, format!("unknown template '{name}'"));
        match closest_match(name, known) {
            Some(near) => failure.hint(format!("did you mean '{near}'?")),
            None => failure.hint(format!(
                "built in are {}; a file of your own has a '.' or '/' in its name: template = \"docker/app.j2\", \
                 `cargo multiarch publish --template docker/app.j2`",
                built_ins().map(|template| template.name).collect::<Vec<_>>().join(", ")
            )),
        }
    })
}

/// The numeric user that images run as, where nothing else is said: distroless' `nonroot`.
const NON_ROOT: &str = "65532:65532";

/// The settings of one platform, with everything that has a default filled in.
pub fn image_platform(
    image: &str,
    platform: Platform,
    settings: &Config,
    binaries: &[Binary],
    labels: &IndexMap<String, String>,
    workspace: &Workspace,
) -> Result<ImagePlatform, Failure> {
    check_values(settings, image)?;
    check_container::check(settings, image)?;
    let template = template(settings, &workspace.root)?;
    let built_in = match template {
        Template::BuiltIn(name) => BUILT_IN.iter().find(|row| row.0 == name),
        Template::File(_) => None,
    };
    // A base alone does not decide the libc: a static binary runs on all of them.
    let named = settings.template.is_some().then_some(built_in).flatten();
    let libc = settings.libc.or(named.map(|row| row.2)).unwrap_or(Libc::Musl);
    if let Some((name, _, Libc::Musl)) = built_in.filter(|row| libc == Libc::Gnu && row.0 != "scratch") {
        return Err(Failure::new(
            Class::Config,
            format!("image '{image}': libc \"gnu\" does not run on {name}, which has no glibc"),
        )
        .hint("take libc = \"musl\", or a base that has glibc: base = \"debian:trixie-slim\""));
    }
    let base = match (&settings.base, built_in) {
        (Some(base), _) => base.clone(),
        (None, Some(row)) if row.0 != "scratch" || libc == Libc::Musl => row.1.to_owned(),
        (None, None) if libc == Libc::Musl => "scratch".to_owned(),
        _ => {
            return Err(Failure::new(
                Class::Config,
                format!("image '{image}': libc \"gnu\" needs a base that has glibc"),
            )
            .hint("say which: base = \"debian:trixie-slim\", or template = \"debian\"; or take libc = \"musl\""));
        }
    };
    let mut all_labels = labels.clone();
    all_labels.extend(settings.labels.clone());
    let default_entrypoint = || {
        let main = binaries.iter().find(|binary| binary.name == image).unwrap_or(&binaries[0]);
        vec![main.path()]
    };
    let files = settings.files.clone().unwrap_or_default();
    for file in &files {
        check_file(file, image)?;
        if binaries.iter().any(|binary| binary.path() == file.to) {
            return Err(Failure::new(
                Class::Config,
                format!("image '{image}': a file and a binary are both {}", file.to),
            ));
        }
    }
    for (index, file) in files.iter().enumerate() {
        if files[..index].iter().any(|other| other.to == file.to) {
            return Err(Failure::new(Class::Config, format!("image '{image}': two files are both {}", file.to)));
        }
    }
    Ok(ImagePlatform {
        platform,
        build: build_settings(image, platform, libc, settings)?,
        binaries: binaries.to_vec(),
        base,
        template,
        files,
        container: ContainerConfig {
            env: settings.env.clone(),
            labels: all_labels,
            entrypoint: settings.entrypoint.clone().unwrap_or_else(default_entrypoint),
            cmd: settings.cmd.clone(),
            expose: settings.expose.iter().flatten().map(ToString::to_string).collect(),
            volumes: settings.volumes.clone().unwrap_or_default(),
            user: Some(settings.user.clone().unwrap_or_else(|| NON_ROOT.to_owned())),
            workdir: settings.workdir.clone(),
            stop_signal: settings.stop_signal.clone(),
            healthcheck: settings.healthcheck.clone(),
            said: check_container::said(settings),
        },
    })
}

fn build_settings(image: &str, platform: Platform, libc: Libc, settings: &Config) -> Result<BuildSettings, Failure> {
    let triple = match &settings.target {
        None => platform.triple(libc).to_owned(),
        Some(target) if Platform::for_triple(target).any(|other| other == platform) => target.clone(),
        Some(target) => {
            return Err(Failure::new(
                Class::Config,
                format!("image '{image}': target '{target}' is not for {platform}"),
            )
            .hint(format!(
                "{platform} is {} or {}",
                platform.triple(Libc::Musl),
                platform.triple(Libc::Gnu)
            )));
        }
    };
    let mut rustflags: Vec<String> =
        platform.target_cpu().map(|cpu| format!("-Ctarget-cpu={cpu}")).into_iter().collect();
    rustflags.extend(settings.rustflags.iter().flatten().cloned());
    if let Some(glibc) = &settings.glibc {
        let numbers = glibc.split('.').filter(|part| part.parse::<u8>().is_ok()).count();
        if numbers != 2 || glibc.split('.').count() != 2 {
            return Err(Failure::new(Class::Config, format!("image '{image}': glibc '{glibc}' is not a version"))
                .hint("write it as in glibc = \"2.28\""));
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

/// The Debian packages to compile against, sorted, where they can be had and used.
fn sysroot_packages(image: &str, platform: Platform, triple: &str, settings: &Config) -> Result<Vec<String>, Failure> {
    let packages: BTreeSet<&String> = settings.sysroot_packages.iter().flatten().collect();
    let refuse = |what: String| Failure::new(Class::Config, format!("image '{image}': {what}"));
    let otherwise = "or do without Debian's library: the crate's `vendored` feature, or rustls in place of OpenSSL";
    for package in &packages {
        // Debian Policy, 5.6.1; a version after `=`, as for apt. What starts with a dash would be an option.
        let (name, version) = package.split_once('=').unwrap_or((package, "0"));
        let fits = |text: &str, more: &str| {
            let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(c);
            text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) && text.chars().all(known)
        };
        if !fits(name, "+-.") || !fits(&version.to_ascii_lowercase(), "+-.:~") {
            return Err(refuse(format!("sysroot-packages: '{package}' is not the name of a Debian package"))
                .hint("write it as in sysroot-packages = [\"libssl-dev\"], without an architecture"));
        }
    }
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    if triple.contains("-musl") {
        return Err(refuse(format!("sysroot-packages are built for glibc, and musl is linked for {platform}"))
            .hint("link glibc: libc = \"gnu\", base = \"debian:trixie-slim\"")
            .hint(otherwise));
    }
    match platform.debian() {
        Some(_) => Ok(packages.into_iter().cloned().collect()),
        None => Err(refuse(format!("sysroot-packages: Debian has no packages for {platform}")).hint(otherwise)),
    }
}

/// A template by name or path; where none is named, by what the base is.
fn template(settings: &Config, root: &Utf8Path) -> Result<Template, Failure> {
    if let Some(name) = &settings.template {
        return match name.contains(['/', '.']) {
            true => Ok(Template::File(root.join(name))),
            false => Ok(Template::BuiltIn(built_in(name)?.name)),
        };
    }
    let base = settings.base.as_deref().unwrap_or("scratch");
    let path = base.split(['@']).next().unwrap_or(base);
    let name = path.rsplit('/').next().unwrap_or(path).split(':').next().unwrap_or(path);
    let by_base = match name {
        "scratch" | "alpine" => name,
        _ if path.contains("distroless") && name.starts_with("static") => "distroless-static",
        _ if path.contains("distroless") => "distroless-cc",
        _ => "debian",
    };
    Ok(Template::BuiltIn(built_in(by_base)?.name))
}
