//! Runs programs, using `duct`. All child processes are started here, so that Ctrl-C can stop them.

mod lines;

use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

pub(crate) use lines::Line;

use crate::error::{Class, Failure, failure_class};
use crate::threads::{self, CancelToken, Cancelled};

/// Process groups of the running child processes. Ctrl-C is forwarded to whole groups, so that it also reaches
/// descendants.
static PROCESS_GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Directories to remove if a second Ctrl-C ends the process. Otherwise, their owners remove them.
static PRIVATE_DIRS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Programs that access registries, and so need credentials.
const REGISTRY_CLIENTS: [&str; 2] = ["docker", "cross"];
/// Additional environment variables for [`REGISTRY_CLIENTS`].
static REGISTRY_CLIENT_ENV: Mutex<Vec<(OsString, OsString)>> = Mutex::new(Vec::new());
/// Prefix of this program's variables that contain passwords. Child processes, such as build scripts, do not get them.
const PASSWORD_VARIABLES: &str = "MULTIARCH_PASSWORD";
/// Whether [`uninterrupted`] is running, which ignores the first Ctrl-C.
static IS_DEFERRED: AtomicBool = AtomicBool::new(false);

/// How often to check whether a running program must be stopped.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How often to check whether a program that closed its output has exited.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(2);
/// How long a program may take to exit after SIGTERM before it is sent SIGKILL.
const GRACE_PERIOD: Duration = Duration::from_secs(5);

/// A program to run, with its arguments, environment variables and working directory. `Display` formats it as a shell
/// command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<OsString>,
}

/// The exit status and output of a finished program.
#[derive(Debug)]
pub(crate) struct ProgramOutput {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Cmd {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Cmd { program: program.as_ref().to_owned(), args: Vec::new(), env: Vec::new(), dir: None }
    }

    #[must_use]
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    #[must_use]
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the working directory, which defaults to the current directory.
    #[must_use]
    pub(crate) fn dir(self, dir: impl AsRef<OsStr>) -> Self {
        Cmd { dir: Some(dir.as_ref().to_owned()), ..self }
    }

    /// Runs the program and returns its stdout. If the program fails, the error contains its stderr.
    pub(crate) fn read(&self) -> Result<String> {
        let output = self.output()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(anyhow::anyhow!("`{self}` failed ({}): {}", ended(output.status), output.stderr.trim()))
    }

    /// Runs the program and returns its output, regardless of its exit status.
    pub(crate) fn output(&self) -> Result<ProgramOutput> {
        let mut out = String::new();
        let mut err = String::new();
        let status = self.stream(|line| {
            let (text, line) = match line {
                Line::Stdout(line) => (&mut out, line),
                Line::Stderr(line) => (&mut err, line),
            };
            text.push_str(&line);
            text.push('\n');
        })?;
        Ok(ProgramOutput { status, stdout: out, stderr: err })
    }

    /// Runs the program with `input` as its stdin and returns its output. Kills it and its child processes after `limit`,
    /// or immediately after Ctrl-C. Returns `None` if the limit was reached.
    pub(crate) fn output_within(&self, limit: Duration, input: &str) -> Result<Option<ProgramOutput>> {
        let (mut out, mut err) = (String::new(), String::new());
        let on_line = |line| {
            let (text, line) = match line {
                Line::Stdout(line) => (&mut out, line),
                Line::Stderr(line) => (&mut err, line),
            };
            text.push_str(&line);
            text.push('\n');
        };
        let status = self.stream_killed_after(limit, Some(input), on_line)?;
        Ok(status.map(|status| ProgramOutput { status, stdout: out, stderr: err }))
    }

    /// Runs the program, passes each line of output to `on_line` as it arrives, and returns the exit status.
    pub(crate) fn stream(&self, mut on_line: impl FnMut(Line)) -> Result<ExitStatus> {
        let running = self.start(None)?;
        running.lines.iter().for_each(&mut on_line);
        running.finish()
    }

    /// Like [`stream`](Cmd::stream), but once `cancel` is triggered, stops the program and its child processes and
    /// returns [`Cancelled`].
    pub(crate) fn stream_until(&self, cancel: &CancelToken, on_line: impl FnMut(Line)) -> Result<ExitStatus> {
        self.stream_and_poll(cancel, on_line, || ())
    }

