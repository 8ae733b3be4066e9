//! Checks that an image's settings name only binaries that the image contains.

use super::image_platform::SCRATCH;
use super::{Binary, ConfigSources, ImagePlatform, Template};
use crate::config::Config;
use crate::error::{Class, Failure};

/// Fails if `capabilities` or `entrypoint` in `settings` names a binary that the image does not contain.
pub(crate) fn check(
    image: &str,
    platform: &ImagePlatform,
    settings: &Config,
    sources: &ConfigSources,
) -> Result<(), Failure> {
    check_capabilities(image, platform, sources)?;
    match settings.entrypoint.as_deref() {
        Some([program, ..]) => check_entrypoint(image, program, platform, sources),
        _ => Ok(()),
    }
}

fn check_capabilities(image: &str, platform: &ImagePlatform, sources: &ConfigSources) -> Result<(), Failure> {
    let names = || platform.binaries.iter().map(|binary| binary.name.as_str());
    let Some(unknown) = platform.capabilities.keys().find(|name| !names().any(|known| known == name.as_str())) else {
        return Ok(());
    };
    let location = sources.locate(image, &["capabilities", unknown], None);
    let message = format!("{location}image '{image}': capabilities: the image has no binary '{unknown}'");
    Err(Failure::new(Class::Config, message).did_you_mean_or_list(unknown, names(), "binaries of the image"))
}

/// Fails if the entrypoint is in the directory of the binaries but cannot exist. A base or a template may add programs, so
/// only images without them are checked here.
fn check_entrypoint(
    image: &str,
    program: &str,
    platform: &ImagePlatform,
    sources: &ConfigSources,
) -> Result<(), Failure> {
    let paths: Vec<String> = platform.binaries.iter().map(Binary::path).collect();
    let is_in_bin = program.rsplit_once('/').is_some_and(|(dir, _)| dir == "/usr/local/bin");
    let is_bare = platform.base == SCRATCH && matches!(platform.template, Template::BuiltIn(_));
    // An entry may copy a directory of files.
    let is_copied = platform.files.iter().any(|file| program.starts_with(file.to.as_str()));
    if !is_in_bin || !is_bare || is_copied || paths.iter().any(|path| path == program) {
        return Ok(());
    }
    let location = sources.locate(image, &["entrypoint"], Some(program));
    let message = format!("{location}image '{image}': entrypoint: the image has no {program}");
    let known = paths.iter().map(String::as_str);
    Err(Failure::new(Class::Config, message).did_you_mean_or_list(program, known, "binaries of the image"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Checkout, Package, PlanRequest, Workspace, resolve};

    #[test]
    fn rejects_entrypoints_that_cannot_exist() {
        const MISSING: &str = "image 'app': entrypoint: the image has no /usr/local/bin/ap";
        for (config, expected) in [
            ("entrypoint = ['/usr/local/bin/ap']", Some(MISSING)),
            ("entrypoint = ['/usr/local/bin/app', 'ap']", None),
            ("entrypoint = ['ap']", None),
            ("entrypoint = ['/usr/local/bin/ap']\nbase = 'alpine:3.22'", None),
            ("entrypoint = ['/usr/local/bin/ap']\ntemplate = 'docker/app.j2'", None),
            ("entrypoint = ['/usr/local/bin/ap']\nfiles = [{ from = 'ap', to = '/usr/local/bin/ap' }]", None),
            ("entrypoint = ['/usr/local/bin/ap']\nfiles = [{ from = 'scripts', to = '/usr/local/bin' }]", None),
            ("entrypoint = []\ncmd = ['app']", None),
        ] {
            let sources = ConfigSources { workspace: toml::from_str(config).unwrap(), ..ConfigSources::default() };
            let workspace = Workspace::with_packages("/w".into(), vec![Package::for_tests("app", &["app"])]);
            let plan = resolve(&workspace, &sources, &Checkout::None, &PlanRequest::default());
            assert_eq!(plan.err().map(|failure| failure.to_string()).as_deref(), expected, "{config}");
        }
    }
}
