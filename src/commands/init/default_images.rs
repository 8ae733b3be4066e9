//! Decides which images a new configuration contains: one for each package, with all binaries of the package.

use crate::config::Config;
use crate::plan::{Binary, Package, Workspace};

/// Returns a configuration with an image for each selected package. It is empty if every package has a single binary,
/// because the default images are the same.
pub(crate) fn default_images(workspace: &Workspace) -> Config {
    let selected = workspace.selected.iter().filter_map(|name| workspace.package(name));
    let packages: Vec<&Package> = selected.filter(|package| !package.bins.is_empty()).collect();
    let mut config = Config::default();
    if packages.iter().any(|package| package.bins.len() > 1) {
        config.images = packages.iter().map(|package| (package.name.clone(), image(package))).collect();
    }
    config
}

fn image(package: &Package) -> Config {
    let main = main_binary(package);
    let others = package.bins.iter().filter(|bin| *bin != main).cloned();
    let entrypoint = Binary { name: main.clone(), package: package.name.clone() }.path();
    Config {
        bins: Some([main.clone()].into_iter().chain(others).collect()),
        entrypoint: (package.bins.len() > 1).then(|| vec![entrypoint]),
        ..Config::default()
    }
}

/// Returns the binary that the image starts: the one that `cargo run` starts, else the one named after the package, else
/// the first one.
fn main_binary(package: &Package) -> &String {
    let find = |name: &String| package.bins.iter().find(|bin| *bin == name);
    package.default_run.as_ref().and_then(find).or_else(|| find(&package.name)).unwrap_or(&package.bins[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_start_the_main_binary_of_their_package() {
        for (bins, default_run, expected) in [
            (&["app"][..], None, None),
            (&["server"], None, None),
            (&["cli", "app"], None, Some("app cli, /usr/local/bin/app")),
            (&["cli", "app"], Some("cli"), Some("cli app, /usr/local/bin/cli")),
            (&["cli", "server"], None, Some("cli server, /usr/local/bin/cli")),
        ] {
            let package = Package { default_run: default_run.map(str::to_owned), ..Package::for_tests("app", bins) };
            let config = default_images(&Workspace::with_packages("/w".into(), vec![package]));
            let shown = config.images.get("app").map(|image| {
                let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default().join(" ");
                format!("{}, {}", list(&image.bins), list(&image.entrypoint))
            });
            assert_eq!(shown.as_deref(), expected, "{bins:?} {default_run:?}");
        }
    }

    #[test]
    fn all_packages_are_listed_if_one_has_several_binaries() {
        let packages = [("a", &["a"][..]), ("b", &["x", "y"]), ("lib", &[])];
        let packages = packages.map(|(name, bins)| Package::for_tests(name, bins)).to_vec();
        let config = default_images(&Workspace::with_packages("/w".into(), packages));
        assert_eq!(config.images.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(config.images["a"].entrypoint, None);
    }
}
