//! Smoke runs of real images, in Docker and in an unpacked root file system, natively and under QEMU.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::registry::digest;
use super::{base_image, open_registry, run};
use crate::support::{Fakes, PROGRAM, Project};

const PLATFORMS: &str =
    "platforms = ['linux/amd64', 'linux/arm64', 'linux/arm/v7', 'linux/riscv64']\nworkdir = '/srv'\n";
const EMULATED: [(&str, &str); 3] = [("linux/arm64", "aarch64"), ("linux/arm/v7", "arm"), ("linux/riscv64", "riscv64")];

const MAIN: &str = r#"
fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("--version") => {
            let dir = std::env::current_dir().unwrap();
            println!("app 1.2.3 on {} in {} for {}", std::env::consts::ARCH, dir.display(), std::env::var("NAME").unwrap());
        }
        Some("--fail") => {
            eprintln!("no luck on {}", std::env::consts::ARCH);
            std::process::exit(3);
        }
        _ => loop {
            std::thread::sleep(std::time::Duration::from_secs(9));
        },
    }
}
"#;

/// The address of a Docker daemon that is not running.
const NO_DAEMON: &str = "unix:///nowhere/docker.sock";

fn project(config: &str) -> Project {
    Project::with_config(&format!("{config}env = {{ NAME = 'me' }}\n")).file("src/main.rs", MAIN)
}

/// Prepares a `build` that cannot reach a Docker daemon.
fn without_docker(project: &Project, args: &[&str]) -> crate::support::Run {
    project.run(&[&["build"], args].concat()).env("DOCKER_HOST", NO_DAEMON)
}

/// Asserts that a smoke run left no files, images, or containers behind.
#[track_caller]
fn assert_clean(project: &Project) {
    assert!(!project.path().join("target/multiarch/+smoke").exists());
    let images = run("docker", &["images", "--format", "{{.Repository}}"]);
    let containers = run("docker", &["ps", "--all", "--format", "{{.Names}}"]);
    assert!(!images.contains("multiarch-smoke") && !containers.contains("multiarch-smoke"), "{images}\n{containers}");
}

#[test]
#[ignore = "run by scripts/test"]
fn smoke_runs_work_with_and_without_docker() {
    let project = project(&format!("{PLATFORMS}smoke = ['--version']\n"));
    let registry = format!("{}/smoke", open_registry());
    let finished = project.run(&["publish", "--registry", &registry]).finish();
    let status_line = |platform: &str, how: &str, architecture: &str| {
        format!("Ran app --version for {platform}, {how}: app 1.2.3 on {architecture} in /srv for me\n")
    };
    let mut expected = vec![status_line("linux/amd64", "in Docker", "x86_64")];
    expected
        .extend(EMULATED.map(|(platform, architecture)| status_line(platform, "in Docker, under QEMU", architecture)));
    finished.stderr_has(&expected.iter().map(String::as_str).collect::<Vec<_>>());
    assert_clean(&project);

    let mut expected = vec![status_line("linux/amd64", "natively", "x86_64")];
    expected.extend(EMULATED.map(|(platform, architecture)| status_line(platform, "under QEMU", architecture)));
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    without_docker(&project, &[]).finish().stderr_has(&expected);
    // Simulate a root user who is not permitted to create mount namespaces.
    let chroot = Fakes::new().program(
        "unshare",
        "case \"$*\" in *--mount*) exit 1 ;; esac\nexec \"$(PATH=${PATH#*:} command -v unshare)\" \"$@\"",
    );
    without_docker(&project, &[]).path_first(&chroot).finish().stderr_has(&expected);
    assert_clean(&project);
    // If neither namespaces nor chroot is available, QEMU can still run an image that contains a single program.
    let no_unshare = Fakes::new().program("unshare", "exit 1");
    let project = project.file("multiarch.toml", "smoke = ['--version']\nenv = { NAME = 'me' }\n");
    without_docker(&project, &["--platform", "linux/arm64"])
        .path_first(&no_unshare)
        .finish()
        .stderr_has(&["Ran app --version for linux/arm64, under QEMU: app 1.2.3 on aarch64 in "]);
    assert_clean(&project);
}

