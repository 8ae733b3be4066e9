//! Finds the programs that a container starts: follows ENTRYPOINT and CMD, or the health check, through PATH, links,
//! `#!` lines, shells and wrapper programs (image-spec, config.md; execve(2)).

mod requester;
#[cfg(test)]
mod tests;

use self::requester::Requester;
use super::exec_context::{EXECUTE, ExecContext, READ, User, format_mode};
use super::exec_wrappers::{self, WrappedCommand};
use crate::finding::{Finding, INTERPRETER_MISSING, NO_ENTRYPOINT, NOT_A_PROGRAM, NOT_EXECUTABLE};
use crate::oci::rootfs::{FileContent, FsNode, RegularFile, RootFs, ScriptFile, file_name};
use crate::shell::{self, ScriptCommand};

/// The chain of programs that a container starts.
#[derive(Debug, Default)]
pub(crate) struct ExecChain {
    /// Path of the file that the first command starts. For an image, ENTRYPOINT or, without ENTRYPOINT, CMD.
    pub program: Option<String>,
    /// Executed ELF files in the order in which they start, without duplicates.
    pub programs: Vec<StartedProgram>,
    pub findings: Vec<Finding>,
}

/// An ELF file that the container executes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StartedProgram {
    /// Real path in the image, without a leading slash.
    pub path: String,
    /// User that the program runs as. `None` if it cannot be determined.
    pub user: Option<User>,
}

/// Maximum number of nested `#!` interpreters that the kernel accepts.
const MAX_SHEBANGS: usize = 5;
/// Maximum length of a chain of programs, each of which starts the next.
const MAX_DEPTH: usize = 16;
/// Maximum number of commands to follow, including commands that may not run.
const MAX_COMMANDS: usize = 500;

/// Follows an image's ENTRYPOINT and CMD to all the programs that they start.
pub(crate) fn follow(context: &ExecContext<'_>) -> ExecChain {
    let config = context.config.config().as_ref();
    let entrypoint = config.and_then(|config| config.entrypoint().clone()).unwrap_or_default();
    let cmd = config.and_then(|config| config.cmd().clone()).unwrap_or_default();
    let words = [entrypoint, cmd].concat();
    if words.is_empty() {
        let finding = NO_ENTRYPOINT.finding(
            "the config has neither ENTRYPOINT nor CMD",
            "set the program to start: entrypoint = [\"/usr/local/bin/app\"]",
        );
        return ExecChain { findings: vec![finding], ..ExecChain::default() };
    }
    trace(context, &words, &Requester::Config)
}

/// Follows the command of an image's health check to all the programs that it runs. The command may be empty.
pub(crate) fn follow_health_check(context: &ExecContext<'_>, command: &[String]) -> ExecChain {
    trace(context, command, &Requester::HealthCheck)
}

fn trace(context: &ExecContext<'_>, words: &[String], requester: &Requester) -> ExecChain {
    let mut tracer = Tracer {
        context: context.with_user(context.user.clone()),
        active: Vec::new(),
        finished: Vec::new(),
        chain: ExecChain::default(),
    };
    tracer.run(words, requester, Depth::default());
    tracer.chain
}

/// A tracer that follows commands and collects the programs that they start.
struct Tracer<'a> {
    /// Context of the current command.
    context: ExecContext<'a>,
    /// Commands that are being followed, outermost first.
    active: Vec<TracedCommand>,
    finished: Vec<TracedCommand>,
    chain: ExecChain,
}

/// A command that was followed, with its user and whether it is certain to run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TracedCommand {
    words: Vec<String>,
    is_certain: bool,
    user: Option<User>,
}

/// How many programs and interpreters precede a command in the chain.
#[derive(Debug, Clone, Copy, Default)]
struct Depth {
    /// Number of programs and scripts in the chain so far.
    programs: usize,
    /// Number of consecutive `#!` interpreters.
    shebangs: usize,
}

impl Depth {
    fn next_program(self) -> Depth {
        Depth { programs: self.programs + 1, shebangs: 0 }
    }

    fn next_shebang(self) -> Depth {
        Depth { programs: self.programs + 1, shebangs: self.shebangs + 1 }
    }
}

/// The file that a command runs.
struct FoundProgram<'a> {
    /// Absolute path before links are followed.
    path: String,
    /// Real path in the image, without a leading slash.
    real_path: String,
    file: &'a RegularFile,
}