    /// Like [`stream_until`](Cmd::stream_until), but also calls `poll` several times per second.
    pub(crate) fn stream_and_poll(
        &self,
        cancel: &CancelToken,
        on_line: impl FnMut(Line),
        mut poll: impl FnMut(),
    ) -> Result<ExitStatus> {
        let mut kill_at = None;
        let next_signal = || {
            poll();
            match kill_at {
                // After Ctrl-C, the interrupt handler sends the signals instead, with no time limit.
                None if cancel.is_cancelled() && check_interrupt().is_ok() => {
                    kill_at = Some(Instant::now() + GRACE_PERIOD);
                    Some(Signal::TERM)
                }
                Some(at) if Instant::now() >= at => Some(Signal::KILL),
                _ => None,
            }
        };
        let status = self.stream_with_signals(None, on_line, next_signal)?;
        if kill_at.is_some() {
            cancel.check()?;
        }
        Ok(status)
    }

    /// Like [`stream`](Cmd::stream), but kills the program and its child processes after `limit`, or immediately after
    /// Ctrl-C. Returns `None` if the limit was reached.
    pub(crate) fn stream_within(&self, limit: Duration, on_line: impl FnMut(Line)) -> Result<Option<ExitStatus>> {
        self.stream_killed_after(limit, None, on_line)
    }

    fn stream_killed_after(
        &self,
        limit: Duration,
        input: Option<&str>,
        on_line: impl FnMut(Line),
    ) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        let mut is_killed = false;
        let status = self.stream_with_signals(input, on_line, || {
            is_killed = Instant::now() >= deadline || check_interrupt().is_err();
            is_killed.then_some(Signal::KILL)
        })?;
        Ok((!is_killed).then_some(status))
    }

    /// Like [`stream`](Cmd::stream), but polls `next_signal` and forwards each signal that it returns to the program
    /// and its child processes. Stops reading output after SIGKILL, because a process outside the group may keep the pipes
    /// open.
    fn stream_with_signals(
        &self,
        input: Option<&str>,
        mut on_line: impl FnMut(Line),
        mut next_signal: impl FnMut() -> Option<Signal>,
    ) -> Result<ExitStatus> {
        let running = self.start(input)?;
        loop {
            match running.lines.recv_timeout(POLL_INTERVAL) {
                Ok(line) => on_line(line),
                Err(RecvTimeoutError::Disconnected) if running.handle.try_wait()?.is_some() => break,
                // The program closed its output, so it will probably exit soon.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(EXIT_POLL_INTERVAL),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(signal) = next_signal() {
                running.signal(signal);
                if signal == Signal::KILL {
                    break;
                }
            }
        }
        running.finish()
    }

    /// Runs a cleanup command, even after Ctrl-C. Ignores failures.
    pub(crate) fn undo(&self) {
        let quiet = self.expression().stdin_null().stdout_null().stderr_null().unchecked();
        let _ = quiet.before_spawn(in_own_group).run();
    }

    /// Starts the program in a new process group, with `input` as its stdin.
    fn start(&self, input: Option<&str>) -> Result<RunningProgram> {
        check_interrupt()?;
        let (stdout, stdout_writer) = io::pipe()?;
        let (stderr, stderr_writer) = io::pipe()?;
        let handle = {
            // The expression owns the write ends of the pipes and is dropped here, so that the readers see end-of-file.
            let expression = self.expression();
            let expression = match input {
                Some(input) => expression.stdin_bytes(input),
                None => expression.stdin_null(),
            };
            let expression =
                expression.stdout_file(stdout_writer).stderr_file(stderr_writer).unchecked().before_spawn(in_own_group);
            expression.start().with_context(|| format!("cannot run `{}`", self.program.to_string_lossy()))?
        };
        let group = handle.pids().first().and_then(|pid| i32::try_from(*pid).ok()).and_then(Pid::from_raw);
        let group = group.map(ProcessGroup::register);
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || lines::read(stdout, stderr, |line| sender.send(line).is_ok()));
        let running = RunningProgram { handle, group, lines };
        // If a signal arrived before the group was registered, it was not forwarded to the group, so send one now.
        if let Err(interrupted) = check_interrupt() {
            running.signal(Signal::TERM);
            return Err(interrupted.into());
        }
        Ok(running)
    }

    fn expression(&self) -> duct::Expression {
        let expression = duct::cmd(&self.program, &self.args);
        let expression = self.dir.iter().fold(expression, |expression, dir| expression.dir(dir));
        let expression = self.env.iter().fold(expression, |expression, (name, value)| expression.env(name, value));
        let expression = password_variables().fold(expression, |expression, name| expression.env_remove(name));
        if !self.is_registry_client() {
            return expression;
        }
        let client_env = threads::lock(&REGISTRY_CLIENT_ENV);
        client_env.iter().fold(expression, |expression, (name, value)| expression.env(name, value))
    }

    fn is_registry_client(&self) -> bool {
        let name = Path::new(&self.program).file_name().and_then(OsStr::to_str);
        name.is_some_and(|name| REGISTRY_CLIENTS.contains(&name))
    }
}

