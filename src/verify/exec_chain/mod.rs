//! What a container's start leads to: from ENTRYPOINT and CMD through PATH, links, `#!` lines, shells and the programs
//! that start others, to every ELF file on the way (image-spec, config.md; execve(2)). Pure.

#[cfg(test)]
mod tests;

use super::exec_context::{EXECUTE, ExecContext, READ, User, describe};
use super::exec_wrappers::{self, Started};
use crate::finding::{Finding, INTERPRETER_MISSING, NO_ENTRYPOINT, NOT_A_PROGRAM, NOT_EXECUTABLE, PROGRAM_NOT_FOUND};
use crate::oci::rootfs::{Content, File, Node, RootFs, Script};
use crate::shell;

/// Who asks for a program: what is wrong where it is not there, and whether that is sure.
#[derive(Debug, Clone)]
pub enum Requester {
    /// The image's config.
    Config,
    /// A program that starts another, or a script that becomes one.
    File(String),
    /// The `#!` line of a script.
    Line(String),
    /// A script that may or may not become it.
    Perhaps,
}

impl Requester {
    /// The same, of what the file at a real path starts.
    pub fn through(&self, path: &str) -> Requester {
        match self {
            Requester::Perhaps => Requester::Perhaps,
            _ => Requester::File(format!("/{path}")),
        }
    }

    /// What a search came to that found no program at a path; nothing where nobody insists on it.
    pub fn misses(&self, path: &str, reason: &str) -> Option<Finding> {
        let finding = match self {
            Requester::Perhaps => return None,
            Requester::Config => PROGRAM_NOT_FOUND.finding(
                format!("{reason}, and is what the image would start"),
                "copy it there, or name what is there: entrypoint = [\"…\"]",
            ),
            Requester::File(by) => PROGRAM_NOT_FOUND.finding(
                format!("{reason}, and is what {by} would start"),
                "copy it there, or let it start what is there",
            ),
            Requester::Line(by) if path.ends_with('\r') => INTERPRETER_MISSING.finding(
                format!(
                    "is not in the image: the first line of {by} ends in a carriage return, which is part of the name"
                ),
                "end its lines as Unix does: `sed -i 's/\\r$//' FILE`",
            ),
            Requester::Line(by) => INTERPRETER_MISSING.finding(
                format!("{reason}, and is what the first line of {by} names"),
                "take a base that has it, or write the script for one that is there",
            ),
        };
        Some(finding.in_file(path.trim_end_matches('\r')))
    }
}

/// Why there is no file at a path.
pub fn why_not(tree: &RootFs, path: &str) -> String {
    let target = match tree.at(path) {
        Some(Node::Link(target)) => Some(target),
        _ => None,
    };
    match (tree.resolve(path), target) {
        (Err(_), _) => "is a link without an end, or below a file".to_owned(),
        (Ok(real), _) if matches!(tree.get(&real), Some(Node::Dir(_))) || real.is_empty() => "is a folder".to_owned(),
        (Ok(real), _) if tree.get(&real).is_some() => "is a device or a pipe".to_owned(),
        (Ok(_), Some(target)) => format!("is a link to {target}, which is not in the image"),
        (Ok(_), None) => "is not in the image".to_owned(),
    }
}

/// What was found on the way.
#[derive(Debug, Default)]
pub struct ExecChain {
    /// What ENTRYPOINT, or CMD without one, begins with; as it is found.
    pub program: Option<String>,
    /// The ELF files that run, each once.
    pub programs: Vec<StartedProgram>,
    pub findings: Vec<Finding>,
}

/// A program that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedProgram {
    /// Its real path, from the root without a leading slash.
    pub path: String,
    /// As whom; none where nobody can say.
    pub user: Option<User>,
}

/// The kernel's limit of `#!` lines that lead to each other, and bounds for all the rest.
const MOST_LINES: usize = 5;
const DEEPEST: usize = 16;
const MOST_STEPS: usize = 500;