/// Placeholder for a word whose value is known only when the script runs.
const UNKNOWN_WORD: &str = "$";

impl<'a> Tracer<'a> {
    /// Follows a command, unless it has already been followed.
    fn run(&mut self, words: &[String], requester: &Requester, depth: Depth) {
        let Some((name, arguments)) = words.split_first() else { return };
        let is_certain = requester.is_certain();
        let command = TracedCommand { words: words.to_vec(), is_certain, user: self.context.user.clone() };
        if name == UNKNOWN_WORD || self.finished.contains(&command) {
            return;
        }
        // Uncertain commands can branch, so limit their number. Commands that are certain to run do not branch.
        if !is_certain && self.finished.len() + self.active.len() >= MAX_COMMANDS {
            return;
        }
        if self.active.contains(&command) || depth.programs > MAX_DEPTH || depth.shebangs > MAX_SHEBANGS {
            let reason = "starts itself, through its `#!` line or as its own argument";
            self.report(requester, NOT_A_PROGRAM.finding(reason, "make it start another program").in_file(name));
            return;
        }
        self.active.push(command);
        self.run_program(name, arguments, requester, depth);
        self.finished.extend(self.active.pop());
    }

    fn run_program(&mut self, name: &str, arguments: &[String], requester: &Requester, depth: Depth) {
        let Some(FoundProgram { path, real_path, file }) = self.find_program(name, requester) else { return };
        if depth.programs == 0 {
            self.chain.program = Some(format!("/{real_path}"));
        }
        // An interpreter opens its script as the same user, so the user also needs permission to read the script.
        let bits: &[u32] = if matches!(file.content, FileContent::Script(_)) { &[EXECUTE, READ] } else { &[EXECUTE] };
        if let Some(finding) = self.check_permissions(&path, &real_path, file, bits) {
            return self.report(requester, finding);
        }
        match &file.content {
            FileContent::Program(program) => match &program.elf {
                Some(elf) if elf.is_complete && elf.executable => {
                    let program = StartedProgram { path: real_path.clone(), user: self.context.user.clone() };
                    if !self.chain.programs.contains(&program) {
                        self.chain.programs.push(program);
                    }
                    self.run_wrapped(&real_path, name, arguments, requester, depth);
                }
                Some(elf) if elf.is_complete => {
                    self.not_a_program(&real_path, "is an ELF file but not an executable", requester);
                }
                _ => self.not_a_program(&real_path, "is a truncated ELF file", requester),
            },
            FileContent::Script(script) => self.run_script(&real_path, script, arguments, requester, depth),
            _ if file.size == 0 => self.not_a_program(&real_path, "is empty", requester),
            // If a shell cannot execute a file, it interprets the file as a script.
            _ if matches!(requester, Requester::Program(_) | Requester::Uncertain) => {}
            _ => {
                let reason = "is neither an ELF file nor a script with `#!` on its first line";
                self.not_a_program(&real_path, reason, requester);
            }
        }
    }

