//! Runs the scripts that make a release, with a fake cargo, and the shell installer.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::docs::root;
use crate::support::{Fakes, Project, path};

/// The targets of a release.
pub const TRIPLES: [&str; 6] = [
    "aarch64-apple-darwin",
    "aarch64-unknown-linux-gnu",
    "aarch64-unknown-linux-musl",
    "x86_64-apple-darwin",
    "x86_64-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
];

/// A program that stands in for cargo-multiarch. It logs its calls to the file in place of `LOG`.
const PROGRAM: &str = r#"#!/bin/sh
echo "$*" >> LOG
[ "$1" != --version ] || { echo "cargo multiarch 1.2.3"; exit; }
shift
command=$1 out= platforms= checklist=
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=$2 ;;
    --platform) platforms=$2 ;;
    --libc) libc=$2 ;;
    --checklist) checklist=$2 ;;
  esac
  shift
done
case $command in
  compile)
    for platform in $(echo "$platforms" | tr , ' '); do
      case $platform in linux/amd64) triple=x86_64-unknown-linux-$libc ;; linux/arm64) triple=aarch64-unknown-linux-$libc ;; esac
      mkdir -p "$out/$triple-0123abcd"
      cp "$0" "$out/$triple-0123abcd/cargo-multiarch"
    done ;;
  completions) echo complete ;;
  man) mkdir -p "$out"; echo page > "$out/cargo-multiarch.1" ;;
  publish)
    echo "- [x] clean work tree" > "$checklist"
    echo "ghcr.io/you/cargo-multiarch:1.2.3@sha256:0123" ;;
esac
"#;

/// A fake cargo. A build copies the program.
const CARGO: &str = r#"echo "$* with ${CARGO_REGISTRY_TOKEN-no token}" >> "$0.log"
case $1 in
  metadata) printf '{"target_directory":"%s/target"}\n' "$PWD" ;;
  info) exit 101 ;;
  build)
    dir=target/debug
    case $* in *--target*) for dir; do :; done; dir=target/$dir/release ;; esac
    mkdir -p "$dir"
    install -m755 "$(dirname "$0")/program" "$dir/cargo-multiarch" ;;
esac"#;

/// A repository with everything that the release scripts need.
pub struct Release {
    pub project: Project,
}

/// Creates a repository of this owner, with the given version.
pub fn repository(owner: &str, version: &str) -> Release {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let manifest = format!(
        "[package]\nname = \"cargo-multiarch\"\nversion = \"{version}\"\n\
         repository = \"https://github.com/{owner}/cargo-multiarch\"\n"
    );
    let changelog = format!(
        "# Changelog\n\n## [Unreleased]\n\n## [{version}] - 2026-12-01\n\n### Added\n\n- A change.\n\n## [1.0.0] - 2026-01-01\n\n- An old change.\n"
    );
    let mut project = Project::empty().file("Cargo.toml", &manifest).file("CHANGELOG.md", &changelog);
    for path in ["README.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        project = project.file(path, "text\n");
    }
    for dir in ["scripts", "templates/release"] {
        for entry in std::fs::read_dir(root().join(dir)).unwrap() {
            let path = format!("{dir}/{}", entry.unwrap().file_name().into_string().unwrap());
            project = project.file(&path, &read(&path));
            std::fs::set_permissions(project.path().join(&path), PermissionsExt::from_mode(0o755)).unwrap();
        }
    }
    Release { project: project.file(".gitignore", "/target\n/dist\n").committed() }
}

impl Release {
    /// Returns the path of a script.
    pub fn script(&self, name: &str) -> PathBuf {
        self.project.path().join("scripts").join(name)
    }

    /// Returns the ID of the commit.
    pub fn head(&self) -> String {
        let git = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(self.project.path()).output().unwrap();
        String::from_utf8(git.stdout).unwrap().trim().to_owned()
    }

    /// Returns a fake cargo that compiles a fake cargo-multiarch, which writes `cargo-multiarch.log`.
    pub fn cargo(&self) -> Fakes {
        let fakes = Fakes::new().program("cargo", CARGO);
        let log = fakes.path().join("cargo-multiarch.log").display().to_string();
        std::fs::write(fakes.path().join("program"), PROGRAM.replace("LOG", &log)).unwrap();
        fakes
    }

    /// Runs a script.
    fn run(&self, fakes: &Fakes, name: &str, args: &[&str]) -> Output {
        let mut bash = Command::new("bash");
        bash.arg(self.script(name)).args(args).current_dir(self.project.path());
        bash.env("PATH", format!("{}:{}", fakes.path().display(), path())).env("XDG_CACHE_HOME", fakes.path());
        bash.output().unwrap()
    }

    /// Makes all files of a release in the directory `dist`.
    fn files(&self) -> PathBuf {
        let fakes = self.cargo();
        succeeds(&self.run(&fakes, "release-artifacts", &[&["--out", "dist"], &TRIPLES[..]].concat()));
        succeeds(&self.run(&fakes, "release-files", &["dist"]));
        self.project.path().join("dist")
    }
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn fails_with(output: &Output, expected: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains(expected), "no '{expected}' in {stderr}");
}

