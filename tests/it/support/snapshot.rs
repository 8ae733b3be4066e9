//! Snapshots of what a user reads. Each is a file in tests/it/snapshots, named after its test; CONTRIBUTING.md has the
//! command that refreshes them.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::support::{find, path};

/// Compares what is shown with the snapshot of the test that this is called in. A test has one snapshot.
macro_rules! snapshot {
    ($($shown:expr),+ $(,)?) => {
        $crate::support::snapshot::compare(std::any::type_name_of_val(&|| ()), &[$(&$shown as &dyn $crate::support::snapshot::Show),+])
    };
}
pub(crate) use snapshot;

/// What can be part of a snapshot.
pub trait Show {
    fn show(&self) -> String;
}

impl Show for str {
    fn show(&self) -> String {
        self.to_owned()
    }
}

impl Show for String {
    fn show(&self) -> String {
        self.clone()
    }
}

impl Show for serde_json::Value {
    fn show(&self) -> String {
        format!("{self:#}\n")
    }
}

impl<T: Show + ?Sized> Show for &T {
    fn show(&self) -> String {
        (**self).show()
    }
}

impl<T: Show> Show for Vec<T> {
    fn show(&self) -> String {
        self.iter().map(Show::show).collect::<Vec<_>>().join("\n")
    }
}

impl<T: Show, const N: usize> Show for [T; N] {
    fn show(&self) -> String {
        self.iter().map(Show::show).collect::<Vec<_>>().join("\n")
    }
}

/// `test` is the type name of a closure in the test: `it::plan::the_table::{{closure}}`.
pub fn compare(test: &str, shown: &[&dyn Show]) {
    let name = test.trim_start_matches("it::").replace("::{{closure}}", "").replace("::", "__");
    let shown: Vec<String> = shown.iter().map(Show::show).collect();
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, redact(&shown.join("\n"))));
}

/// Replaces everything that differs between machines, runs or versions of the tools.
pub fn redact(text: &str) -> String {
    let text = PLACES.iter().fold(text.to_owned(), |text, (place, name)| text.replace(place, name));
    PATTERNS.iter().fold(text, |text, (pattern, name)| pattern.replace_all(&text, *name).into_owned())
}

/// Directories of this machine, inner ones first.
static PLACES: LazyLock<Vec<(String, &str)>> = LazyLock::new(|| {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = variable("HOME");
    let cargo_home = variable("CARGO_HOME").or_else(|| Some(home.as_ref()?.join(".cargo")));
    let bin = std::env::split_paths(&path()).next();
    let places = [
        (Some(PathBuf::from(env!("CARGO_MANIFEST_DIR"))), "[repository]"),
        (bin, "[toolchain]/bin"),
        (find("rustc").and_then(|rustc| Some(rustc.parent()?.to_owned())), "[toolchain]/bin"),
        (cargo_home, "[cargo-home]"),
        (home, "[home]"),
    ];
    let long_enough = |place: &PathBuf| place.components().count() > 1;
    let places = places.into_iter().filter_map(|(place, name)| Some((place.filter(long_enough)?, name)));
    places.flat_map(|(place, name)| spellings(&place).map(|place| (place, name))).collect()
});

/// A path without symbolic links, and as it is.
pub fn spellings(path: &Path) -> [String; 2] {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    [real, path.to_owned()].map(|path| path.display().to_string())
}

/// Applied in this order.
static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let [real, tmp] = spellings(&std::env::temp_dir()).map(|dir| regex::escape(dir.trim_end_matches('/')));
    let tmp = format!(r"(?:{real}|{tmp})/\.tmp\w{{6}}");
    [
        (tmp.as_str(), "[directory]"),
        (r"\b(?:127\.0\.0\.1|0\.0\.0\.0):\d{4,5}\b", "[registry]"),
        (r"\b[0-9a-f]{64}\b", "[digest]"),
        (r"sha256:[0-9a-f]{12}\b", "sha256:[digest]"),
        (r"\b[0-9a-f]{40}\b", "[commit]"),
        (r"commit `[0-9a-f]{12}`", "commit `[commit]`"),
        (r"\| \d+\.\d [kMG]B \|", "| [size] |"),
        (r"\b(cargo|rustc) \d+\.\d+\.\d+(?:-\w+)?(?: \([^)]*\))?", "$1 [version]"),
        (concat!("cargo-multiarch ", env!("CARGO_PKG_VERSION")), "cargo-multiarch [version]"),
        (r"(rustc \[version\] for) [\w-]+", "$1 [host]"),
        (r"\b\d+(?:\.\d+)? [kMGT]B left", "[size] left"),
        (r"\bthis one is \d+\.\d+\.\d+\S*", "this one is [version]"),
        (r"\b\d+ bytes\b", "[size] bytes"),
        // Of the registries that are spoken to, whose ports differ.
        (r"\bmultiarch-[0-9a-f]{8}\b", "multiarch-[hash]"),
        (r#""size": \d+"#, r#""size": [size]"#),
        (r"\b\d+ s (behind|ahead)", "[duration] $1"),
        (r"(failed to lookup address information): [^\n]*", "$1: [reason]"),
        (r#""rust_version": "[^"]*""#, r#""rust_version": "[version]""#),
        (r" \(os error \d+\)", ""),
        // cargo's own words differ from version to version.
        (r"(Cargo\.lock (?:is missing|does not fit the manifests)): [^\n]*", "$1: [cargo's words]"),
    ]
    .into_iter()
    .map(|(pattern, name)| (Regex::new(pattern).unwrap(), name))
    .collect()
});