#[test]
#[ignore = "run by scripts/test"]
fn smoke_run_of_a_script_needs_qemu_in_the_kernel() {
    let args = ["build", "--platform", "linux/arm64,linux/riscv64", "--smoke", "--version"];
    // A tmpfs in a separate mount namespace hides the handlers registered in binfmt_misc.
    let run_without_handlers = |project: &Project| {
        let (command, _dirs) = project.run(&args).env("DOCKER_HOST", NO_DAEMON).into_command();
        let arguments: Vec<_> = command.get_args().map(|arg| arg.to_str().unwrap().to_owned()).collect();
        let script = "mount -t tmpfs none /proc/sys/fs/binfmt_misc && exec \"$0\" \"$@\"";
        let output = std::process::Command::new("unshare")
            .args(["--mount", "sh", "-c", script, PROGRAM])
            .args(arguments)
            .env("DOCKER_HOST", NO_DAEMON)
            .current_dir(project.path())
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let single = run_without_handlers(&project(""));
    for (platform, architecture) in [("linux/arm64", "aarch64"), ("linux/riscv64", "riscv64")] {
        let expected =
            format!("Ran app --version for {platform}, under QEMU: app 1.2.3 on {architecture} in / for me\n");
        assert!(single.contains(&expected), "{single}");
    }
    let base = base_image("busybox:1", &["linux/arm64", "linux/riscv64"]);
    let script = run_without_handlers(&scripted(&base));
    assert!(script.contains("warning: image 'app': linux/arm64: skipped smoke run `entry.sh --version`: "), "{script}");
    assert!(
        script.contains("which requires a binfmt_misc handler for riscv64") && !script.contains(" Ran "),
        "{script}"
    );
}

/// Creates a project whose image starts a shell script that executes the program.
fn scripted(base: &str) -> Project {
    project(&format!(
        "base = '{base}'\nentrypoint = ['/entry.sh']\nfiles = [{{ from = 'entry.sh', to = '/entry.sh', mode = '0755' }}]\n"
    ))
    .file("entry.sh", "#!/bin/sh\nexec app \"$@\"\n")
}

#[test]
#[ignore = "run by scripts/test"]
fn smoke_run_starts_a_script() {
    let project = scripted(&base_image("busybox:1", &["linux/amd64", "linux/arm64"]));
    let args = ["build", "--smoke", "--version"];
    let status_line =
        |how: &str| format!("Ran entry.sh --version for linux/arm64, {how}: app 1.2.3 on aarch64 in / for me\n");
    project.run(&args).finish().stderr_has(&[&status_line("in Docker, under QEMU")]);
    without_docker(&project, &args[1..]).finish().stderr_has(&[&status_line("under QEMU")]);
    assert_clean(&project);
}

#[test]
#[ignore = "run by scripts/test"]
fn smoke_run_starts_a_dynamic_program() {
    let dir = Project::empty().file("Dockerfile", "FROM scratch\nCOPY root /\n");
    let path = dir.path().to_str().unwrap();
    // Use the same shell and directory symlinks as Debian's official image.
    let script = "cd \"$1\" && apt-get -q=2 download libc6 libgcc-s1 dash base-files && mkdir -p root/usr/bin root/usr/lib \
        root/usr/lib64 root/usr/sbin && for name in bin lib lib64 sbin; do ln -s usr/$name root/$name; done && \
        for deb in *.deb; do dpkg-deb --fsys-tarfile \"$deb\" | tar -x -C root --keep-directory-symlink; done && \
        ln -sf dash root/usr/bin/sh";
    run("sh", &["-c", script, "sh", path]);
    let base = format!("{}/debian-smoke:1", open_registry());
    run(
        "docker",
        &["buildx", "build", "--platform", "linux/amd64", "--provenance=false", "--push", "--tag", &base, path],
    );
    let project = project(&format!("base = '{base}'\nlibc = 'gnu'\nplatforms = ['linux/amd64']\n"));
    let args = ["build", "--smoke", "--version"];
    let status_line =
        |how: &str| format!("Ran app --version for linux/amd64, {how}: app 1.2.3 on x86_64 in / for me\n");
    project.run(&args).finish().stderr_has(&["glibc 2.", &status_line("in Docker")]);
    without_docker(&project, &args[1..]).finish().stderr_has(&[&status_line("natively")]);
    assert_clean(&project);
}

#[test]
#[ignore = "run by scripts/test"]
fn failed_or_hanging_smoke_run_moves_no_tag() {
    let project = project("platforms = ['linux/amd64', 'linux/arm64']\n");
    let registry = format!("{}/smoke-fails", open_registry());
    let publish = |command: &str, docker: Option<&str>| {
        let run = project.run(&["publish", "--registry", &registry, "--smoke", command]).fails(8);
        let finished = docker.into_iter().fold(run, |run, host| run.env("DOCKER_HOST", host)).finish();
        assert_eq!(digest(&format!("{registry}/app:latest")), None, "the tag was moved");
        assert_clean(&project);
        finished
    };
    for docker in [None, Some(NO_DAEMON)] {
        publish("--fail", docker).stderr_has(&[
            "no luck on x86_64\nerror: image 'app': linux/amd64: smoke run `app --fail` exited with status 3\n hint: ",
        ]);
        let start = Instant::now();
        publish("forever", docker)
            .stderr_has(&["linux/amd64: smoke run `app forever` did not exit within 30 s\n hint: "]);
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn smoke_run_is_cleaned_up_on_ctrl_c() {
    let project = project("platforms = ['linux/amd64']\n");
    for (docker, started) in [(None, "docker run "), (Some(NO_DAEMON), "--root=/")] {
        let build = project.run(&["build", "-v", "--smoke", "forever"]);
        let build = docker.into_iter().fold(build, |build, host| build.env("DOCKER_HOST", host));
        let (mut command, _dirs) = build.into_command();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains(started) && line.contains("forever")));
        // Wait until the program is running.
        std::thread::sleep(Duration::from_secs(3));
        let start = Instant::now();
        run("kill", &["-INT", &child.id().to_string()]);
        let rest: Vec<String> = lines.collect();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert_clean(&project);
        let leftover = std::process::Command::new("pgrep").args(["-f", "/usr/local/bin/app forever"]).output().unwrap();
        assert!(!leftover.status.success(), "{}", String::from_utf8_lossy(&leftover.stdout));
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn smoke_run_works_in_a_user_namespace() {
    // Runs as `nobody`, a user that exists on every machine but may not be able to read the Rust toolchain, so a fake
    // cargo prints recorded metadata.
    let project = project(PLATFORMS);
    project.run(&["compile", "-q", "--out", "dist"]).finish();
    let manifest = project.path().join("Cargo.toml");
    let cargo = ["-u", "CARGO_TARGET_DIR", "cargo", "metadata", "--no-deps", "--format-version=1", "--manifest-path"];
    let metadata = run("env", &[&cargo[..], &[manifest.to_str().unwrap()]].concat());
    let project = project
        .file("metadata.json", &metadata)
        .file("bin/cargo", "#!/bin/sh\ncat \"$(dirname \"$0\")/../metadata.json\"\n");
    let script = "chmod +x bin/cargo && cp \"$PROGRAM\" bin/program && chown -R 65534:65534 . && \
        exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=\"$PWD\" PATH=\"$PWD/bin:$PATH\" \
        bin/program build --artifacts dist --smoke --version";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .env("PROGRAM", PROGRAM)
        .env("DOCKER_HOST", NO_DAEMON)
        .env_remove("CARGO")
        .current_dir(project.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("linux/amd64, natively: app 1.2.3 on x86_64 in /srv for me\n"), "{stderr}");
    assert!(stderr.contains("linux/arm64, under QEMU: app 1.2.3 on aarch64 in /srv for me\n"), "{stderr}");
    assert_clean(&project);
}