/// Follows the config's command.
pub fn follow(root: &ExecContext<'_>) -> ExecChain {
    let config = root.config.config().as_ref();
    let entrypoint = config.and_then(|config| config.entrypoint().clone()).unwrap_or_default();
    let cmd = config.and_then(|config| config.cmd().clone()).unwrap_or_default();
    let words = [entrypoint, cmd].concat();
    let mut follower = Follower {
        root: root.seen_by(root.user.clone()),
        under_way: Vec::new(),
        over: Vec::new(),
        way: ExecChain::default(),
    };
    match words.is_empty() {
        true => follower.way.findings.push(NO_ENTRYPOINT.finding(
            "its config names no program: it has neither ENTRYPOINT nor CMD",
            "say what it starts: entrypoint = [\"/usr/local/bin/app\"]",
        )),
        false => follower.step(&words, &Requester::Config, 0, 0),
    }
    follower.way
}

struct Follower<'a> {
    /// As whoever runs now sees it.
    root: ExecContext<'a>,
    /// The steps that are not over, from the first.
    under_way: Vec<Step>,
    over: Vec<Step>,
    way: ExecChain,
}

/// Words that are run: whether that is sure, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    words: Vec<String>,
    sure: bool,
    user: Option<User>,
}

/// Stands for a word that only a running shell knows.
const UNKNOWN: &str = "$";

impl<'a> Follower<'a> {
    fn step(&mut self, words: &[String], asker: &Requester, depth: usize, lines: usize) {
        let sure = !matches!(asker, Requester::Perhaps);
        let step = Step { words: words.to_vec(), sure, user: self.root.user.clone() };
        let (Some(name), false) = (words.first(), self.over.contains(&step)) else { return };
        // What is sure has no branches.
        let is_enough = !sure && self.over.len() + self.under_way.len() >= MOST_STEPS;
        if is_enough || name == UNKNOWN {
            return;
        }
        if self.under_way.contains(&step) || depth > DEEPEST || lines > MOST_LINES {
            let reason = "leads to itself, by `#!` lines or as an argument of its own";
            self.find(asker, NOT_A_PROGRAM.finding(reason, "let it lead to a program").in_file(name));
            return;
        }
        self.under_way.push(step);
        self.run(name, &words[1..], asker, depth, lines);
        self.over.extend(self.under_way.pop());
    }

    fn run(&mut self, name: &str, arguments: &[String], asker: &Requester, depth: usize, lines: usize) {
        let Some(Place { asked, path, file }) = self.look_up(name, asker) else { return };
        if depth == 0 {
            self.way.program = Some(format!("/{path}"));
        }
        if !self.is_allowed(&asked, &path, file, asker) {
            return;
        }
        match &file.content {
            Content::Program(program) => match &program.elf {
                Some(elf) if elf.is_complete && elf.executable => {
                    let running = StartedProgram { path: path.clone(), user: self.root.user.clone() };
                    if !self.way.programs.contains(&running) {
                        self.way.programs.push(running);
                    }
                    self.started(&path, name, arguments, asker, depth);
                }
                Some(elf) if elf.is_complete => self.not_a_program(&path, "is an ELF file, and no executable", asker),
                _ => self.not_a_program(&path, "is an ELF file that ends early", asker),
            },
            Content::Script(script) => self.script(&path, script, arguments, asker, depth, lines),
            _ if file.size == 0 => self.not_a_program(&path, "is empty", asker),
            // A shell that cannot execute a file reads it as a script.
            _ if matches!(asker, Requester::File(_) | Requester::Perhaps) => {}
            _ => self.not_a_program(&path, "is neither an ELF file nor a script with `#!` on its first line", asker),
        }
    }

