//! Tests `sysroot-packages` with a fake apt on PATH. The tests with the real apt are in `services::sysroot`.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::fake_registry::digest;
use crate::support::snapshot::{Show, snapshot};
use crate::support::{Fakes, Finished, Project, Run};

/// This machine's platform, Debian architecture and target triple, in that order. The standard library for this target
/// is always installed.
pub const NATIVE: [&str; 3] = if cfg!(target_arch = "x86_64") {
    ["linux/amd64", "amd64", "x86_64-unknown-linux-gnu"]
} else {
    ["linux/arm64", "arm64", "aarch64-unknown-linux-gnu"]
};

pub fn project() -> Project {
    let [platform, ..] = NATIVE;
    Project::with_config(&format!(
        "libc = 'gnu'\nbase = 'scratch'\nplatforms = ['{platform}']\nsysroot-packages = ['libssl-dev']\nengine = 'embedded'"
    ))
}

/// Replaces the names of this machine's platform, so that snapshots are the same on every machine.
fn without_platform(finished: &Finished) -> String {
    let [platform, architecture, triple] = NATIVE;
    let variable = triple.replace('-', "_");
    [
        (triple, "[triple]"),
        (&variable, "[triple]"),
        (&variable.to_uppercase(), "[TRIPLE]"),
        (platform, "[platform]"),
        (&format!("Debian architecture {architecture}"), "Debian architecture [architecture]"),
        (&format!("[arch={architecture}]"), "[arch=[architecture]]"),
        (&format!("/{architecture}/"), "/[architecture]/"),
    ]
    .iter()
    .fold(finished.show(), |shown, (text, name)| shown.replace(text, name))
}

/// Returns the error and its hints.
fn errors(finished: Finished) -> String {
    let shown = without_platform(&finished.stderr_lacks("Compiling"));
    shown[shown.find("error: ").unwrap()..].to_owned()
}

/// Creates fake apt programs that provide libssl-dev. `update` and `download` are the scripts that `apt-get update` and
/// `apt-get download` run.
pub fn apt(update: &str, download: &str) -> Fakes {
    let record = format!(
        "Package: libssl-dev\\nVersion: 3.0-1\\nSection: libdevel\\nDepends: libssl3 (= 3.0-1)\\nSHA256: {0}\\n\\n\
         Package: libssl3\\nVersion: 3.0-1\\nSection: libs\\nDepends: libc6\\nSHA256: {0}\\n\\n",
        digest(b"deb\n").trim_start_matches("sha256:")
    );
    let [_, architecture, _] = NATIVE;
    let get = format!(
        "echo \"$@\" >> \"$0.log\"\nroot=$(dirname \"$2\")\ncase \"$*\" in\n\
         *update) {update}\ntouch \"$root/lists/mirror_binary-{architecture}_Packages\" ;;\n*download*) {download} ;;\nesac"
    );
    Fakes::new()
        .program("apt-get", &get)
        .program(
            "apt-cache",
            &format!("case \"$*\" in *libssl-dev*|*libssl3*) printf '{record}' ;; *) exit 100 ;; esac"),
        )
        .program("dpkg-deb", "mkdir -p \"$3/usr/include/openssl\"")
}

/// Prepares a run of `build` with a separate cache directory.
pub fn build(project: &Project, apt: &Fakes, args: &[&str]) -> Run {
    project.run(&[&["build", "-v"], args].concat()).path_first(apt).env("XDG_CACHE_HOME", apt.path().join("cache"))
}

#[test]
fn sysroot_packages_are_rejected_for_other_platforms() {
    snapshot!(
        [
            "platforms = ['linux/arm64']\nsysroot-packages = ['libssl-dev']",
            "libc = 'gnu'\nbase = 'x'\nplatforms = ['linux/arm/v6']\nsysroot-packages = ['libssl-dev']",
            "libc = 'gnu'\nbase = 'x'\nsysroot-packages = ['libssl-dev:arm64']",
            "libc = 'gnu'\nbase = 'x'\nsysroot-packages = ['-oDir::Etc=/x']",
        ]
        .map(|config| Project::with_config(config).run(&["plan"]).fails(3).finish())
    );
}

