//! Tests runs whose cache directory is on a full file system.

use crate::bases::{STYLE, on, walk};
use crate::support::FakeRegistry;
use crate::support::base_image::{Entry, base_image, tar_of};
use crate::support::embedded;

#[test]
#[ignore = "run by scripts/test"]
fn full_disk_is_reported_and_leaves_no_partial_blobs() {
    let registry = FakeRegistry::storing();
    // Random bytes do not compress.
    let mut noise = vec![0; 400_000];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut noise).unwrap();
    base_image(&registry, "base", "1", &["linux/arm64"], &tar_of(&[("noise", Entry::File(&noise, 0o644))]), STYLE);
    let project = on(&registry);
    let cache = project.path().join("cache");
    std::fs::create_dir(&cache).unwrap();
    let run = |program: &str, args: &[&str]| {
        let status = std::process::Command::new(program).args(args).arg(&cache).status().unwrap();
        assert!(status.success(), "{program} {args:?}");
    };
    run("mount", &["-t", "tmpfs", "-o", "size=128k", "tmpfs"]);
    let finished = std::panic::catch_unwind(|| embedded(&project, &["build"]).fails(1).finish());
    let leftover = walk(&cache);
    run("umount", &[]);
    finished.unwrap().stderr_has(&["No space left on device", "XDG_CACHE_HOME"]);
    assert!(leftover.len() <= 1, "only the config fits on the disk: {leftover:?}");
}
