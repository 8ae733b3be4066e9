//! What `doctor` finds, with the condition made for each: programs on PATH, registries on loopback. Real Docker daemons,
//! users and QEMU are the second tier's (`e2e::doctor`).

use std::process::{Command, Output, Stdio};

use crate::support::{FakeRegistry, Fakes, HEALTHY_DOCKER, Project, Run, find};

/// What `doctor` said.
pub struct Told {
    pub stdout: String,
    pub stderr: String,
}

/// Runs to the end and checks the exit code; unlike other commands it has its result where it fails, too.
#[track_caller]
pub fn told(run: Run, code: i32) -> Told {
    let (mut command, _dirs) = run.into_command();
    let output = command.output().unwrap();
    let status = output.status.code();
    let told = Told::from(output);
    assert_eq!(status, Some(code), "{}\n{}", told.stdout, told.stderr);
    assert!(!told.stderr.contains("panicked at"), "{}", told.stderr);
    assert_eq!(told.stderr.contains("error: doctor found "), code != 0, "{}", told.stderr);
    told
}

impl From<Output> for Told {
    fn from(output: Output) -> Told {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Told { stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Told {
    /// Asserts that something was found once; what mends it, a line each.
    #[track_caller]
    pub fn found(&self, state: &str, subject: &str, text: &str) -> Vec<&str> {
        let head = |line: &str| line.starts_with(&format!("{state:7}  {subject} ")) && line.contains(text);
        let lines: Vec<&str> = self.stdout.lines().collect();
        let at: Vec<usize> = (0..lines.len()).filter(|at| head(lines[*at])).collect();
        assert_eq!(at.len(), 1, "'{state} {subject} {text}' is not there once in\n{}", self.stdout);
        let below = lines[at[0] + 1..].iter().map(|line| line.trim_start());
        below.map_while(|line| line.strip_prefix("fix: ")).collect()
    }

    /// Asserts that something was found once, and that one of its fixes has a text.
    #[track_caller]
    pub fn mended(&self, state: &str, subject: &str, text: &str, fix: &str) -> &Told {
        let fixes = self.found(state, subject, text);
        assert!(fixes.iter().any(|it| it.contains(fix)), "no '{fix}' in {fixes:?}");
        self
    }

    #[track_caller]
    pub fn quiet_about(&self, text: &str) -> &Told {
        assert!(
            !self.stdout.contains(text) && !self.stderr.contains(text),
            "{text}:\n{}\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}

fn docker_with(case: &str) -> Fakes {
    Fakes::new().program("docker", &HEALTHY_DOCKER.replacen("in\n", &format!("in\n{case}\n"), 1))
}

fn healthy() -> Fakes {
    Fakes::new().program("docker", HEALTHY_DOCKER)
}

/// Nothing on PATH but what compiles.
fn bare() -> Fakes {
    Fakes::new().real("cargo").real("rustc").real("git").real("sh").real("cc")
}

#[test]
fn all_is_well() {
    let registry = FakeRegistry::open();
    let told = told(Project::app().run(&["doctor", "--registry", &registry.host]).path_first(&healthy()), 0);
    for (subject, text) in [
        ("workspace", ": app"),
        ("rust", "rustc 1."),
        ("std", "linux/arm64, aarch64-unknown-linux-musl: installed"),
        ("linker", "linux/arm64: rust-lld: the toolchain has all"),
        ("docker", "the client"),
        ("buildx", "v0.13.1"),
        ("daemon", "answers"),
        ("builder", "'default', driver docker"),
        ("image store", "containerd's"),
        ("engine", "docker buildx: Docker is here"),
        ("disk", "the target folder has "),
        ("disk", "the cache folder has "),
    ] {
        assert_eq!(told.found("ok", subject, text), [""; 0]);
    }
    told.found("ok", "registry", &format!("{} answers", registry.host));
    told.found("ok", "registry", &format!("{}/app takes a push from anybody", registry.host));
    let methods: Vec<String> = registry.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["GET", "POST", "DELETE"], "the upload is cancelled");
}

#[test]
fn no_docker() {
    let run = |engine| Project::app().run(&["doctor", "--engine", engine]).path_only(&bare());
    told(run("auto"), 0).mended("note", "docker", "docker is not installed", "https://docs.docker.com/engine/install/");
    told(run("buildx"), 6).mended("error", "docker", "docker is not installed", "docs.docker.com").quiet_about("--fix");
    told(run("embedded"), 0).found("note", "docker", "not asked: the embedded engine is asked for");
}

#[test]
fn a_template_that_needs_docker() {
    let template = "FROM {{ base }} AS {{ stage }}\nRUN true\n{% include \"contents\" %}\n";
    let project = Project::with_config("template = 't.j2'\nplatforms = ['linux/amd64']").file("t.j2", template);
    let run = |engine| project.run(&["doctor", "--engine", engine]).path_only(&bare());
    let auto = told(run("auto"), 6);
    auto.mended("error", "docker", "docker is not installed", "docs.docker.com");
    auto.found("note", "engine", "docker buildx is needed: image 'app': the embedded engine cannot do RUN of");
    let embedded = told(run("embedded"), 3);
    embedded.found("error", "engine", "the embedded engine cannot do RUN of its template");
    embedded.found("note", "docker", "not asked");
}

#[test]
fn what_is_wrong_with_docker_is_told_apart_and_at_once() {
    const OLD: &str = r#"[{"Name":"buildx","Version":"v0.12.1"}]"#;
    const GOOD: &str = r#"[{"Name":"buildx","Version":"v0.13.1"}]"#;
    const DOWN: &str =
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
    const CLOSED: &str = "permission denied while trying to connect to the Docker daemon socket at unix:///x";
    let old = ("buildx", "buildx v0.12.1 is too old, wanted 0.13 or newer", "docker-buildx");
    let none = ("buildx", "docker has no buildx", "docker-buildx");
    let down = ("daemon", DOWN, "sudo systemctl start docker");
    let closed = ("daemon", CLOSED, "sudo usermod -aG docker $USER");
    for (plugins, error, expected) in [
        (OLD, "", &[old][..]),
        ("[]", "", &[none]),
        (r#"[{"Name":"buildx","Err":"it does not run"}]"#, "", &[none]),
        (GOOD, DOWN, &[down]),
        (GOOD, CLOSED, &[closed]),
        (OLD, CLOSED, &[old, closed]),
        ("null", DOWN, &[none, down]),
    ] {
        let errors = if error.is_empty() { String::new() } else { format!("\"{error}\"") };
        let info =
            format!(r#"  "info "*) echo '{{"ServerErrors":[{errors}],"ClientInfo":{{"Plugins":{plugins}}}}}' ;;"#);
        let run = |engine| Project::app().run(&["doctor", "--engine", engine]).path_first(&docker_with(&info));
        let (needed, unneeded) = (told(run("buildx"), 6), told(run("auto"), 0));
        for (subject, text, fix) in expected {
            needed.mended("error", subject, text, fix);
            unneeded.mended("note", subject, text, fix);
        }
        let errors = needed.stdout.lines().filter(|line| line.starts_with("error")).count();
        assert_eq!(errors, expected.len(), "{}", needed.stdout);
        unneeded.found("ok", "engine", "the embedded engine: ");
    }
}

#[test]
fn a_builder_that_is_not_there() {
    let docker = docker_with("  \"buildx inspect\") echo 'ERROR: no builder \"mine\" found' >&2; exit 1 ;;");
    let run = Project::app().run(&["doctor", "--builder", "mine"]).path_first(&docker);
    told(run, 6).mended("error", "builder", "no builder \"mine\" found", "docker buildx ls");
}

/// A docker with the classic store, whose `buildx create` is a test's own.
fn classic(create: &str) -> Fakes {
    let cases = format!(
        r#"  "info "*) echo '{{"DriverStatus":[["Backing Filesystem","extfs"]],"ClientInfo":{{"Plugins":[{{"Name":"buildx","Version":"v0.13.1"}}]}}}}' ;;
  "buildx create") {create} ;;
  "buildx rm") ;;
  "buildx inspect")
    if [ "$3" != multiarch ]; then printf 'Name: default\nDriver: docker\nPlatforms: linux/amd64, linux/386\n'
    elif [ -e "$0.made" ]; then printf 'Name: multiarch\nDriver: docker-container\n'
    else exit 1; fi ;;"#
    );
    docker_with(&cases)
}

#[test]
fn the_classic_store_and_the_builder_that_is_made() {
    let docker = classic(r#"touch "$0.made""#);
    let run =
        |args: &[&str]| Project::app().run(&[&["doctor", "--engine", "buildx"], args].concat()).path_first(&docker);
    let before = told(run(&[]), 0);
    before.found("ok", "builder", "'default', driver docker, for linux/amd64, linux/386");
    before.mended(
        "warning",
        "image store",
        "for one platform only",
        "https://docs.docker.com/engine/storage/containerd/",
    );
    let create = "`docker buildx create --name multiarch --driver docker-container --bootstrap";
    before.mended("warning", "builder", "'multiarch' is not there yet", create);
    assert!(!docker.log("docker").contains("buildx create"), "nothing is changed unasked");
    let fixed = told(run(&["--fix"]), 0);
    assert!(fixed.stderr.contains(&format!("Fixing by {create}")), "{}", fixed.stderr);
    assert!(fixed.stderr.contains(&format!("Fixed by {create}")), "{}", fixed.stderr);
    fixed.found("ok", "builder", "'multiarch', driver docker-container, is there for it");
    assert!(!fixed.stdout.contains("not there yet"), "{}", fixed.stdout);
    // Where it is not needed, nobody is told to make one.
    told(Project::app().run(&["doctor"]).path_first(&classic("exit 1")), 0).quiet_about("buildx create");
}

#[test]
fn a_builder_that_cannot_be_made() {
    for (words, why) in [
        ("ERROR: failed to pull moby/buildkit: dial tcp: lookup registry-1.docker.io: no such host", "no network"),
        ("ERROR: permission denied while trying to connect to the Docker daemon socket", "no permission"),
        ("unknown flag: --bootstrap", "buildx is too old"),
    ] {
        let docker = classic(&format!("echo '{words}' >&2; exit 1"));
        let args = ["doctor", "--engine", "buildx", "--fix", "--message-format", "json"];
        let told = told(Project::app().run(&args).path_first(&docker), 6);
        let warning = format!("warning: cannot create builder 'multiarch': {why}: ");
        assert!(told.stderr.contains(&warning), "{}", told.stderr);
        let json: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
        assert!(json["fixed"][0]["command"].as_str().unwrap().starts_with("docker buildx create "), "{json}");
        assert!(json["fixed"][0]["error"].as_str().unwrap().contains(why), "{json}");
    }
}

/// With a rustc whose standard library for a target is missing: what it says leads to a folder where rustup may install it.
pub fn without_std(triple: &str, fakes: Fakes) -> Fakes {
    let rustc = format!(
        "case \"$*\" in\n  *target-libdir*{triple}*) {rustc} \"$@\" | sed \"s#^/.*#$(dirname \"$0\")/rustlib/{triple}/lib#\" ;;\n  \
         *) exec {rustc} \"$@\" ;;\nesac",
        rustc = find("rustc").unwrap().display()
    );
    fakes.program("rustc", &rustc)
}

#[test]
fn a_standard_library_that_is_missing() {
    const TRIPLE: &str = "i686-unknown-linux-musl";
    let rustup = |install: &str| {
        let dir = format!("$(dirname \"$0\")/rustlib/{TRIPLE}/lib");
        let script = format!("echo \"$@\" >> \"$0.log\"\n{}", install.replace("DIR", &dir));
        without_std(TRIPLE, healthy()).program("rustup", &script)
    };
    let run = |tools: &Fakes, args: &[&str]| {
        let run = Project::app().run(&[&["doctor", "--platform", "linux/386"], args].concat()).path_first(tools);
        run.env("CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_LINKER", "cc")
    };
    let works = rustup("mkdir -p \"DIR\" && touch \"DIR/libstd-1.rlib\"");
    let missing = format!("linux/386, {TRIPLE}: missing; a publish installs it first");
    let add = format!("rustup target add {TRIPLE}");
    told(run(&works, &[]), 0).mended("warning", "std", &missing, &format!("`{add}`"));
    assert_eq!(works.log("rustup"), "", "nothing is changed unasked");
    let fixed = told(run(&works, &["--fix"]), 0);
    fixed.found("ok", "std", &format!("linux/386, {TRIPLE}: installed"));
    assert!(fixed.stderr.contains(&format!("Fixed by `{add}`")), "{}", fixed.stderr);
    assert_eq!(works.log("rustup"), format!("target add {TRIPLE}\n"));

    let fails = told(run(&rustup("echo 'error: could not download' >&2; exit 1"), &["--fix"]), 4);
    assert!(fails.stderr.contains("says: error: could not download"), "{}", fails.stderr);
    fails.found("warning", "std", &missing);

    let gone = told(Project::app().run(&["doctor", "--platform", "linux/386"]).path_only(&bare()), 4);
    gone.mended("error", "std", "the standard library is missing for linux/386", &format!("`{add}`"));
}

#[test]
fn every_platform_without_a_linker_is_named() {
    let project = Project::with_config("libc = 'gnu'\nbase = 'debian:x'\nplatforms = ['linux/arm64', 'linux/arm/v7']");
    let told = told(
        project.run(&["doctor", "--engine", "embedded"]).path_only(&bare()).env("HTTPS_PROXY", "http://127.0.0.1:9"),
        4,
    );
    for (name, package) in [
        ("linux/arm64, aarch64-unknown-linux-gnu", "gcc-aarch64-linux-gnu"),
        ("linux/arm/v7, armv7-unknown-linux-gnueabihf", "gcc-arm-linux-gnueabihf"),
    ] {
        let fix = format!("`apt-get install {package}`");
        told.mended("error", "linker", &format!("{name}: there is no linker for this target"), &fix);
    }
}

#[test]
fn a_platform_is_told_of_in_one_place() {
    let project = Project::with_config("platforms = ['linux/riscv64', 'linux/arm64', 'linux/amd64', 'linux/amd64/v3']");
    let told = told(project.run(&["doctor", "--engine", "embedded"]).path_only(&bare()), 0);
    let of = |line: &str| {
        let subject = line.split_whitespace().nth(1).filter(|subject| ["std", "linker"].contains(subject))?;
        let platform = line.split_whitespace().nth(2)?;
        Some(format!("{subject} {}", platform.trim_end_matches([',', ':'])))
    };
    let order = [
        "std linux/amd64",
        "linker linux/amd64",
        "linker linux/amd64/v3",
        "std linux/arm64",
        "linker linux/arm64",
        "std linux/riscv64",
        "linker linux/riscv64",
    ];
    assert_eq!(told.stdout.lines().filter_map(of).collect::<Vec<_>>(), order, "{}", told.stdout);

    let missing = Project::with_config("platforms = ['linux/arm/v5', 'linux/386', 'linux/s390x']");
    let told = self::told(missing.run(&["doctor", "--engine", "embedded"]).path_only(&bare()), 4);
    let lines = told.stdout.lines().filter(|line| line.contains(" std ") || line.contains(" linker "));
    let names = ["linux/386", "linux/arm/v5", "linux/s390x"];
    let named = lines.map(|line| names.into_iter().find(|name| line.contains(name)).unwrap_or(line));
    let expected = ["linux/386", "linux/386", "linux/arm/v5", "linux/arm/v5", "linux/s390x", "linux/s390x"];
    assert_eq!(named.collect::<Vec<_>>(), expected, "{}", told.stdout);
}

#[test]
fn what_is_wrong_with_the_workspace_hides_nothing() {
    let unlocked = Project::app();
    std::fs::remove_file(unlocked.path().join("Cargo.lock")).unwrap();
    let misspelt = Project::with_config("platfroms = []");
    for (project, text, fix) in
        [(unlocked, "Cargo.lock is missing", "`cargo generate-lockfile`"), (misspelt, "platfroms", "platforms")]
    {
        let told = told(project.run(&["doctor", "--engine", "buildx"]).path_only(&bare()), 3);
        told.mended("error", "workspace", text, fix);
        told.mended("error", "docker", "docker is not installed", "docs.docker.com");
        told.found("ok", "linker", "linux/arm64: rust-lld: ");
    }
}

#[test]
fn outside_of_any_workspace() {
    let empty = Project::empty();
    let told = told(empty.run(&["doctor", "--platform", "linux/arm64,linux/riscv64"]).path_first(&healthy()), 0);
    told.found("note", "workspace", "there is none here");
    told.found("ok", "std", "linux/riscv64, riscv64gc-unknown-linux-musl: installed");
    told.found("ok", "builder", "'default'");
    assert!(!told.stdout.contains("registry  "), "{}", told.stdout);
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "it writes nothing");
}

#[test]
fn what_is_named_outside_of_any_workspace() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let open = FakeRegistry::open();
    let run = |args: &[&str]| Project::empty().run(&[&["doctor"], args].concat()).path_first(&healthy());
    told(run(&["--registry", &format!("{}/team", open.host)]), 0).found("ok", "registry", "answers");
    let told_of = told(run(&["--registry", &format!("{closed},{}", open.host)]), 7);
    told_of.mended("error", "registry", "connection refused", &closed);
    told_of.found("ok", "registry", &format!("{} answers", open.host));
    told(run(&["-p", "app"]), 3).mended(
        "error",
        "workspace",
        "--package names a part of a workspace",
        "--manifest-path",
    );
}

#[test]
fn no_rust() {
    let tools = Fakes::new().program("rustc", "echo 'error: rustup could not choose a version' >&2; exit 1");
    let run = Project::empty().run(&["doctor", "--engine", "embedded"]).path_only(&tools.real("sh"));
    told(run, 4).mended("error", "rust", "rustc does not run", "https://rustup.rs");
}

#[test]
fn no_registry_is_named() {
    let run = Project::app().run(&["doctor"]).path_first(&healthy());
    told(run, 0).mended("warning", "registry", "image 'app': no registry to push to", "--registry ghcr.io/you");
}

#[test]
fn every_registry_is_asked() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (open, refusing) = (FakeRegistry::open(), FakeRegistry::refusing(403));
    let registries = format!("registry = ['{closed}', 'registry.invalid/team', '{}', '{}']", refusing.host, open.host);
    let images = "[images.one]\nbins = ['app']\n[images.two]\nbins = ['app']";
    let project = Project::with_config(&format!("{registries}\n{images}"));
    let told = told(project.run(&["doctor"]).path_first(&healthy()), 7);
    let refused = format!("registry {closed} cannot be reached: connection refused");
    told.mended("error", "registry", &refused, &format!("`curl -i http://{closed}/v2/`"));
    told.mended("error", "registry", "registry registry.invalid cannot be reached", "`getent hosts registry.invalid`");
    for image in ["one", "two"] {
        let denied = format!("registry {host} refuses {host}/{image}", host = refusing.host);
        told.mended("error", "registry", &denied, "may not push there");
        told.found("ok", "registry", &format!("{}/{image} takes a push", open.host));
    }
}

#[test]
fn credentials_are_told_right_from_wrong_and_never_shown() {
    // base64 of ci:hunter2
    const RIGHT: &str = "Basic Y2k6aHVudGVyMg==";
    let registry = FakeRegistry::start(|request| match (request.method.as_str(), request.authorization.as_deref()) {
        (_, Some(RIGHT)) if request.path != "/v2/" => (202, vec![("Location", "/v2/upload/1".to_owned())], vec![]),
        _ => (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".to_owned())], vec![]),
    });
    let run = |auth: &str| {
        let config = Project::empty()
            .file("config.json", &format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.host));
        let run = Project::app().run(&["doctor", "-vv", "--registry", &registry.host]).path_first(&healthy());
        (run.env("DOCKER_CONFIG", config.path()), config)
    };
    let (right, _config) = run("Y2k6aHVudGVyMg==");
    let well = told(right, 0);
    well.found("ok", "registry", "/app takes a push with your credentials");
    // base64 of ci:hunter3
    let (wrong, _config) = run("Y2k6aHVudGVyMw==");
    let refused = told(wrong, 7);
    refused.mended("error", "registry", "wants valid credentials for", &format!("`docker login {}`", registry.host));
    for told in [&well, &refused] {
        told.quiet_about("hunter").quiet_about("Y2k6");
    }
}

#[test]
fn a_clock_that_is_wrong() {
    for (minutes, state, text) in
        [(0, "ok", "as "), (10, "warning", "0 s behind that of "), (-10, "warning", "s ahead of")]
    {
        let registry = FakeRegistry::start(move |request| {
            let date = chrono::Utc::now() + chrono::TimeDelta::minutes(minutes);
            let date = ("Date", date.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
            match request.method.as_str() {
                "POST" => (202, vec![date, ("Location", "/v2/upload/1".to_owned())], vec![]),
                _ => (200, vec![date], vec![]),
            }
        });
        let told = told(Project::app().run(&["doctor", "--registry", &registry.host]).path_first(&healthy()), 0);
        let text = text.replacen("0 s behind", "s behind", 1);
        let fixes = told.found(state, "clock", &text);
        assert_eq!(fixes, if minutes == 0 { vec![] } else { vec!["set it: `sudo timedatectl set-ntp true`"] });
    }
}

#[test]
fn a_base_that_is_not_there() {
    let registry = FakeRegistry::storing();
    let project = Project::with_config(&format!("base = '{}/base:1'", registry.host));
    let told = told(project.run(&["doctor", "--registry", &registry.host]).path_first(&healthy()), 7);
    told.mended("error", "base", "/base:1 does not exist", "check the name and the tag");
    registry.is_untouched();
}

#[test]
fn no_room_on_the_disk() {
    // A file system that has none.
    let run = Project::app().run(&["doctor", "--engine", "embedded"]).path_first(&healthy());
    let told = told(run.env("XDG_CACHE_HOME", "/proc"), 1);
    told.mended("error", "disk", "the cache folder, /proc/cargo-multiarch, has 0 B left", "`df -h`");
}

#[test]
fn a_smoke_run_that_takes_docker() {
    // A Docker elsewhere runs what its own kernel runs.
    let docker = docker_with("  \"version \"*) echo linux/amd64 ;;\n  \"context inspect\") echo tcp://there:2375 ;;");
    let run = Project::app().run(&["doctor", "--smoke", "--version"]).path_first(&docker);
    let told = told(run, 0);
    told.found("ok", "smoke run", "linux/amd64: in Docker");
    told.found("ok", "smoke run", "linux/arm64: in Docker, under QEMU");
}

#[test]
fn qemu_that_is_missing() {
    if std::path::Path::new("/proc/sys/fs/binfmt_misc/qemu-loongarch64").exists() {
        return;
    }
    let cases = "in\n  \"version \"*) echo linux/amd64 ;;\n  \"context inspect\") echo unix:///x ;;\n  \"run --privileged\") ;;\n";
    let docker = || bare().program("docker", &HEALTHY_DOCKER.replacen("in\n", cases, 1));
    let install = "docker run --privileged --rm tonistiigi/binfmt --install loong64";
    for (args, ran) in [(&[][..], false), (&["--fix"], true)] {
        let (docker, args) =
            (docker(), [&["doctor", "--platform", "linux/loong64", "--smoke", "--version"], args].concat());
        // There is no standard library either.
        let told = told(Project::app().run(&args).path_only(&docker), 4);
        told.mended("warning", "smoke run", "linux/loong64: it will not be run: there is no QEMU for loong64", install);
        assert_eq!(told.stderr.contains(&format!("Fixed by `{install}`")), ran, "{}", told.stderr);
        assert_eq!(docker.log("docker").contains("run --privileged"), ran, "{}", docker.log("docker"));
    }
}

#[test]
fn ctrl_c_is_no_finding() {
    let registry = FakeRegistry::start(|_| {
        std::thread::sleep(std::time::Duration::from_secs(60));
        (200, vec![], vec![])
    });
    let (mut command, _dirs) =
        Project::app().run(&["doctor", "--registry", &registry.host]).path_first(&healthy()).into_command();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while registry.requests().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"");
}

#[test]
fn as_json() {
    let docker = docker_with("  \"info \"*) echo '{\"ServerErrors\":[\"no\"],\"ClientInfo\":{}}' ;;");
    let project = Project::app();
    let args = ["doctor", "--engine", "buildx", "--message-format", "json"];
    let told = told(project.run(&args).path_first(&docker), 6);
    let json: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((&json["version"], &json["exit_code"]), (&1.into(), &6.into()));
    assert_eq!(json["workspace"].as_str(), project.path().canonicalize().unwrap().to_str());
    let checks = json["checks"].as_array().unwrap();
    let buildx = checks.iter().find(|check| check["subject"] == "buildx").unwrap();
    assert_eq!((&buildx["state"], &buildx["found"]), (&"error".into(), &"docker has no buildx".into()));
    assert_eq!(buildx["fixes"].as_array().unwrap().len(), 1);
    assert_eq!(json["fixed"], serde_json::json!([]));
}
