//! Checks what the program shows in a real terminal (tmux) at several widths.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::open_registry;
use super::publish_failures::proxy;
use crate::support::{PROGRAM, Project};

const PLATFORMS: [&str; 3] = ["linux/amd64", "linux/arm64", "linux/riscv64"];

/// A terminal that runs a command. Closed on drop.
struct Terminal {
    name: String,
}

impl Terminal {
    /// Runs the program in a new terminal. `environment` is a list of assignments, such as `CI=true TERM=dumb`.
    fn run(project: &Project, columns: u16, environment: &str, args: &str) -> Terminal {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let dir_name = project.path().file_name().unwrap().to_str().unwrap();
        // A tmux server that is shutting down accepts no new sessions, so every terminal gets its own server.
        let terminal = Terminal { name: format!("{dir_name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed)) };
        let clean = "env -u CI -u TF_BUILD -u NO_COLOR -u CARGO_TERM_COLOR SOURCE_DATE_EPOCH=1";
        let command =
            format!("cd {}; {clean} {environment} {PROGRAM} {args}; echo ended $?; cat", project.path().display());
        let size = [columns.to_string(), "24".to_owned()];
        terminal.tmux(&["new-session", "-d", "-x", &size[0], "-y", &size[1], &command]);
        terminal
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.name, "-f", "/dev/null"]).args(args).output().unwrap();
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns the nonempty lines of the screen, with wrapped lines joined.
    fn lines(&self) -> Vec<String> {
        self.captured(&["-J"])
    }

    fn captured(&self, options: &[&str]) -> Vec<String> {
        let screen = self.tmux(&[&["capture-pane", "-p", "-S", "-"], options].concat());
        screen.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    fn wait_for(&self, expected: &str, condition: impl Fn(&[String]) -> bool) -> Vec<String> {
        let start = Instant::now();
        loop {
            let lines = self.lines();
            if condition(&lines) {
                return lines;
            }
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "timed out waiting for {expected}:\n{}",
                lines.join("\n")
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.name, "kill-server"]).output();
    }
}

/// Creates a package whose build script waits for a file named `go`. Its configuration hides the note about this machine's
/// CA certificates.
fn waiting_project() -> Project {
    Project::with_config("ca-certificates = ['bundled']").file(
        "build.rs",
        "fn main() { while !std::path::Path::new(\"go\").exists() { std::thread::sleep(std::time::Duration::from_millis(50)); } }\n",
    )
}

fn finish_build(project: &Project) {
    std::fs::write(Path::new(project.path()).join("go"), "").unwrap();
}

/// Reports whether a line is a platform's progress bar.
fn is_bar(line: &str, platform: &str) -> bool {
    let rest = line.strip_prefix("   Compiling ").unwrap_or_default();
    rest.starts_with(|c: char| c == '[' || c.is_ascii_digit()) && rest.contains(platform)
}

/// Counts the upload progress bars.
fn uploads(lines: &[String]) -> usize {
    let is_upload = |line: &&String| {
        line.strip_prefix("     Pushing ").is_some_and(|rest| rest.contains('%') || rest.contains("/s"))
    };
    lines.iter().filter(is_upload).count()
}

fn bars(lines: &[String]) -> usize {
    PLATFORMS.iter().filter(|platform| lines.iter().any(|line| is_bar(line, platform))).count()
}

const BUILD: &str = "build --engine embedded --platform linux/amd64,linux/arm64,linux/riscv64";

#[test]
#[ignore = "run by scripts/test"]
fn progress_bars_disappear_at_the_end() {
    for (columns, gauge) in [(40, ""), (60, "[=====>    ] 1/2 "), (80, "[==========>         ] 1/2 "), (120, "] 1/2 ")]
    {
        let project = waiting_project();
        let terminal = Terminal::run(&project, columns, "", BUILD);
        let lines = terminal.wait_for("bars", |lines| {
            bars(lines) == 3 && lines.iter().filter(|line| is_bar(line, "") && line.contains("1/2 ")).count() == 3
        });
        assert!(lines.iter().filter(|line| line.contains(gauge)).count() >= 3, "{columns}: {lines:#?}");
        if columns >= 80 {
            // The age of the build script is shown, too.
            terminal.wait_for("what is running", |lines| {
                lines.iter().filter(|line| is_bar(line, "") && line.contains(" app build script ")).count() == 3
            });
        }
        assert!(lines.iter().filter(|line| is_bar(line, "")).all(|line| line.len() < columns.into()), "{lines:#?}");
        finish_build(&project);
        let lines = terminal.wait_for("end", |lines| lines.last().is_some_and(|line| line == "ended 0"));
        assert_eq!(bars(&lines), 0, "{columns}: {lines:#?}");
        let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
        let parts = [
            "       Using",
            "   Compiling app for",
            "   Compiling app v1.2.3",
            "    Compiled app for",
            "    Finished",
            "   Assembled",
            "       Built",
            "app:1.2.3@sha256:",
        ];
        assert_eq!(parts.map(count), [1, 1, 1, 3, 1, 1, 1, 1], "{columns}: {lines:#?}");
        assert_eq!(lines.len(), 11, "{columns}: {lines:#?}");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn progress_bars_follow_a_resized_terminal() {
    for (columns, other) in [(100, 50), (50, 100)] {
        let project = waiting_project();
        let terminal = Terminal::run(&project, columns, "", BUILD);
        terminal.wait_for("bars", |lines| bars(lines) == 3);
        terminal.tmux(&["resize-window", "-x", &other.to_string(), "-y", "24"]);
        let has_gauge = |line: &String| line.contains('[');
        terminal.wait_for("bars of the new width", |lines| {
            lines.len() >= 3
                && lines[lines.len() - 3..]
                    .iter()
                    .all(|line| is_bar(line, "linux/") && has_gauge(line) == (other >= 60))
        });
        finish_build(&project);
        let lines = terminal.wait_for("end", |lines| lines.last().is_some_and(|line| line == "ended 0"));
        assert_eq!(lines.iter().filter(|line| line.starts_with("    Compiled app for")).count(), 3, "{lines:#?}");
        let compiled = lines.iter().position(|line| line.starts_with("    Compiled")).unwrap();
        assert_eq!(bars(&lines[compiled..]), 0, "{lines:#?}");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn progress_bars_are_cleared_in_a_narrower_terminal() {
    let project = waiting_project();
    let terminal = Terminal::run(&project, 120, "", BUILD);
    let are_drawn =
        |lines: &[String]| bars(lines) == 3 && lines.iter().filter(|line| line.contains("1/2 ")).count() == 3;
    let before = terminal.wait_for("bars", are_drawn).len();
    // Shrinks to a width that still fits the bars, and then step by step, as if a user dragged the window border.
    for columns in [92].into_iter().chain((40..92).rev().step_by(4)) {
        terminal.tmux(&["resize-window", "-x", &columns.to_string(), "-y", "24"]);
        // Wait until the program has redrawn its bars: tmux takes a quarter of a second to report a new size. Lines
        // that were not cleared would still be on the screen.
        std::thread::sleep(Duration::from_millis(500));
        terminal.wait_for(&format!("{columns} columns"), |lines| {
            lines.len() == before
                && bars(lines) == 3
                && lines.iter().filter(|line| is_bar(line, "")).count() == 3
                && lines.iter().filter(|line| is_bar(line, "")).all(|line| line.chars().count() <= columns)
        });
    }
    finish_build(&project);
    terminal.wait_for("end", |lines| lines.last().is_some_and(|line| line == "ended 0"));
}

#[test]
#[ignore = "run by scripts/test"]
fn progress_bars_depend_on_the_environment() {
    for (environment, expected) in [
        ("CI=true", 0),
        ("TERM=dumb", 0),
        ("CARGO_TERM_PROGRESS_WHEN=never", 0),
        ("CI=true CARGO_TERM_PROGRESS_WHEN=always CARGO_TERM_PROGRESS_WIDTH=70", 3),
        // cargo would also require `CARGO_TERM_PROGRESS_WIDTH` here.
        ("CI=true CARGO_TERM_PROGRESS_WHEN=always", 3),
    ] {
        let project = waiting_project();
        let terminal = Terminal::run(&project, 80, environment, BUILD);
        let lines = terminal.wait_for("compiler", |lines| {
            lines.iter().any(|line| line.starts_with("   Compiling app v")) && bars(lines) >= expected
        });
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(bars(&terminal.lines()), expected, "{environment}: {lines:#?}");
        finish_build(&project);
        terminal.wait_for("end", |lines| lines.last().is_some_and(|line| line == "ended 0"));
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn progress_bars_show_bytes_of_uploads() {
    let slow = proxy(
        open_registry(),
        |sent| {
            // 1 MB/s per connection
            std::thread::sleep(Duration::from_micros(sent.len() as u64));
            sent
        },
        |answer| answer,
    );
    for (columns, sign) in [(40, "% "), (60, "B/s"), (80, "B/s"), (120, "] ")] {
        let config = |platform: &str| {
            format!("[platform.\"{platform}\"]\nfiles = [{{ from = \"{platform}\", to = \"/noise\" }}]\n")
        };
        let project = Project::with_config(&PLATFORMS[..2].iter().map(|platform| config(platform)).collect::<String>());
        std::fs::create_dir(project.path().join("linux")).unwrap();
        for (number, platform) in (0..).zip(&PLATFORMS[..2]) {
            // Incompressible bytes that the registry does not have yet.
            let seed = [columns as u64, number, u64::from(std::process::id())];
            std::fs::write(project.path().join(platform), noise(seed, 4 << 20)).unwrap();
        }
        let registry = format!("publish --engine embedded --registry {slow}/terminal");
        let terminal = Terminal::run(&project, columns, "", &registry);
        let lines = terminal.wait_for("uploads", |lines| uploads(lines) == 2);
        let pushing: Vec<&String> = lines.iter().filter(|line| line.starts_with("     Pushing ")).collect();
        assert!(pushing.iter().any(|line| line.contains(sign)), "{columns}: {lines:#?}");
        // A wrapped bar would be wider than the screen here, because wrapped lines have been joined.
        assert!(pushing.iter().all(|line| line.chars().count() < columns.into()), "{columns}: {lines:#?}");
        let lines = terminal.wait_for("end", |lines| lines.last().is_some_and(|line| line == "ended 0"));
        assert_eq!(uploads(&lines), 0, "{columns}: {lines:#?}");
        let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
        let parts = [
            "       Using",
            "     Checked",
            "   Compiling",
            "    Compiled",
            "    Finished",
            "   Assembled",
            "     Pushing",
            "      Tagged",
            "   Published",
        ];
        assert_eq!(parts.map(count), [1, 1, 2, 2, 1, 1, 1, 1, 1], "{columns}: {lines:#?}");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn output_wraps_between_words() {
    let platforms = "platforms = ['linux/amd64', 'linux/arm64', 'linux/riscv64', 'linux/386', 'linux/arm/v7']\n";
    let project = Project::with_config(platforms);
    for args in [
        "doctor --engine embedded",
        "plan --engine embedded",
        "plan --engine embedded --libc gnu --base debian:trixie-slim --linker zig",
        "verify --explain MA010",
        "dockerfile --variables",
    ] {
        let run = project.run(&args.split(' ').collect::<Vec<_>>()).env("SOURCE_DATE_EPOCH", "1");
        let (mut command, _dirs) = run.into_command();
        let piped = String::from_utf8(command.output().unwrap().stdout).unwrap();
        // Ignores the free disk space, which changes between runs, and the layout of tables.
        let words = |text: &str| {
            let text = &text[text.find("Engine:").unwrap_or(0)..text.find(" disk ").unwrap_or(text.len())];
            text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        for columns in [60, 80, 120] {
            let terminal = Terminal::run(&project, columns, "", &format!("{args} 2>/dev/null"));
            terminal.wait_for("end", |lines| lines.last().is_some_and(|line| line.starts_with("ended ")));
            let (joined, wrapped) = (terminal.lines(), terminal.captured(&[]));
            assert_eq!(joined, wrapped, "the terminal wrapped a line: {args}, {columns}");
            assert_eq!(words(&wrapped[..wrapped.len() - 1].join("\n")), words(&piped), "{args}, {columns}");
        }
    }
}

/// Returns pseudorandom bytes that depend only on the seed.
fn noise(seed: [u64; 3], length: usize) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let block = |index: usize| Sha256::digest(format!("{seed:?} {index}"));
    (0..length / 32).flat_map(block).collect()
}