#[test]
fn release_archives_are_reproducible_and_complete() {
    let repository = repository("You", "1.2.3");
    let fakes = repository.cargo();
    let mut archives = Vec::new();
    for umask in ["022", "077"] {
        let script = format!("umask {umask}; exec bash \"$0\" --out dist x86_64-unknown-linux-gnu");
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]).arg(repository.script("release-artifacts")).current_dir(repository.project.path());
        bash.env("PATH", format!("{}:{}", fakes.path().display(), path()));
        succeeds(&bash.output().unwrap());
        let archive = repository.project.path().join("dist/cargo-multiarch-v1.2.3-x86_64-unknown-linux-gnu.tar.gz");
        archives.push(std::fs::read(archive).unwrap());
    }
    assert!(archives[0] == archives[1], "the archives differ");
    let mut entries = Vec::new();
    for entry in tar::Archive::new(flate2::read::GzDecoder::new(&archives[0][..])).entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.username().unwrap()), (0, Some("")));
        assert_eq!(header.mtime().unwrap(), 1_767_323_045, "the time of the commit");
        entries.push(format!("{:o} {}", header.mode().unwrap(), entry.path().unwrap().display()));
    }
    let name = "cargo-multiarch-v1.2.3-x86_64-unknown-linux-gnu";
    let expected = format!(
        "755 {name}/\n644 {name}/CHANGELOG.md\n644 {name}/LICENSE-APACHE\n644 {name}/LICENSE-MIT\n644 {name}/README.md\n\
         755 {name}/cargo-multiarch\n755 {name}/completions/\n644 {name}/completions/_cargo-multiarch\n\
         644 {name}/completions/cargo-multiarch\n644 {name}/completions/cargo-multiarch.fish\n755 {name}/man/\n\
         644 {name}/man/cargo-multiarch.1"
    );
    assert_eq!(entries.join("\n"), expected);
    let calls = fakes.log("cargo-multiarch");
    assert!(calls.contains("--libc gnu --template debian --glibc 2.17 --platform linux/amd64 --out "), "{calls}");
}

#[test]
fn release_archives_are_limited_to_supported_targets_and_sizes() {
    let repository = repository("You", "1.2.3");
    let fakes = repository.cargo();
    let output = repository.run(&fakes, "release-artifacts", &["x86_64-pc-windows-msvc"]);
    fails_with(&output, "no release for target 'x86_64-pc-windows-msvc'");
    assert_eq!(fakes.log("cargo"), "");
    std::fs::write(fakes.path().join("program"), [PROGRAM.as_bytes(), &vec![b'#'; 19_000_000]].concat()).unwrap();
    let output = repository.run(&fakes, "release-artifacts", &["aarch64-apple-darwin"]);
    fails_with(&output, "more than 19000000");
}

#[test]
fn release_needs_archives_for_all_hosts_and_a_changelog() {
    let repository = repository("You", "1.2.3");
    let dist = repository.files();
    let fakes = repository.cargo();
    std::fs::write(repository.project.path().join("CHANGELOG.md"), "## [1.2.30] - 2026-12-01\n\n- Other.\n").unwrap();
    fails_with(&repository.run(&fakes, "release-files", &["dist"]), "CHANGELOG.md has no section '## [1.2.3]'");
    std::fs::remove_file(dist.join("cargo-multiarch-v1.2.3-x86_64-apple-darwin.tar.gz")).unwrap();
    fails_with(&repository.run(&fakes, "release-files", &["dist"]), "no archive for x86_64-apple-darwin in ");
}

#[test]
fn release_notes_are_the_section_of_the_changelog() {
    let repository = repository("You", "1.2.3");
    let notes = std::fs::read_to_string(repository.files().join("notes.md")).unwrap();
    assert!(notes.starts_with("### Added\n\n- A change.\n\n## Verify the files\n"), "{notes}");
    assert!(!notes.contains("old change"), "{notes}");
}

#[test]
fn release_check_finds_what_is_not_ready() {
    for (owner, version, tag, expected) in [
        ("You", "1.2.3", "v1.2.3", &[][..]),
        ("You", "1.2.3", "v1.2.4", &["the tag is v1.2.4, but the version in Cargo.toml is 1.2.3"]),
        ("You", "1.2.3", "1.2.3", &["the tag is 1.2.3"]),
        ("OWNER", "1.2.3", "v1.2.3", &["the owner of the repository is not set"]),
    ] {
        let repository = repository(owner, version);
        let output = repository.run(&repository.cargo(), "release-check", &[tag]);
        assert_eq!(output.status.success(), expected.is_empty());
        for expected in expected {
            fails_with(&output, expected);
        }
    }
    let repository = repository("You", "1.2.3");
    std::fs::write(repository.project.path().join("CHANGELOG.md"), "## [Unreleased]\n").unwrap();
    std::fs::write(repository.project.path().join("README.md"), "There is no release yet: wait.\n").unwrap();
    let output = repository.run(&repository.cargo(), "release-check", &["v1.2.3"]);
    fails_with(&output, "README.md says that there is no release yet");
    fails_with(&output, "CHANGELOG.md has no line '## [1.2.3] - YYYY-MM-DD'");
}

