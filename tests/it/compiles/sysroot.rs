//! Builds with `sysroot-packages` and a fake apt, and compares a Debian mirror with the real apt.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::support::Project;
use crate::support::fake_registry::digest;
use crate::sysroot::{NATIVE, apt, build, project};

#[test]
#[ignore = "run by scripts/test"]
fn sysroot_is_created_once() {
    let [platform, _, triple] = NATIVE;
    let tools = apt("", "echo deb > a.deb");
    let project = project();
    let calls = || tools.log("apt-get").lines().count();
    let finished = build(&project, &tools, &[]).fails(8).finish();
    finished
        .stderr_has(&[&format!("Fetched libssl-dev 3.0-1, libssl3 3.0-1 for {platform}"), "which is not in the image"]);
    assert_eq!(calls(), 2);
    let dir = project.path().join("target/multiarch/+sysroot").join(triple);
    let record = std::fs::read_to_string(dir.join("multiarch.list")).unwrap();
    assert!(record.starts_with("libssl-dev\nlibssl-dev 3.0-1 "), "{record}");
    build(&project, &tools, &[]).fails(8).finish().stderr_lacks("Fetch");
    assert_eq!(calls(), 2, "the sysroot must be reused");

    // A deleted sysroot is recreated from cached downloads, even offline.
    std::fs::remove_dir_all(&dir).unwrap();
    build(&project, &tools, &["--offline"]).fails(8).finish().stderr_has(&["Fetched libssl-dev"]);
    assert_eq!(calls(), 2);
    // An old sysroot is checked for updates, and kept if apt fails.
    let old = std::time::SystemTime::now() - Duration::from_secs(2 * 24 * 60 * 60);
    std::fs::File::options().append(true).open(dir.join("multiarch.list")).unwrap().set_modified(old).unwrap();
    let failing_apt = apt("exit 100", "").program("apt-cache", "exit 100");
    let finished = build(&project, &failing_apt, &[]).fails(8).finish();
    finished.stderr_has(&["warning: apt's sources contain no packages", "using the existing sysroot"]);
    build(&project, &tools, &[]).fails(8).finish().stderr_has(&["Fetching"]).stderr_lacks("Fetched");
    assert_eq!(calls(), 3);
}

/// Returns the values of `debian-mirror` for the archives and suites of this machine's release, from apt's sources.
fn mirror_of_apt() -> String {
    let os_release = std::fs::read_to_string("/etc/os-release").unwrap();
    let codename = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap();
    let args = ["indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"];
    let output = std::process::Command::new("apt-get").args(args).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let is_of_release = |line: &&str| line.split(' ').nth(1).is_some_and(|suite| suite.starts_with(codename));
    let suites: std::collections::BTreeSet<&str> = output.lines().filter(is_of_release).collect();
    Vec::from_iter(suites).join(",")
}

/// Returns a line for each file: its path, type, mode, time of modification, and content or destination.
fn list_files(dir: &Path, root: &Path, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let content = if metadata.is_symlink() {
            std::fs::read_link(&path).unwrap().display().to_string()
        } else if metadata.is_file() {
            digest(&std::fs::read(&path).unwrap())
        } else {
            list_files(&path, root, into);
            String::new()
        };
        // Directories, copies and the record get the time of the run.
        let is_unpacked = metadata.is_file() && metadata.mtime() < 1_790_000_000;
        let time = if is_unpacked { metadata.mtime() } else { 0 };
        into.push(format!("{} {:o} {time} {content}", path.strip_prefix(root).unwrap().display(), metadata.mode()));
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn mirror_gives_the_same_sysroot_as_apt() {
    let [platform, _, triple] = NATIVE;
    let config = format!(
        "libc = 'gnu'\nbase = 'x'\nplatforms = ['{platform}']\ncopy-libraries = true\n\
         sysroot-packages = ['libssl-dev', 'zlib1g-dev', 'libpq-dev']\n"
    );
    let fetch = |args: &[&str]| {
        let project = Project::with_config(&config);
        let run = project.run(&[&["compile", "-v", "--out", "dist"], args].concat());
        run.env("XDG_CACHE_HOME", project.path().join("cache")).finish().stderr_has(&["Fetched libc"]);
        let dir = project.path().join("target/multiarch/+sysroot").join(triple);
        let mut files = Vec::new();
        list_files(&dir, &dir, &mut files);
        files.sort();
        files
    };
    let from_apt = fetch(&[]);
    assert!(from_apt.len() > 100, "{from_apt:?}");
    assert_eq!(fetch(&["--debian-mirror", &mirror_of_apt()]), from_apt);
}
