//! Test support: projects in temporary directories, runs of the program that assert success by default, fake programs
//! on PATH, and fake registries.

pub mod base_image;
pub mod fake_registry;
pub mod ready_made;
pub mod snapshot;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

pub use fake_registry::{Answer, FakeRegistry, Request};
use snapshot::{Show, spellings};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_cargo-multiarch");

/// A Rust project in a temporary directory.
pub struct Project {
    dir: Arc<TempDir>,
}

impl Project {
    /// Creates an empty directory.
    pub fn empty() -> Project {
        Project { dir: Arc::new(tempfile::tempdir().expect("failed to create a temporary directory")) }
    }

    /// Creates the package `app` 1.2.3 with one binary and a lock file.
    pub fn app() -> Project {
        Project::empty()
            .file("Cargo.toml", "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2021\"\n")
            .file("Cargo.lock", "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"1.2.3\"\n")
            .file("src/main.rs", "fn main() { println!(\"app says hello\"); }\n")
    }

    /// Creates the package `app` with a configuration in multiarch.toml.
    pub fn with_config(config: &str) -> Project {
        Project::app().file("multiarch.toml", config)
    }

    /// Writes a file, creating its parent directories.
    pub fn file(self, path: &str, text: &str) -> Project {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// Commits everything to a new git repository, at a fixed time.
    pub fn committed(self) -> Project {
        self.git(&["init", "-q", "-b", "main"]);
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "first"]);
        self
    }

    pub fn git(&self, args: &[&str]) {
        let status = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")
            .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")
            .current_dir(self.path())
            .status()
            .unwrap();
        assert!(status.success(), "git {args:?}");
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Prepares a run of `cargo multiarch` in the project's directory.
    pub fn run(&self, args: &[&str]) -> Run {
        Run::new(self.dir.clone(), args)
    }
}

/// Prepares a run with the embedded engine, a separate cache directory and no credentials.
pub fn embedded(project: &Project, args: &[&str]) -> Run {
    let cache = project.path().join("cache");
    project.run(&[args, &["--engine", "embedded"]].concat()).path_first(&Fakes::new()).env("XDG_CACHE_HOME", cache)
}

/// Creates a fake cargo that compiles until it is stopped, and writes to its log if it has started to.
pub fn endless_cargo() -> Fakes {
    let [cargo, sleep] = ["cargo", "sleep"].map(|program| find(program).unwrap().display().to_string());
    let compile = format!("echo compiling >> \"$0.log\"; exec '{sleep}' 600");
    let script = format!("case $1 in build) {compile} ;; *) exec '{cargo}' \"$@\" ;; esac");
    Fakes::new().program("cargo", &script).real("rustc").real("git")
}

