//! Parses the status lines that `cargo --verbose` prints. They name each process that cargo starts, whereas cargo's JSON
//! messages report only the ones that have finished.

use anstream::adapter::strip_str;
use camino::{Utf8Path, Utf8PathBuf};

/// The width of the column in which cargo right-aligns the verb of a status line.
const VERB_WIDTH: usize = 12;

/// A process that cargo runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    pub kind: UnitKind,
    /// The name of the crate with underscores or, for build scripts, the name of the package. Empty if unknown.
    pub name: String,
    /// The target triple that rustc compiles for. `None` for the host, and for build scripts, whose command does not
    /// contain the target.
    pub triple: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitKind {
    Crate,
    /// The compilation of a build script.
    BuildScript,
    BuildScriptRun,
}

/// The information in a line that cargo writes to stderr.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CargoLine {
    /// cargo has started to compile a package. Other processes for the same package may follow.
    Package(String),
    Started(Unit),
    /// A process has failed.
    Failed(Unit),
    /// cargo has written a timings page.
    TimingsPage(Utf8PathBuf),
    /// A status line that cargo prints only with `--verbose`.
    Verbose,
    Other,
}

/// Parses a line, which may contain colors.
pub(crate) fn parse(line: &str) -> CargoLine {
    let line = strip_str(line).to_string();
    if let Some(command) = failed_command(&line) {
        return unit(command).map_or(CargoLine::Other, CargoLine::Failed);
    }
    match split(&line) {
        Some(("Compiling", message)) => CargoLine::Package(message.split(' ').next().unwrap_or_default().to_owned()),
        Some(("Running", command)) => unit(command.trim_matches('`')).map_or(CargoLine::Verbose, CargoLine::Started),
        Some(("Timing", message)) => message
            .strip_prefix("report saved to ")
            .map_or(CargoLine::Other, |path| CargoLine::TimingsPage(path.into())),
        Some(("Fresh" | "Dirty" | "Unchanged", _)) => CargoLine::Verbose,
        _ => CargoLine::Other,
    }
}

/// Adds a tag to a line of cargo's output: after the verb of a status line, so that verbs stay aligned, or else at the
/// start of the line.
pub(crate) fn tagged(line: &str, tag: &str) -> String {
    if tag.is_empty() || line.is_empty() {
        return line.to_owned();
    }
    let plain = strip_str(line).to_string();
    let message = split(&plain).map(|(_, message)| message);
    match message.and_then(|message| Some((line.strip_suffix(message)?, message))) {
        Some((verb, message)) => format!("{verb}[{tag}] {message}"),
        None => format!("[{tag}] {line}"),
    }
}

/// Splits a status line without colors into its verb and its message.
fn split(line: &str) -> Option<(&str, &str)> {
    let (verb, message) = line.split_at_checked(VERB_WIDTH)?;
    let verb = verb.trim_start();
    let is_verb = verb.starts_with(|c: char| c.is_ascii_uppercase()) && verb.chars().all(|c| c.is_ascii_alphabetic());
    Some((verb, message.strip_prefix(' ')?)).filter(|_| is_verb)
}

/// Returns the command in `process didn't exit successfully: …`.
fn failed_command(line: &str) -> Option<&str> {
    let (command, _) = line.trim_start().strip_prefix("process didn't exit successfully: `")?.rsplit_once('`')?;
    Some(command)
}

/// Parses the command line of a process. Returns `None` if it is neither rustc nor a build script.
fn unit(command: &str) -> Option<Unit> {
    let words = shell_words::split(command).ok()?;
    let value = |flag: &str| words.iter().skip_while(|word| *word != flag).nth(1).map(String::as_str);
    let Some(crate_name) = value("--crate-name") else {
        let program = Utf8Path::new(words.first()?);
        let is_script = program.file_name()?.starts_with("build-script-");
        let name = package_of(program.parent()?);
        return is_script.then_some(Unit { kind: UnitKind::BuildScriptRun, name, triple: None });
    };
    if crate_name.starts_with("build_script_") {
        let name = value("--out-dir").map(|dir| package_of(dir.into())).unwrap_or_default();
        return Some(Unit { kind: UnitKind::BuildScript, name, triple: None });
    }
    // Targets may also be given as the path of a specification.
    let triple = value("--target").map(|target| target.trim_end_matches(".json"));
    let triple = triple.map(|target| target.rsplit('/').next().unwrap_or(target).to_owned());
    Some(Unit { kind: UnitKind::Crate, name: crate_name.to_owned(), triple })
}

/// Returns the package of a directory that cargo creates for a build script, such as `build/ring-0123456789abcdef/out`.
/// Returns an empty string for other directories.
pub(crate) fn package_of(dir: &Utf8Path) -> String {
    let is_hash = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut names = dir.components().rev().filter_map(|component| component.as_str().rsplit_once('-'));
    names.find(|(_, hash)| is_hash(hash)).map(|(name, _)| name.to_owned()).unwrap_or_default()
}

/// Removes what `--verbose` adds to cargo's error messages: the command line of rustc, after the errors that it has
/// printed itself.
#[derive(Debug, Default)]
pub(crate) struct ErrorFilter {
    /// Lines that may be part of the removed text.
    held: Vec<String>,
    follows_error: bool,
}