    /// The file behind a word of a command.
    fn look_up(&mut self, name: &str, asker: &Requester) -> Option<Place<'a>> {
        let root = &self.root;
        if name.contains('/') {
            let path = root.absolute(name);
            let found = root.file(&path).map(|(real, file)| Place { asked: path.clone(), path: real, file });
            if found.is_none() {
                self.way.findings.extend(asker.misses(&path, &why_not(root.tree, &path)));
            }
            return found;
        }
        let in_folder = |folder: String| {
            let asked = format!("{folder}/{name}");
            let (path, file) = root.file(&asked)?;
            Some(Place { asked, path, file })
        };
        let mut found: Vec<Place<'a>> = root.path().into_iter().filter_map(in_folder).collect();
        if found.is_empty() {
            let mut paths = root.path().into_iter().map(|folder| format!("{folder}/{name}"));
            let dangling = paths.find(|path| matches!(root.tree.at(path), Some(Node::Link(_))));
            let finding = match dangling {
                Some(path) => asker.misses(&path, &why_not(root.tree, &path)),
                None => asker.misses(name, &format!("is in no folder of PATH ({})", root.path().join(":"))),
            };
            self.way.findings.extend(finding);
            return None;
        }
        let may =
            |place: &Place<'_>| root.may(&place.file.attributes, EXECUTE) && root.closed_folder(&place.asked).is_none();
        let executable = found.iter().position(may);
        Some(found.swap_remove(executable.unwrap_or(0)))
    }

    /// May the user run the file? With a finding where not.
    fn is_allowed(&mut self, asked: &str, path: &str, file: &File, asker: &Requester) -> bool {
        // A script's interpreter opens it.
        let bits: &[u32] = if matches!(file.content, Content::Script(_)) { &[EXECUTE, READ] } else { &[EXECUTE] };
        let lacking = self.lacking_rights(asked, path, file, bits);
        let is_allowed = lacking.is_none();
        lacking.into_iter().for_each(|finding| self.find(asker, finding));
        is_allowed
    }

    /// Whether a folder on the way is closed to the user, or the first of some bits of the file's mode is lacking.
    fn lacking_rights(&self, asked: &str, path: &str, file: &File, bits: &[u32]) -> Option<Finding> {
        let (root, shown) = (&self.root, format!("/{path}"));
        if let Some(folder) = root.closed_folder(asked) {
            return Some(root.closed(&folder, &shown));
        }
        let lacking = bits.iter().find(|bit| !root.may(&file.attributes, **bit))?;
        let (who, mode) = (root.who(), describe(&file.attributes));
        let reason = match *lacking {
            EXECUTE => format!("may not be executed by {who}: its mode is {mode}"),
            _ => format!("is a script that {who} may not read: its mode is {mode}"),
        };
        let fix = "copy it with `--chmod=0755`, or with mode = \"0755\" in `files`";
        Some(NOT_EXECUTABLE.finding(reason, fix).in_file(shown))
    }

    fn not_a_program(&mut self, path: &str, reason: &str, asker: &Requester) {
        let fix = "see what it is where the image is made: `file PATH`; was it copied whole?";
        self.find(asker, NOT_A_PROGRAM.finding(reason, fix).in_file(format!("/{path}")));
    }

    fn find(&mut self, asker: &Requester, finding: Finding) {
        if !matches!(asker, Requester::Perhaps) {
            self.way.findings.push(finding);
        }
    }

    /// What a program does with its arguments, where it is known to start another.
    fn started(&mut self, path: &str, name: &str, arguments: &[String], asker: &Requester, depth: usize) {
        let by = asker.through(path);
        match exec_wrappers::started(name, arguments) {
            Started::Nothing => {}
            Started::Program(words) => self.step(&words, &by, depth + 1, 0),
            Started::ProgramAs(user, words) => {
                let user = user.and_then(|user| self.root.user_named(&user));
                let before = std::mem::replace(&mut self.root.user, user);
                self.step(&words, &by, depth + 1, 0);
                self.root.user = before;
            }
            // Where it is then looked for, nobody can say.
            Started::Elsewhere(words) => self.step(&words, &Requester::Perhaps, depth + 1, 0),
            Started::CommandLine(text) => {
                shell::runs(&text).iter().for_each(|exec| self.exec(exec, &[], path, &by, depth));
            }
            Started::Script(script, rest) => self.read_by_shell(path, &script, &rest, &by, depth),
        }
    }

    /// A file that a shell was given: it is read, whatever its first line says.
    fn read_by_shell(&mut self, shell: &str, name: &str, arguments: &[String], by: &Requester, depth: usize) {
        if name == UNKNOWN {
            return;
        }
        let mut asked = self.root.absolute(name);
        // bash looks further (bash(1), "ARGUMENTS").
        if self.root.file(&asked).is_none() && !name.contains('/') && shell.ends_with("bash") {
            let in_path = self.root.path().into_iter().map(|folder| format!("{folder}/{name}"));
            asked = in_path.into_iter().find(|path| self.root.file(path).is_some()).unwrap_or(asked);
        }
        let Some((path, file)) = self.root.file(&asked) else {
            self.way.findings.extend(by.misses(&asked, &why_not(self.root.tree, &asked)));
            return;
        };
        if let Some(finding) = self.lacking_rights(&asked, &path, file, &[READ]) {
            return self.find(by, finding);
        }
        match &file.content {
            Content::Program(_) => self.not_a_program(&path, "is a program, and a shell is to read it as a script", by),
            Content::Script(script) => {
                let script = script.clone();
                script.execs.iter().for_each(|exec| self.exec(exec, arguments, &path, by, depth));
            }
            _ => {}
        }
    }

    fn script(
        &mut self,
        path: &str,
        script: &Script,
        arguments: &[String],
        asker: &Requester,
        depth: usize,
        lines: usize,
    ) {
        let line = script.line.trim_matches([' ', '\t']);
        let (interpreter, argument) = match line.split_once([' ', '\t']) {
            Some((interpreter, argument)) => (interpreter, Some(argument.trim_start_matches([' ', '\t']))),
            None => (line, None),
        };
        if interpreter.is_empty() {
            self.not_a_program(path, "is a script whose first line names no interpreter", asker);
            return;
        }
        let argument = argument.map(str::to_owned);
        let words: Vec<String> =
            [interpreter.to_owned()].into_iter().chain(argument).chain([format!("/{path}")]).collect();
        let by = match asker {
            Requester::Perhaps => Requester::Perhaps,
            _ => Requester::Line(format!("/{path}")),
        };
        let before = self.way.findings.len();
        self.interpreter(&words, &by, depth, lines);
        if self.way.findings.len() == before {
            script.execs.iter().for_each(|exec| self.exec(exec, arguments, path, asker, depth));
        }
    }

    /// The program of a `#!` line; that of `env`'s arguments is what the line means.
    fn interpreter(&mut self, words: &[String], by: &Requester, depth: usize, lines: usize) {
        let name = words.first().map(|name| name.rsplit('/').next().unwrap_or_default().to_owned());
        if name.as_deref() != Some("env") {
            // A shell is not followed into the script again.
            return self.step(&words[..1], by, depth + 1, lines + 1);
        }
        self.step(&words[..1], by, depth + 1, lines + 1);
        let env = self.root.file(&words[0]).filter(|(path, _)| path.ends_with("busybox"));
        if let Some((path, _)) = env.filter(|_| exec_wrappers::is_split(&words[1..])) {
            let reason = format!("is {}, and busybox's env has no -S, which the script's first line has", words[0]);
            let fix = "name the program itself, as in `#!/bin/sh -e`, or take a base with GNU's env";
            self.find(by, INTERPRETER_MISSING.finding(reason, fix).in_file(format!("/{path}")));
        }
        if let Started::Program(inner) = exec_wrappers::started("env", &words[1..]) {
            self.step(&inner[..1], by, depth + 1, lines + 1);
        }
    }

    /// What a script becomes: `"$@"` stands for its own arguments.
    fn exec(&mut self, exec: &shell::Exec, arguments: &[String], script: &str, asker: &Requester, depth: usize) {
        let mut words = Vec::new();
        for word in &exec.words {
            match word.as_str() {
                "$@" | "${@}" | "$*" | "${1+$@}" => words.extend(arguments.iter().cloned()),
                word if word.contains(['$', '`', '*', '~', '?']) => words.push(UNKNOWN.to_owned()),
                word => words.push(word.to_owned()),
            }
        }
        let by = if exec.always { asker.through(script) } else { Requester::Perhaps };
        self.step(&words, &by, depth + 1, 0);
    }
}

/// Where a program is.
struct Place<'a> {
    /// As it is looked for, from the root.
    asked: String,
    /// Its real path, without a leading slash.
    path: String,
    file: &'a File,
}