    /// Finds the file that a command runs. Looks up names without a slash in PATH, and reports a missing file.
    fn find_program(&mut self, name: &str, requester: &Requester) -> Option<FoundProgram<'a>> {
        if !name.contains('/') {
            let found = self.find_in_path(name);
            if found.is_none() {
                let finding = self.not_in_path(name, requester);
                self.chain.findings.extend(finding);
            }
            return found;
        }
        let path = self.context.absolute(name);
        match self.context.file(&path) {
            Some((real_path, file)) => Some(FoundProgram { path, real_path, file }),
            None => {
                self.report_missing(&path, requester);
                None
            }
        }
    }

    fn report_missing(&mut self, path: &str, requester: &Requester) {
        let reason = describe_non_file(self.context.root, path);
        self.chain.findings.extend(requester.not_found(path, &reason));
    }

    /// Returns the first executable file with this name in PATH, or the first file with this name if none is
    /// executable.
    fn find_in_path(&self, name: &str) -> Option<FoundProgram<'a>> {
        let context = &self.context;
        let mut first = None;
        for dir in context.path_dirs() {
            let path = format!("{dir}/{name}");
            let Some((real_path, file)) = context.file(&path) else { continue };
            let is_executable =
                context.has_permission(&file.attributes, EXECUTE) && context.first_closed_dir(&path).is_none();
            let program = FoundProgram { path, real_path, file };
            if is_executable {
                return Some(program);
            }
            first.get_or_insert(program);
        }
        first
    }

    fn not_in_path(&self, name: &str, requester: &Requester) -> Option<Finding> {
        let (root, dirs) = (self.context.root, self.context.path_dirs());
        let mut paths = dirs.iter().map(|dir| format!("{dir}/{name}"));
        let dangling_link = paths.find(|path| matches!(root.lstat(path), Some(FsNode::Link(_))));
        match dangling_link {
            Some(path) => requester.not_found(&path, &describe_non_file(root, &path)),
            None => requester.not_found(name, &format!("is not in PATH ({})", dirs.join(":"))),
        }
    }

    /// Returns a finding if the user cannot enter a directory on the path, or does not have every permission in `bits`
    /// on the file.
    fn check_permissions(&self, path: &str, real_path: &str, file: &RegularFile, bits: &[u32]) -> Option<Finding> {
        let (context, shown_path) = (&self.context, format!("/{real_path}"));
        if let Some(dir) = context.first_closed_dir(path) {
            return Some(context.closed_directory_finding(&dir, &shown_path));
        }
        let missing = bits.iter().find(|bit| !context.has_permission(&file.attributes, **bit))?;
        let (user, mode) = (context.user_description(), format_mode(&file.attributes));
        let reason = match *missing {
            EXECUTE => format!("{mode}, so {user} cannot execute it"),
            _ => format!("{mode}, so {user} cannot read the script"),
        };
        let fix = "copy it with `--chmod=0755`, or set mode = \"0755\" in `files`";
        Some(NOT_EXECUTABLE.finding(reason, fix).in_file(shown_path))
    }

    fn not_a_program(&mut self, real_path: &str, reason: &str, requester: &Requester) {
        let fix = "run `file PATH` where the image is built, and make sure that the complete file is copied";
        self.report(requester, NOT_A_PROGRAM.finding(reason, fix).in_file(format!("/{real_path}")));
    }

    /// Adds a finding about a command if the command is certain to run.
    fn report(&mut self, requester: &Requester, finding: Finding) {
        if requester.is_certain() {
            self.chain.findings.push(finding);
        }
    }

    /// Follows the command that a known wrapper program or shell starts.
    fn run_wrapped(&mut self, real_path: &str, name: &str, arguments: &[String], requester: &Requester, depth: Depth) {
        let inner = requester.next_program(real_path);
        match exec_wrappers::wrapped_command(name, arguments) {
            WrappedCommand::None => {}
            WrappedCommand::Program(words) => self.run(&words, &inner, depth.next_program()),
            WrappedCommand::ProgramAs(user, words) => {
                let user = user.and_then(|user| self.context.find_user(&user));
                let outer_user = std::mem::replace(&mut self.context.user, user);
                self.run(&words, &inner, depth.next_program());
                self.context.user = outer_user;
            }
            // `env` changes PATH or the working directory, so the program found here may not be the one that runs.
            WrappedCommand::ProgramElsewhere(words) => self.run(&words, &Requester::Uncertain, depth.next_program()),
            WrappedCommand::CommandLine(text) => {
                for command in shell::command_line_programs(&text) {
                    self.run_script_command(&command, &[], real_path, &inner, depth);
                }
            }
            WrappedCommand::Script(script, rest) => self.run_shell_script(real_path, &script, &rest, &inner, depth),
        }
    }

    /// Follows a script passed to a shell as an argument. The shell ignores the script's `#!` line.
    fn run_shell_script(&mut self, shell: &str, name: &str, arguments: &[String], requester: &Requester, depth: Depth) {
        if name == UNKNOWN_WORD {
            return;
        }
        let path = self.shell_script_path(shell, name);
        let Some((real_path, file)) = self.context.file(&path) else {
            return self.report_missing(&path, requester);
        };
        if let Some(finding) = self.check_permissions(&path, &real_path, file, &[READ]) {
            return self.report(requester, finding);
        }
        match &file.content {
            FileContent::Program(_) => {
                self.not_a_program(&real_path, "is a binary program, but a shell would run it as a script", requester);
            }
            FileContent::Script(script) => {
                for command in &script.commands {
                    self.run_script_command(command, arguments, &real_path, requester, depth);
                }
            }
            _ => {}
        }
    }

    /// Returns the path of a script passed to a shell. Shells look in the working directory; bash then also searches
    /// PATH (bash(1), "ARGUMENTS").
    fn shell_script_path(&self, shell: &str, name: &str) -> String {
        let context = &self.context;
        let path = context.absolute(name);
        if context.file(&path).is_some() || name.contains('/') || !shell.ends_with("bash") {
            return path;
        }
        let mut in_path = context.path_dirs().into_iter().map(|dir| format!("{dir}/{name}"));
        in_path.find(|path| context.file(path).is_some()).unwrap_or(path)
    }

    /// Follows a script that the kernel starts through its `#!` line.
    fn run_script(
        &mut self,
        real_path: &str,
        script: &ScriptFile,
        arguments: &[String],
        requester: &Requester,
        depth: Depth,
    ) {
        let shebang = script.shebang.trim_matches([' ', '\t']);
        let (interpreter, argument) = match shebang.split_once([' ', '\t']) {
            Some((interpreter, argument)) => (interpreter, Some(argument.trim_start_matches([' ', '\t']))),
            None => (shebang, None),
        };
        if interpreter.is_empty() {
            self.not_a_program(real_path, "is a script without an interpreter on its first line", requester);
            return;
        }
        let mut words = vec![interpreter.to_owned()];
        words.extend(argument.map(str::to_owned));
        words.push(format!("/{real_path}"));
        let findings_before = self.chain.findings.len();
        self.run_interpreter(&words, &requester.next_shebang(real_path), depth);
        if self.chain.findings.len() == findings_before {
            for command in &script.commands {
                self.run_script_command(command, arguments, real_path, requester, depth);
            }
        }
    }

    /// Follows the interpreter of a `#!` line and, if it is `env`, the program that `env` starts. The caller follows
    /// the script itself.
    fn run_interpreter(&mut self, words: &[String], requester: &Requester, depth: Depth) {
        self.run(&words[..1], requester, depth.next_shebang());
        if file_name(&words[0]) != "env" {
            return;
        }
        if let Some((real_path, _)) = self.context.file(&words[0])
            && real_path.ends_with("busybox")
            && exec_wrappers::splits_string(&words[1..])
        {
            let reason =
                format!("acts as {}, but busybox env does not support the -S on the script's first line", words[0]);
            let fix = "name the interpreter directly, as in `#!/bin/sh -e`, or use a base with GNU env";
            self.report(requester, INTERPRETER_MISSING.finding(reason, fix).in_file(format!("/{real_path}")));
        }
        if let WrappedCommand::Program(inner) = exec_wrappers::wrapped_command("env", &words[1..]) {
            self.run(&inner[..1], requester, depth.next_shebang());
        }
    }

    /// Follows a command in a shell script, replacing `"$@"` with the script's arguments.
    fn run_script_command(
        &mut self,
        command: &ScriptCommand,
        arguments: &[String],
        script: &str,
        requester: &Requester,
        depth: Depth,
    ) {
        let mut words = Vec::new();
        for word in &command.words {
            match word.as_str() {
                "$@" | "${@}" | "$*" | "${1+$@}" => words.extend(arguments.iter().cloned()),
                word if word.contains(['$', '`', '*', '~', '?']) => words.push(UNKNOWN_WORD.to_owned()),
                word => words.push(word.to_owned()),
            }
        }
        let inner = if command.is_certain { requester.next_program(script) } else { Requester::Uncertain };
        self.run(&words, &inner, depth.next_program());
    }
}

/// Describes why a path is not a regular file.
fn describe_non_file(root: &RootFs, path: &str) -> String {
    let Ok(real_path) = root.resolve(path) else {
        return "has too many levels of symbolic links, or is below a file".to_owned();
    };
    match (root.get(&real_path), root.lstat(path)) {
        _ if real_path.is_empty() => "is a directory".to_owned(),
        (Some(FsNode::Dir(_)), _) => "is a directory".to_owned(),
        (Some(_), _) => "is a device, a pipe or a socket".to_owned(),
        (None, Some(FsNode::Link(target))) => format!("is a link to {target}, which is not in the image"),
        (None, _) => "is not in the image".to_owned(),
    }
}