/// A machine on which the installer runs. `curl` copies the requested file from `files`.
fn machine(files: &Path, system: &str, machine: &str, glibc: Option<&str>) -> Fakes {
    let curl = format!(
        "echo \"$*\" >> \"$0.log\"\nfor url; do :; done\nwhile [ \"$1\" != --output ]; do shift; done\ncp '{}'/\"${{url##*/}}\" \"$2\"",
        files.display()
    );
    let getconf = glibc.map_or_else(|| "exit 1".to_owned(), |version| format!("echo 'glibc {version}'"));
    Fakes::new()
        .program("curl", &curl)
        .program("uname", &format!("case $1 in -s) echo {system} ;; -m) echo {machine} ;; esac"))
        .program("getconf", &getconf)
        .program("sysctl", if system == "Darwin" && machine == "x86_64" { "echo 0" } else { "echo 1" })
}

fn install(files: &Path, machine: &Fakes, args: &[&str]) -> Output {
    Command::new("sh")
        .arg(files.join("cargo-multiarch-installer.sh"))
        .args(args)
        .env("PATH", format!("{}:/usr/bin:/bin", machine.path().display()))
        .env("HOME", machine.path())
        .env_remove("CARGO_HOME")
        .env_remove("CARGO_MULTIARCH_MIRROR")
        .output()
        .unwrap()
}

#[test]
fn installer_chooses_the_archive_of_the_machine() {
    let files = repository("You", "1.2.3").files_kept();
    let files = files.path();
    for (system, architecture, glibc, expected) in [
        ("Linux", "x86_64", Some("2.36"), "x86_64-unknown-linux-gnu"),
        ("Linux", "aarch64", Some("2.17"), "aarch64-unknown-linux-gnu"),
        ("Linux", "x86_64", Some("2.12"), "x86_64-unknown-linux-musl"),
        ("Linux", "aarch64", None, "aarch64-unknown-linux-musl"),
        ("Darwin", "arm64", None, "aarch64-apple-darwin"),
        ("Darwin", "x86_64", None, "x86_64-apple-darwin"),
    ] {
        let machine = machine(files, system, architecture, glibc);
        let output = install(files, &machine, &[]);
        succeeds(&output);
        let url = format!(
            "https://github.com/You/cargo-multiarch/releases/download/v1.2.3/cargo-multiarch-v1.2.3-{expected}.tar.gz"
        );
        assert!(machine.log("curl").trim_end().ends_with(&url), "{}", machine.log("curl"));
        let program = machine.path().join(".cargo/bin/cargo-multiarch");
        let version = Command::new(program).arg("--version").output().unwrap();
        assert_eq!(succeeds(&version), "cargo multiarch 1.2.3\n");
    }
}

#[test]
fn installer_explains_failures() {
    let files = repository("You", "1.2.3").files_kept();
    let files = files.path();
    for (system, architecture, args, expected) in [
        ("Linux", "riscv64", &[][..], "no archive for riscv64: run 'cargo install --locked cargo-multiarch'"),
        ("MINGW64_NT-10.0", "x86_64", &[], "on Windows, use WSL 2"),
        ("Linux", "x86_64", &["--to"], "--to needs a directory"),
        ("Linux", "x86_64", &["--prefix"], "unknown argument '--prefix'"),
    ] {
        fails_with(&install(files, &machine(files, system, architecture, None), args), expected);
    }
    let machine = machine(files, "Linux", "x86_64", None);
    std::fs::write(files.join("cargo-multiarch-v1.2.3-x86_64-unknown-linux-musl.tar.gz"), "other").unwrap();
    let to = machine.path().join("bin");
    fails_with(&install(files, &machine, &["--to", to.to_str().unwrap()]), " has the hash ");
    assert!(!to.exists(), "nothing may be installed");
}

#[test]
fn formula_contains_the_hash_of_each_archive() {
    let repository = repository("You", "1.2.3");
    let dist = repository.files();
    let formula = std::fs::read_to_string(dist.join("cargo-multiarch.rb")).unwrap();
    let sums = std::fs::read_to_string(dist.join("SHA256SUMS")).unwrap();
    let mut found = 0;
    for (url, hash) in formula.split("url \"").skip(1).map(|rest| rest.split_once("\"\n").unwrap()) {
        let file = url.strip_prefix("https://github.com/You/cargo-multiarch/releases/download/v1.2.3/").unwrap();
        let hash = hash.trim_start().strip_prefix("sha256 \"").unwrap().split('"').next().unwrap();
        assert!(sums.contains(&format!("{hash}  {file}\n")), "{file}");
        found += 1;
    }
    assert_eq!(found, 4);
    assert!(!formula.contains('@'), "{formula}");
}

impl Release {
    /// Makes all files of a release in a temporary directory that outlives the repository.
    fn files_kept(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(self.files()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
            }
        }
        dir
    }
}
