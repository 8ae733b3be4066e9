//! Checks that a build that cannot find a system library is rejected before anything is compiled.

use crate::support::ready_made;
use crate::support::snapshot::snapshot;
use crate::support::{Fakes, Project};

const CHECKSUM: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Creates the package `app` with other packages in place of crates.io. Each has a name and the end of its manifest.
pub fn app_with_packages(config: &str, dependencies: &str, packages: &[(&str, &str)]) -> Project {
    let package = |name: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2021\"\n{rest}")
    };
    let mut project = Project::with_config(config)
        .file("Cargo.toml", &package("app", &format!("[dependencies]\n{dependencies}\n")))
        .file(
            ".cargo/config.toml",
            "[source.crates-io]\nreplace-with = \"copies\"\n[source.copies]\ndirectory = \"vendor\"\n",
        );
    for (name, rest) in packages {
        project = project
            .file(&format!("vendor/{name}/Cargo.toml"), &package(name, rest))
            .file(&format!("vendor/{name}/build.rs"), "fn main() {}")
            .file(&format!("vendor/{name}/src/lib.rs"), "")
            .file(
                &format!("vendor/{name}/.cargo-checksum.json"),
                &format!("{{\"files\":{{}},\"package\":\"{CHECKSUM}\"}}"),
            );
    }
    project
}

/// Creates the package `app`, which depends on a vendored copy of openssl-sys, with some of its features.
fn app(config: &str, features: &str) -> Project {
    let openssl = "links = \"openssl\"\nbuild = \"build.rs\"\n[build-dependencies]\npkg-config = \"1\"\n\
        openssl-src = { version = \"1\", optional = true }\n[features]\nvendored = [\"openssl-src\"]\n";
    let dependency = format!("openssl-sys = {{ version = \"1\", features = [{features}] }}");
    app_with_packages(config, &dependency, &[("openssl-sys", openssl), ("openssl-src", ""), ("pkg-config", "")])
}

fn tools() -> Fakes {
    ready_made::tools().program("aarch64-linux-gnu-gcc", "exit 1")
}

const GNU: &str = "libc = 'gnu'\nbase = 'scratch'\nplatforms = ['linux/arm64']\nlinker = 'gcc'\nlocked = false\n";
const MUSL: &str = "platforms = ['linux/arm64']\nlocked = false\n";

#[test]
fn missing_system_library_is_reported_before_compiling() {
    let gnu = app(GNU, "");
    let seen = [
        gnu.run(&["plan"]).path_only(&tools()).fails(3).finish(),
        gnu.run(&["doctor"]).path_only(&tools()).finds(3).finish(),
        gnu.run(&["publish", "--registry", "r.example"]).path_only(&tools()).fails(3).finish(),
        app(MUSL, "").run(&["plan"]).path_only(&tools()).fails(3).finish(),
    ];
    snapshot!(seen);
}

#[test]
fn builds_that_may_find_the_library_are_accepted() {
    let build_env = format!("{GNU}build-env = {{ AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_DIR = '/opt/openssl' }}\n");
    let packages = format!("{GNU}sysroot-packages = ['libssl-dev']\n");
    for (config, features) in [(GNU, "\"vendored\""), (&build_env, ""), (&packages, "")] {
        let tools = tools().program("apt-get", "").program("apt-cache", "").program("dpkg-deb", "");
        let project = app(config, features);
        project.run(&["plan"]).path_only(&tools).finish();
    }
    let variable = app(GNU, "").run(&["plan"]).path_only(&tools()).env("PKG_CONFIG_ALLOW_CROSS", "1");
    variable.finish();
}

#[test]
fn library_that_the_linker_cannot_find_is_reported_before_compiling() {
    let sqlite = "links = \"sqlite3\"\nbuild = \"build.rs\"\n[build-dependencies]\npkg-config = \"1\"\n";
    let project = app_with_packages(MUSL, "libsqlite3-sys = \"1\"", &[("libsqlite3-sys", sqlite), ("pkg-config", "")]);
    snapshot!(project.run(&["plan"]).path_only(&tools()).fails(3).finish());
    project.run(&["plan"]).path_only(&tools()).env("SQLITE3_LIB_DIR", "/opt/sqlite").finish();
}
