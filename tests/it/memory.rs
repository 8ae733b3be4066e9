//! The note about builds that may need more memory than is available.

use crate::support::ready_made;
use crate::system_libraries::app_with_packages;

/// Memory that rustc is assumed to need for each target.
const PER_TARGET: u64 = 8 << 30;

const PLATFORMS: [&str; 7] =
    ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386", "linux/riscv64", "linux/ppc64le"];

fn available() -> u64 {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn huge_crate_for_several_targets_is_noted_if_memory_is_short() {
    let config = format!("platforms = {PLATFORMS:?}\nlocked = false\n");
    let project = app_with_packages(&config, "aws-sdk-ec2 = \"1\"", &[("aws-sdk-ec2", "")]);
    let plan = |jobs: &str| {
        let run = project.run(&["plan"]).path_only(&ready_made::tools()).env("CARGO_BUILD_JOBS", jobs);
        run.finish().stderr.contains("cargo compiles aws-sdk-ec2 for 7 targets at the same time")
    };
    // Containers may have a lower limit than the machine.
    if available() < PER_TARGET * PLATFORMS.len() as u64 - (1 << 30) {
        assert!(plan("64"));
    }
    assert!(!plan("1"));
}
