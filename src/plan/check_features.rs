//! Rejects features and profiles that do not exist, before anything is compiled.

use std::collections::BTreeSet;

use super::{Build, BuildSettings, Package, Workspace};
use crate::error::{Class, Failure};

/// The profiles that cargo defines.
const BUILT_IN_PROFILES: [&str; 4] = ["release", "dev", "test", "bench"];

/// Fails for the first feature or profile of a build that nothing defines.
pub(crate) fn check(builds: &[Build], workspace: &Workspace) -> Result<(), Failure> {
    for build in builds {
        let packages: Vec<&Package> = build.packages().into_iter().filter_map(|name| workspace.package(name)).collect();
        check_profile(&build.settings.profile, &workspace.profiles)?;
        check_features(&build.settings, &packages)?;
    }
    Ok(())
}

fn check_profile(profile: &str, defined: &BTreeSet<String>) -> Result<(), Failure> {
    // As in CARGO_PROFILE_<name>_INHERITS.
    let in_variables = profile.to_lowercase().replace('-', "_");
    if BUILT_IN_PROFILES.contains(&profile) || defined.contains(profile) || defined.contains(&in_variables) {
        return Ok(());
    }
    let known = BUILT_IN_PROFILES.into_iter().chain(defined.iter().map(String::as_str));
    let failure = Failure::new(Class::Config, format!("the workspace has no profile '{profile}'"));
    Err(match profile {
        // The name of the dev profile's directory.
        "debug" => failure.hint("did you mean 'dev'?"),
        _ => failure.did_you_mean_or_list(profile, known, "its profiles are").hint(format!(
            "or define it in the workspace's Cargo.toml: profile.{profile} = {{ inherits = \"release\" }}"
        )),
    })
}

fn check_features(build: &BuildSettings, packages: &[&Package]) -> Result<(), Failure> {
    // Features of dependencies (`a/x`) are left to cargo.
    let words = build.features.iter().flat_map(|list| list.split([',', ' '])).filter(|word| !word.is_empty());
    let mut plain = words.filter(|word| !word.contains(['/', ':']) && *word != "default");
    let known = || packages.iter().flat_map(|package| &package.features).map(String::as_str);
    let Some(unknown) = plain.find(|word| known().all(|feature| feature != *word)) else { return Ok(()) };
    let names = packages.iter().map(|package| package.name.as_str()).collect::<Vec<_>>().join(", ");
    let failure = Failure::new(Class::Config, format!("{names} has no feature '{unknown}'"));
    Err(match known().next() {
        Some(_) => failure.did_you_mean_or_list(unknown, known(), "its features are"),
        None => failure.hint(format!("it has no features at all: leave out `--features {unknown}`")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, features: &[&str]) -> Package {
        Package { features: features.iter().map(|name| (*name).to_owned()).collect(), ..Package::for_tests(name, &[]) }
    }

    #[test]
    fn features_that_no_package_has() {
        let (web, core) = (package("web", &["tls", "metrics"]), package("core", &[]));
        for (features, packages, expected) in [
            (&["tls,metrics"][..], &[&web][..], None),
            (&["tls metrics", "default"], &[&core, &web], None),
            (&["core/any", "core?/any"], &[&web], None),
            (&["tsl"], &[&web], Some(("web has no feature 'tsl'", "did you mean 'tls'?"))),
            (&["other"], &[&core, &web], Some(("core, web has no feature 'other'", "its features are: tls, metrics"))),
            (&["tls", "x"], &[&core], Some(("core has no feature 'tls'", "leave out `--features tls`"))),
        ] {
            let features = features.iter().map(|name| (*name).to_owned()).collect();
            let failure = check_features(&BuildSettings { features, ..BuildSettings::default() }, packages).err();
            assert_eq!(failure.as_ref().map(ToString::to_string).as_deref(), expected.map(|(message, _)| message));
            let hints = failure.iter().flat_map(Failure::hints).cloned().collect::<String>();
            assert!(hints.contains(expected.map_or("", |(_, hint)| hint)), "{hints}");
        }
    }

    #[test]
    fn profiles_that_nothing_defines() {
        let defined = ["dist", "by_variable"].map(str::to_owned).into();
        for good in ["release", "dev", "dist", "by-variable"] {
            assert!(check_profile(good, &defined).is_ok(), "{good}");
        }
        for (wrong, hint) in [
            ("relase", "did you mean 'release'?"),
            ("debug", "did you mean 'dev'?"),
            ("other", "its profiles are: release, dev, "),
        ] {
            let failure = check_profile(wrong, &defined).unwrap_err();
            assert_eq!(failure.to_string(), format!("the workspace has no profile '{wrong}'"));
            assert!(failure.hints()[0].starts_with(hint), "{:?}", failure.hints());
        }
    }
}
