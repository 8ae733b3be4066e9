//! Rejects unknown features and profiles before compilation starts.

use std::collections::BTreeSet;

use super::{Build, BuildSettings, Package, Workspace};
use crate::error::{Class, Failure};

/// Profiles that are built into cargo.
const BUILT_IN_PROFILES: [&str; 4] = ["release", "dev", "test", "bench"];

/// Returns an error for the first undefined feature or profile in `builds`.
pub(crate) fn check(builds: &[Build], workspace: &Workspace) -> Result<(), Failure> {
    for build in builds {
        let packages: Vec<&Package> = build.packages().into_iter().filter_map(|name| workspace.package(name)).collect();
        check_profile(&build.settings.profile, &workspace.profiles.names())?;
        check_features(&build.settings, &packages)?;
    }
    Ok(())
}

fn check_profile(profile: &str, defined: &BTreeSet<String>) -> Result<(), Failure> {
    // Use the same spelling as CARGO_PROFILE_<name>_INHERITS.
    let in_variables = profile.to_lowercase().replace('-', "_");
    if BUILT_IN_PROFILES.contains(&profile) || defined.contains(profile) || defined.contains(&in_variables) {
        return Ok(());
    }
    let known = BUILT_IN_PROFILES.into_iter().chain(defined.iter().map(String::as_str));
    let failure = Failure::new(Class::Config, format!("the workspace has no profile '{profile}'"));
    Err(match profile {
        // Users may expect this name because the dev profile's output directory is named `debug`.
        "debug" => failure.hint("did you mean 'dev'?"),
        _ => failure.did_you_mean_or_list(profile, known, "available profiles").hint(format!(
            "or define it in the workspace's Cargo.toml: profile.{profile} = {{ inherits = \"release\" }}"
        )),
    })
}

fn check_features(build: &BuildSettings, packages: &[&Package]) -> Result<(), Failure> {
    // Cargo itself checks the features of dependencies (`a/x`).
    let words = build.features.iter().flat_map(|list| list.split([',', ' '])).filter(|word| !word.is_empty());
    let mut plain = words.filter(|word| !word.contains(['/', ':']) && *word != "default");
    let known = || packages.iter().flat_map(|package| &package.features).map(String::as_str);
    let Some(unknown) = plain.find(|word| known().all(|feature| feature != *word)) else { return Ok(()) };
    let names = packages.iter().map(|package| package.name.as_str()).collect::<Vec<_>>().join(", ");
    let failure = Failure::new(Class::Config, format!("no feature '{unknown}' in {names}"));
    Err(match known().next() {
        Some(_) => failure.did_you_mean_or_list(unknown, known(), "available features"),
        None => failure.hint(format!(
            "remove '{unknown}' from `--features` or the `features` key: no features are defined in {names}"
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, features: &[&str]) -> Package {
        Package { features: features.iter().map(|name| (*name).to_owned()).collect(), ..Package::for_tests(name, &[]) }
    }

    #[test]
    fn rejects_unknown_features() {
        let (web, core) = (package("web", &["tls", "metrics"]), package("core", &[]));
        for (features, packages, expected) in [
            (&["tls,metrics"][..], &[&web][..], None),
            (&["tls metrics", "default"], &[&core, &web], None),
            (&["core/any", "core?/any"], &[&web], None),
            (&["tsl"], &[&web], Some(("no feature 'tsl' in web", "did you mean 'tls'?"))),
            (&["other"], &[&core, &web], Some(("no feature 'other' in core, web", "available features: tls, metrics"))),
            (&["tls", "x"], &[&core], Some(("no feature 'tls' in core", "remove 'tls' from `--features`"))),
        ] {
            let features = features.iter().map(|name| (*name).to_owned()).collect();
            let failure = check_features(&BuildSettings { features, ..BuildSettings::default() }, packages).err();
            assert_eq!(failure.as_ref().map(ToString::to_string).as_deref(), expected.map(|(message, _)| message));
            let hints = failure.iter().flat_map(Failure::hints).cloned().collect::<String>();
            assert!(hints.contains(expected.map_or("", |(_, hint)| hint)), "{hints}");
        }
    }

    #[test]
    fn rejects_unknown_profiles() {
        let defined = ["dist", "by_variable"].map(str::to_owned).into();
        for valid in ["release", "dev", "dist", "by-variable"] {
            assert!(check_profile(valid, &defined).is_ok(), "{valid}");
        }
        for (unknown, hint) in [
            ("relase", "did you mean 'release'?"),
            ("debug", "did you mean 'dev'?"),
            ("other", "available profiles: release, dev, "),
        ] {
            let failure = check_profile(unknown, &defined).unwrap_err();
            assert_eq!(failure.to_string(), format!("the workspace has no profile '{unknown}'"));
            assert!(failure.hints()[0].starts_with(hint), "{:?}", failure.hints());
        }
    }
}