impl ErrorFilter {
    /// Adds a line, and returns the lines to print.
    pub(crate) fn push(&mut self, line: String) -> Vec<String> {
        let plain = strip_str(&line).to_string();
        let is_expected = match self.held.len() {
            0 => self.follows_error && plain.is_empty(),
            1 => plain == "Caused by:",
            // cargo prints errors about signals, such as `signal: 9, SIGKILL`, even without `--verbose`.
            _ => failed_command(&plain).is_some() && plain.contains("` (exit status: "),
        };
        self.follows_error = plain.starts_with("error: could not compile `");
        if !is_expected {
            return self.flush().into_iter().chain([line]).collect();
        }
        self.held.push(line);
        if self.held.len() == 3 {
            self.held.clear();
        }
        Vec::new()
    }

    /// Returns the lines that have been held back.
    pub(crate) fn flush(&mut self) -> Vec<String> {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit_of(kind: UnitKind, name: &str, triple: Option<&str>) -> Unit {
        Unit { kind, name: name.to_owned(), triple: triple.map(str::to_owned) }
    }

    #[test]
    fn status_lines_name_the_processes_that_start() {
        const MUSL: &str = "aarch64-unknown-linux-musl";
        use UnitKind::{BuildScript, BuildScriptRun, Crate};
        for (line, expected) in [
            ("   Compiling aws-sdk-ec2 v1.2.3", CargoLine::Package("aws-sdk-ec2".to_owned())),
            ("\u{1b}[1m\u{1b}[92m   Compiling\u{1b}[0m app v1.0.0 (/w/app)", CargoLine::Package("app".to_owned())),
            (
                "\u{1b}[1m\u{1b}[92m     Running\u{1b}[0m `/bin/rustc --crate-name aws_sdk_ec2 --edition=2021 \
                 --check-cfg 'cfg(feature, values(\"a\"))' --out-dir /t/deps --target aarch64-unknown-linux-musl`",
                CargoLine::Started(unit_of(Crate, "aws_sdk_ec2", Some(MUSL))),
            ),
            (
                "     Running `sccache rustc --crate-name syn --out-dir /t/release/deps`",
                CargoLine::Started(unit_of(Crate, "syn", None)),
            ),
            (
                "     Running `rustc --crate-name app --target /w/targets/armv9-none.json`",
                CargoLine::Started(unit_of(Crate, "app", Some("armv9-none"))),
            ),
            (
                "     Running `rustc --crate-name build_script_main --out-dir /t/build/aws-lc-sys-0123456789abcdef`",
                CargoLine::Started(unit_of(BuildScript, "aws-lc-sys", None)),
            ),
            (
                "     Running `/t/release/build/ring-0123456789abcdef/build-script-build`",
                CargoLine::Started(unit_of(BuildScriptRun, "ring", None)),
            ),
            (
                "  process didn't exit successfully: `rustc --crate-name app --target aarch64-unknown-linux-musl` (exit status: 1)",
                CargoLine::Failed(unit_of(Crate, "app", Some(MUSL))),
            ),
            ("     Running `git fetch --verbose`", CargoLine::Verbose),
            ("     Running `unbalanced '`", CargoLine::Verbose),
            ("       Fresh syn v2.0.0", CargoLine::Verbose),
            ("       Dirty app v1.0.0: the file `src/main.rs` has changed", CargoLine::Verbose),
            ("    Finished `release` profile [optimized] target(s) in 0.25s", CargoLine::Other),
            (
                "      Timing report saved to /t/cargo-timings/cargo-timing-1.html",
                CargoLine::TimingsPage("/t/cargo-timings/cargo-timing-1.html".into()),
            ),
            ("warning: unused variable: `x`", CargoLine::Other),
            ("", CargoLine::Other),
        ] {
            assert_eq!(parse(line), expected, "{line}");
        }
    }

    #[test]
    fn tags_keep_the_alignment_of_verbs() {
        for (line, expected) in [
            ("   Compiling app v1.0.0", "   Compiling [arm64] app v1.0.0"),
            ("\u{1b}[1m   Compiling\u{1b}[0m app", "\u{1b}[1m   Compiling\u{1b}[0m [arm64] app"),
            ("    Finished `release` profile", "    Finished [arm64] `release` profile"),
            ("warning: unused", "[arm64] warning: unused"),
            ("  --> src/main.rs:1:1", "[arm64]   --> src/main.rs:1:1"),
            ("漢字漢字漢字", "[arm64] 漢字漢字漢字"),
            ("", ""),
        ] {
            assert_eq!(tagged(line, "arm64"), expected);
            assert_eq!(tagged(line, ""), line);
        }
    }

    #[test]
    fn command_lines_are_removed_from_errors() {
        let error = "error: could not compile `app` (bin \"app\") due to 1 previous error";
        let exit = "  process didn't exit successfully: `rustc --crate-name app` (exit status: 1)";
        let killed = "  process didn't exit successfully: `rustc --crate-name app` (signal: 9, SIGKILL: kill)";
        let script = "error: failed to run custom build command for `a v1`";
        for (lines, expected) in [
            (&[error, "", "Caused by:", exit, "warning: x"][..], &[error, "warning: x"][..]),
            (&[error, "", "Caused by:", killed], &[error, "", "Caused by:", killed]),
            (&[script, "", "Caused by:", exit], &[script, "", "Caused by:", exit]),
            (&[error, "", "note: x"], &[error, "", "note: x"]),
            (&[error, ""], &[error, ""]),
        ] {
            let mut filter = ErrorFilter::default();
            let mut printed: Vec<String> = lines.iter().flat_map(|line| filter.push((*line).to_owned())).collect();
            printed.extend(filter.flush());
            assert_eq!(printed, expected, "{lines:?}");
        }
    }
}