#[test]
fn copied_libraries_need_packages_and_a_base() {
    const GNU: &str = "platforms = ['linux/arm64']\nlibc = 'gnu'\ncopy-libraries = true\n";
    let packages = format!("{GNU}sysroot-packages = ['libssl-dev']\n");
    let seen = [
        (format!("{GNU}base = 'x'"), &["plan"][..]),
        (format!("{packages}base = 'scratch'"), &["plan"]),
        (format!("{packages}base = 'x'"), &["publish", "--artifacts", "dist"]),
    ]
    .map(|(config, args)| Project::with_config(&config).run(args).fails(3).finish());
    let template = "FROM {{ base }} AS {{ stage }}\n{% include \"config\" %}\nCOPY linux/arm64/app /usr/local/bin/\n";
    let own = Project::with_config(&format!("{packages}base = 'x'\ntemplate = 't.j2'")).file("t.j2", template);
    snapshot!(seen, own.run(&["plan"]).fails(3).finish());
    let project = Project::with_config(&format!("{packages}base = 'x'"));
    let dockerfile = project.run(&["dockerfile"]).finish().stdout;
    assert!(dockerfile.contains("COPY [\"linux/arm64/libraries\",\"/usr/lib/aarch64-linux-gnu/\"]"), "{dockerfile}");
}

#[test]
fn plan_shows_sysroot_packages() {
    let tools = apt("", "").program("aarch64-linux-gnu-gcc", "exit 1");
    let config = "libc = 'gnu'\nbase = 'x'\nplatforms = ['linux/amd64', 'linux/arm64']\nlinker = 'gcc'\n\
        [platform.'linux/amd64']\nlinker = 'host'\n[platform.'linux/arm64']\nsysroot-packages = ['zlib1g-dev', 'libssl-dev']";
    let project = Project::with_config(config);
    let plan = project.run(&["plan", "-v"]).path_first(&tools).finish();
    assert!(plan.stdout.contains("\n  aarch64-unknown-linux-gnu  libssl-dev, zlib1g-dev\n"), "{plan}");
    let dir = project.path().canonicalize().unwrap().join("target/multiarch/+sysroot/aarch64-unknown-linux-gnu");
    let dir = dir.display();
    assert_eq!(tools.log("apt-get"), "", "plan must not run apt-get");
    let plan = plan.stderr_has(&[
        &format!("AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_DIR={dir}/usr "),
        &format!("PKG_CONFIG_SYSROOT_DIR_aarch64_unknown_linux_gnu={dir} "),
        &format!("\"-Lnative={dir}/usr/lib/aarch64-linux-gnu\""),
    ]);
    plan.stderr_lacks("X86_64_UNKNOWN_LINUX_GNU_OPENSSL");

    let own = project.run(&["plan", "-v"]).path_first(&tools).env("AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_DIR", "/mine");
    own.finish().stderr_lacks("OPENSSL_DIR=");
    let project = project.file(".cargo/config.toml", "[env]\nAARCH64_UNKNOWN_LINUX_GNU_OPENSSL_DIR = '/mine'\n");
    project.run(&["plan", "-v"]).path_first(&tools).finish().stderr_lacks("OPENSSL_DIR=");
}

#[test]
fn sysroot_packages_need_apt() {
    let tools = Fakes::new().real("cargo").real("rustc").real("git").real("sh").program("apt-get", "exit 1");
    snapshot!(without_platform(&project().run(&["plan"]).path_only(&tools).fails(4).finish()));
}

#[test]
fn apt_errors_are_reported() {
    let no_network = "echo 'E: Failed to fetch x  Could not resolve the host' >&2; exit 100";
    let mismatch = "echo 'E: Failed to fetch y  Hash Sum mismatch' >&2; exit 100";
    let seen = [
        (no_network, "", true),
        ("exit 0", "", true),
        ("", "", true),
        ("", mismatch, false),
        ("", "echo other > a.deb", false),
    ]
    .map(|(update, download, unknown)| {
        let tools = apt(update, download);
        let tools = if unknown { tools.program("apt-cache", "exit 100") } else { tools };
        let project = project();
        let finished = build(&project, &tools, &[]).fails(4).finish();
        let left = std::fs::read_dir(project.path().join("target/multiarch/+sysroot")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "no incomplete sysroot may be left behind");
        errors(finished)
    });
    let tools = apt("", "echo deb > a.deb").program("dpkg-deb", "echo 'no space left' >&2; exit 2");
    let unpacked = build(&project(), &tools, &[]).fails(4).finish();
    let offline = build(&project(), &apt("exit 1", "exit 1"), &["--offline"]).fails(4).finish();
    snapshot!(seen, errors(unpacked), errors(offline));
}

#[test]
fn ctrl_c_stops_apt() {
    let tools = apt("echo x > \"$0.started\"; sleep 60", "");
    let project = project();
    let (mut command, _dirs) = build(&project, &tools, &[]).into_command();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
    let start = Instant::now();
    while !tools.path().join("apt-get.started").exists() {
        assert!(start.elapsed() < Duration::from_secs(30), "apt-get was not run");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(start.elapsed() < Duration::from_secs(30));
}