impl Cmd {
    /// Returns the command as shell text in several lines: one for each environment variable, and one for the program
    /// with its arguments.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, value) in &self.env {
            let name = name.to_string_lossy();
            let value = if is_secret(&name) { "…".to_owned() } else { quote(&value.to_string_lossy()) };
            lines.push(format!("{name}={value}"));
        }
        let args = self.args.iter().map(|arg| quote(&without_secrets(&arg.to_string_lossy())));
        let words: Vec<String> = [quote(&self.program.to_string_lossy())].into_iter().chain(args).collect();
        lines.push(words.join(" "));
        if let (Some(dir), Some(first)) = (&self.dir, lines.first_mut()) {
            first.insert_str(0, &format!("cd {} && ", quote(&dir.to_string_lossy())));
        }
        lines
    }
}

impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join(" "))
    }
}

/// Returns the names of the variables that contain passwords for this program only.
fn password_variables() -> impl Iterator<Item = OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| name.to_str().is_some_and(|name| name.starts_with(PASSWORD_VARIABLES)))
}

/// Sets the environment variables that programs that access registries get in addition to their own.
pub(crate) fn set_registry_client_env(variables: Vec<(OsString, OsString)>) {
    *threads::lock(&REGISTRY_CLIENT_ENV) = variables;
}

/// Registers a directory to remove if a second Ctrl-C ends the process.
pub(crate) fn remove_on_exit(dir: &Path) {
    threads::lock(&PRIVATE_DIRS).push(dir.to_owned());
}

fn in_own_group(command: &mut std::process::Command) -> io::Result<()> {
    command.process_group(0);
    Ok(())
}

/// Reports whether an error occurred because the run was interrupted or cancelled, so that it says nothing about the
/// operation that returned it.
pub(crate) fn stopped_run(error: &anyhow::Error) -> bool {
    failure_class(error) == Class::Interrupted || Cancelled::caused(error)
}

/// Describes how a program ended, such as `exit code 101` or `signal 9`.
pub(crate) fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Reports whether a program was killed with SIGKILL, for example by the kernel's out-of-memory killer.
pub(crate) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}

/// Masks secret values in an argument that may contain comma-separated `name=value` pairs.
pub(crate) fn without_secrets(arg: &str) -> String {
    let part = |part: &str| {
        let secret = part.match_indices('=').map(|(at, _)| at).find(|at| {
            let name = part[..*at].rsplit(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))).next();
            name.is_some_and(is_secret)
        });
        secret.map_or_else(|| part.to_owned(), |at| format!("{}…", &part[..=at]))
    };
    arg.split(',').map(part).collect::<Vec<_>>().join(",")
}

/// Reports whether a variable with this name probably contains a secret that must not be printed.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "API_KEY", "PRIVATE_KEY"]
        .iter()
        .any(|word| name.contains(word))
}

/// Quotes a word for a POSIX shell, if necessary.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A running program and the channel that receives its output lines.
struct RunningProgram {
    handle: duct::Handle,
    group: Option<ProcessGroup>,
    lines: mpsc::Receiver<Line>,
}