/// Returns the names of all commands listed by `--help`.
pub fn commands() -> Vec<String> {
    let help = Project::empty().run(&["--help"]).finish().stdout;
    let (_, list) = help.split_once("\nCommands:\n").unwrap();
    let lines = list.lines().take_while(|line| line.starts_with("  "));
    // Lines that are indented further continue a description.
    let names = lines.filter(|line| !line.starts_with("   ")).map(|line| line.split_whitespace().next().unwrap());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// A run of the program. It must exit with 0 unless the test expects another exit code.
pub struct Run {
    command: Command,
    code: i32,
    /// Whether the run prints a result to stdout even if the exit code is nonzero.
    finds: bool,
    /// Temporary directories that the run uses. The first one contains the project.
    dirs: Vec<Arc<TempDir>>,
}

/// The result of a run.
#[derive(Debug, Default)]
pub struct Finished {
    pub stdout: String,
    pub stderr: String,
    code: i32,
    args: Vec<String>,
    /// The content of multiarch.toml after the run.
    config: Option<String>,
    /// Whether the test has a fake cargo-auditable. If not, snapshots omit the note that cargo-auditable is installed.
    fakes_auditable: bool,
    /// Whether the test has its own CA certificates. If not, snapshots omit the note about those of the machine.
    has_ca_certificates: bool,
    /// The test's temporary directories, and their placeholders in snapshots.
    dirs: Vec<(String, &'static str)>,
}

impl Run {
    fn new(dir: Arc<TempDir>, args: &[&str]) -> Run {
        let mut command = Command::new(PROGRAM);
        command.arg("multiarch").args(args).current_dir(dir.path()).stdin(Stdio::null());
        // The machine's settings, and those of the cargo process that runs the tests, must not affect the run.
        for (name, _) in std::env::vars() {
            let is_setting = ["MULTIARCH_", "CARGO", "RUSTFLAGS", "GITHUB_", "CI_COMMIT_"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            if is_setting && name != "CARGO_HOME" {
                command.env_remove(name);
            }
        }
        command.env("PATH", path()).env("COLUMNS", "100").env_remove("SOURCE_DATE_EPOCH");
        // Hints depend on the operating system, but snapshots must not.
        command.env("MULTIARCH_TEST_OS_RELEASE", "ID=debian");
        Run { command, code: 0, finds: false, dirs: vec![dir] }
    }

    /// Expects a failure with this exit code.
    pub fn fails(mut self, code: i32) -> Run {
        self.code = code;
        self
    }

    /// Expects a result on stdout and this exit code.
    pub fn finds(mut self, code: i32) -> Run {
        self.finds = true;
        self.fails(code)
    }

    /// Runs in a subdirectory of the project.
    pub fn in_dir(mut self, dir: &str) -> Run {
        self.command.current_dir(self.dirs[0].path().join(dir));
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Run {
        self.command.env(name, value);
        self
    }

    /// Reads stdin from a file.
    pub fn stdin(mut self, path: impl AsRef<Path>) -> Run {
        self.command.stdin(std::fs::File::open(path).unwrap());
        self
    }

    /// Puts the fakes first on PATH, and hides the machine's credentials.
    pub fn path_first(mut self, fakes: &Fakes) -> Run {
        self.dirs.push(fakes.dir.clone());
        let path = format!("{}:{}", fakes.path().display(), path());
        self.env("PATH", path).without_credentials(fakes)
    }

    /// Puts only the fakes on PATH, and hides the machine's credentials.
    pub fn path_only(mut self, fakes: &Fakes) -> Run {
        self.dirs.push(fakes.dir.clone());
        self.env("PATH", fakes.path()).without_credentials(fakes)
    }

    /// Hides the machine's credentials, and all but one of its CA certificates, because a debug build takes 0.2 s to
    /// read them all.
    fn without_credentials(mut self, fakes: &Fakes) -> Run {
        if fakes.path().join("docker").exists() {
            self.command.env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT");
        }
        self.command.env_remove("REGISTRY_AUTH_FILE").env_remove("XDG_RUNTIME_DIR");
        let run = self.env("DOCKER_CONFIG", fakes.path()).env("XDG_CONFIG_HOME", fakes.path());
        let Ok(bundle) = std::fs::read_to_string("/etc/ssl/certs/ca-certificates.crt") else { return run };
        let first = fakes.path().join("ca.pem");
        std::fs::write(&first, bundle.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap()).unwrap();
        run.env("SSL_CERT_FILE", first).env("SSL_CERT_DIR", fakes.path())
    }

    /// Returns the command, for tests that start it themselves, and the directories to keep until it exits.
    pub fn into_command(self) -> (Command, Vec<Arc<TempDir>>) {
        (self.command, self.dirs)
    }

    /// Runs the program and waits for it to exit. Asserts the exit code and that the program did not panic.
    pub fn finish(mut self) -> Finished {
        let output = self.command.output().expect("failed to start the program");
        let names = std::iter::once("[project]").chain(std::iter::repeat("[fakes]"));
        let dirs = self.dirs.iter().zip(names).flat_map(|(dir, name)| spellings(dir.path()).map(|path| (path, name)));
        let finished = Finished {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: self.code,
            args: self.command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect(),
            config: std::fs::read_to_string(self.dirs[0].path().join("multiarch.toml")).ok(),
            fakes_auditable: self.dirs.iter().any(|dir| dir.path().join("cargo-auditable").exists()),
            has_ca_certificates: self.command.get_envs().any(|(name, _)| name == "SSL_CERT_FILE"),
            dirs: dirs.collect(),
        };
        assert_eq!(output.status.code(), Some(self.code), "{finished}");
        assert!(!finished.stderr.contains("panicked at"), "{finished}");
        assert!(!finished.stderr.contains("stack backtrace"), "{finished}");
        if self.code != 0 && !self.finds {
            assert_eq!(finished.stdout, "", "a failed run must not print to stdout");
        }
        let planned = self.code == 0 && self.command.get_args().any(|arg| arg == "plan");
        if let (true, Some(config)) = (planned, &finished.config) {
            crate::config_schema::assert_schema_accepts(config);
        }
        finished
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}

impl From<Output> for Finished {
    /// Converts the output of a program that was not started by a [`Run`].
    fn from(output: Output) -> Finished {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap_or_default();
        Finished { stdout: text(output.stdout), stderr: text(output.stderr), code, ..Finished::default() }
    }
}

impl Show for Finished {
    /// Formats the command line, multiarch.toml, stdout, stderr and the exit code.
    fn show(&self) -> String {
        let args = shell_words::join(&self.args);
        let is_shown = |line: &&str| {
            (self.fakes_auditable || !line.starts_with("note: cargo-auditable is installed "))
                && (self.has_ca_certificates || !line.contains("CA certificates that this machine trusts"))
        };
        let stderr: String = self.stderr.split_inclusive('\n').filter(is_shown).collect();
        let config = self.config.iter().flat_map(|config| config.lines()).map(|line| format!("  | {line}\n"));
        let mut shown = format!("$ cargo {args}\n{}{}{}", config.collect::<String>(), self.stdout, stderr);
        if self.code != 0 {
            shown += &format!("[exit code {}]\n", self.code);
        }
        self.dirs.iter().fold(shown, |shown, (path, name)| shown.replace(path, name))
    }
}

impl Finished {
    /// Removes the lines about compiling, which depend on how far cargo got before it was stopped.
    pub fn without_compiling(mut self) -> Finished {
        let lines = self.stderr.lines().filter(|line| !line.trim_start().starts_with("Compiling "));
        self.stderr = lines.map(|line| format!("{line}\n")).collect();
        self
    }

    /// Asserts that stderr contains each of `texts`.
    #[track_caller]
    pub fn stderr_has(self, texts: &[&str]) -> Finished {
        for text in texts {
            assert!(self.stderr.contains(text), "no '{text}' in\n{self}");
        }
        self
    }

    /// Asserts that stderr does not contain `text`.
    #[track_caller]
    pub fn stderr_lacks(self, text: &str) -> Finished {
        assert!(!self.stderr.contains(text), "unexpected '{text}' in\n{self}");
        self
    }
}

/// A directory of fake programs that behave as a test requires.
pub struct Fakes {
    dir: Arc<TempDir>,
}

impl Fakes {
    pub fn new() -> Fakes {
        Fakes { dir: Arc::new(tempfile::tempdir().unwrap()) }
    }

    /// Adds a shell script as a fake program. It may log its calls to `$0.log`.
    pub fn program(self, name: &str, script: &str) -> Fakes {
        let text = self.dir.path().join(format!("{name}.sh"));
        std::fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
        // Let another process write the file. If this process wrote it, a child forked by another test could inherit
        // the open file, and running the script would fail with ETXTBSY.
        let status = Command::new("install").arg("-m755").arg(&text).arg(self.dir.path().join(name)).status().unwrap();
        assert!(status.success());
        self
    }

    /// Adds a symbolic link to a real program.
    pub fn real(self, name: &str) -> Fakes {
        let real = find(name).unwrap_or_else(|| panic!("{name} is not on PATH"));
        std::os::unix::fs::symlink(real, self.dir.path().join(name)).unwrap();
        self
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the calls logged by a program, one per line.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(format!("{name}.log"))).unwrap_or_default()
    }
}

/// Returns PATH with the toolchain's programs first, to bypass rustup's proxies, which are slower.
pub fn path() -> String {
    let cargo = std::env::var("CARGO").unwrap_or_default();
    let toolchain = Path::new(&cargo).parent().unwrap_or(Path::new(""));
    format!("{}:{}", toolchain.display(), std::env::var("PATH").unwrap_or_default())
}

/// Returns the full path of a program on PATH.
pub fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&path()).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// The script of a fake `docker` that reports a running daemon, the containerd image store and buildx. Its builds fail
/// unless a test changes the script.
pub const HEALTHY_DOCKER: &str = r#"
echo "$@" >> "$0.log"
case "$1 $2" in
  "info "*) echo '{"ServerErrors":[],"DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]],"ClientInfo":{"Plugins":[{"Name":"buildx","Version":"v0.13.1"}]}}' ;;
  "buildx inspect") printf 'Name: default\nDriver: docker\n\nNodes:\nName: default\n' ;;
  "buildx build") echo 'ERROR: this fake docker cannot build' >&2; exit 1 ;;
  *) exit 1 ;;
esac"#;

/// Returns the address of a service started by `scripts/with-services`.
pub fn service(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run this test with scripts/test or scripts/with-services"))
}
