//! Builds with `sysroot-packages` and a fake apt.

use std::time::Duration;

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