impl RunningProgram {
    /// Sends a signal to the program and its child processes.
    fn signal(&self, signal: Signal) {
        if let Some(ProcessGroup(group)) = self.group {
            // The processes in the group may already have exited.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Waits for the program to exit. Fails if the user pressed Ctrl-C in the meantime.
    fn finish(self) -> Result<ExitStatus> {
        let status = self.handle.into_output()?.status;
        check_interrupt()?;
        Ok(status)
    }
}

/// A process group that receives Ctrl-C until this value is dropped.
struct ProcessGroup(Pid);

impl ProcessGroup {
    fn register(group: Pid) -> Self {
        threads::lock(&PROCESS_GROUPS).push(group);
        ProcessGroup(group)
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        threads::lock(&PROCESS_GROUPS).retain(|group| *group != self.0);
    }
}

/// Installs a handler for Ctrl-C, SIGTERM and SIGHUP that terminates all child processes, so that the step waiting for
/// them fails with the error `interrupted`. A second signal kills the child processes and exits immediately.
pub(crate) fn stop_children_on_interrupt() -> Result<()> {
    ctrlc::set_handler(|| {
        let again = INTERRUPTED.swap(true, Ordering::SeqCst);
        let signal = if again { Signal::KILL } else { Signal::TERM };
        let groups = threads::lock(&PROCESS_GROUPS).clone();
        for group in groups {
            // The processes in the group may already have exited.
            let _ = kill_process_group(group, signal);
        }
        if again {
            for dir in &*threads::lock(&PRIVATE_DIRS) {
                // Nothing can be reported at this point.
                let _ = fs_err::remove_dir_all(dir);
            }
            std::process::exit(Class::Interrupted.exit_code().into());
        }
    })
    .context("cannot install a handler for Ctrl-C")
}

/// Fails if the user has interrupted the run.
pub(crate) fn check_interrupt() -> Result<(), Failure> {
    if INTERRUPTED.load(Ordering::SeqCst) && !IS_DEFERRED.load(Ordering::SeqCst) {
        return Err(Failure::new(Class::Interrupted, "interrupted"));
    }
    Ok(())
}

/// Runs `work` to its end even if the user interrupts the run in the meantime: the first Ctrl-C only calls
/// `on_interrupt`. A second one still exits immediately. Fails if the user has interrupted the run before.
pub(crate) fn uninterrupted<T>(on_interrupt: impl FnOnce() + Send, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let _deferred = DeferredInterrupts::start()?;
    std::thread::scope(|scope| {
        let (running, ended) = mpsc::channel::<()>();
        scope.spawn(move || {
            while ended.recv_timeout(POLL_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if INTERRUPTED.load(Ordering::SeqCst) {
                    return on_interrupt();
                }
            }
        });
        let result = work();
        drop(running);
        result
    })
}

/// Ignores the first Ctrl-C until this value is dropped.
struct DeferredInterrupts;

impl DeferredInterrupts {
    fn start() -> Result<DeferredInterrupts, Failure> {
        check_interrupt()?;
        IS_DEFERRED.store(true, Ordering::SeqCst);
        Ok(DeferredInterrupts)
    }
}

impl Drop for DeferredInterrupts {
    fn drop(&mut self) {
        IS_DEFERRED.store(false, Ordering::SeqCst);
    }
}

/// Returns the full path of a program found in PATH.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    which::which(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::Cancelled;

    #[test]
    fn prints_as_a_shell_line_without_secrets() {
        let cmd = Cmd::new("docker")
            .args([
                "build",
                "--label",
                "a=it's $5",
                "--build-arg",
                "NPM_TOKEN=abc",
                "--build-arg=A_TOKEN=b",
                "type=s3,secret_access_key=c,x=1",
                "",
            ])
            .env("SOURCE_DATE_EPOCH", "7")
            .env("CARGO_REGISTRY_TOKEN", "secret");
        assert_eq!(
            cmd.to_string(),
            r"SOURCE_DATE_EPOCH=7 CARGO_REGISTRY_TOKEN=… docker build --label 'a=it'\''s $5' --build-arg 'NPM_TOKEN=…' '--build-arg=A_TOKEN=…' 'type=s3,secret_access_key=…,x=1' ''"
        );
    }

    #[test]
    fn output_separates_stdout_from_stderr() {
        let output = Cmd::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]).output().unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(output.status.code(), Some(3));
    }

    #[test]
    fn limit_kills_child_processes() {
        let within = |script: &str| {
            let mut lines = Vec::new();
            let cmd = Cmd::new("sh").args(["-c", script]);
            let status = cmd.stream_within(Duration::from_millis(400), |line| lines.push(format!("{line:?}"))).unwrap();
            (status.map(ended), lines.len())
        };
        let start = Instant::now();
        assert_eq!(within("echo a; echo b >&2; exit 3"), (Some("exit code 3".to_owned()), 2));
        assert_eq!(within("echo a; sleep 60"), (None, 1));
        assert_eq!(within("sleep 60 & echo a"), (None, 1));
        assert_eq!(within("exec >&- 2>&-; sleep 60"), (None, 0));
        assert_eq!(within("trap '' TERM; setsid sleep 3 & while :; do :; done"), (None, 0));
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    }

    #[test]
    fn cancellation_stops_child_processes() {
        let cancel = CancelToken::default();
        let start = Instant::now();
        let mut lines = 0;
        let mut polls = 0;
        let on_line = |_| {
            lines += 1;
            cancel.cancel();
        };
        let sleep = Cmd::new("sh").args(["-c", "sleep 60 & echo started; wait"]);
        let result = sleep.stream_and_poll(&cancel, on_line, || polls += 1);
        assert!(polls > 0);
        assert!(Cancelled::caused(&result.unwrap_err()));
        assert_eq!(lines, 1);
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
        let status = Cmd::new("true").stream_until(&CancelToken::default(), |_| ()).unwrap();
        assert!(status.success());
    }

    #[test]
    fn read_errors_contain_stderr() {
        let error = Cmd::new("sh").args(["-c", "echo disk full >&2; exit 1"]).read().unwrap_err();
        assert!(error.to_string().ends_with("disk full"), "{error}");
        let error = Cmd::new("no-such-program").read().unwrap_err();
        assert_eq!(error.to_string(), "cannot run `no-such-program`");
    }
}
