//! What a container's start leads to: from ENTRYPOINT and CMD through PATH, links, `#!` lines, shells and the programs
//! that start others, to every ELF file on the way (image-spec, config.md; execve(2)). Pure.

use super::root::{EXECUTE, READ, Root, describe};
use super::wrappers::{self, Started};
use crate::finding::{Finding, INTERPRETER_MISSING, NO_ENTRYPOINT, NOT_A_PROGRAM, NOT_EXECUTABLE, PROGRAM_NOT_FOUND};
use crate::image::shell;
use crate::image::tree::{Content, File, Node, Script, clean};

/// What was found on the way.
#[derive(Debug, Default)]
pub struct Way {
    /// What ENTRYPOINT, or CMD without one, begins with; as it is found.
    pub program: Option<String>,
    /// The ELF files that run, each once, by their real paths from the root.
    pub programs: Vec<String>,
    pub findings: Vec<Finding>,
}

/// Who asks for a program: what is wrong where it is not there, and whether that is sure.
#[derive(Debug, Clone)]
enum Asker {
    /// The image's config.
    Config,
    /// A program that starts another, or a script that becomes one.
    File(String),
    /// The `#!` line of a script.
    Line(String),
    /// A script that may or may not become it.
    Perhaps,
}

/// The kernel's limit of `#!` lines that lead to each other, and a bound for all the rest.
const MOST_STEPS: usize = 16;
const MOST_LINES: usize = 5;

/// Follows the config's command.
pub fn follow<'a>(root: &'a Root<'a>) -> Way {
    let config = root.config.config().as_ref();
    let entrypoint = config.and_then(|config| config.entrypoint().clone()).unwrap_or_default();
    let cmd = config.and_then(|config| config.cmd().clone()).unwrap_or_default();
    let words = [entrypoint, cmd].concat();
    let mut follower = Follower { root, way: Way::default() };
    match words.is_empty() {
        true => follower.way.findings.push(NO_ENTRYPOINT.finds(
            "its config names no program: it has neither ENTRYPOINT nor CMD",
            "say what it starts: entrypoint = [\"/usr/local/bin/app\"]",
        )),
        false => follower.step(&words, &Asker::Config, 0, 0),
    }
    follower.way
}

struct Follower<'a> {
    root: &'a Root<'a>,
    way: Way,
}

impl<'a> Follower<'a> {
    fn step(&mut self, words: &[String], asker: &Asker, depth: usize, lines: usize) {
        let Some((name, arguments)) = words.split_first() else { return };
        if depth > MOST_STEPS || lines > MOST_LINES {
            let reason = "leads to itself, by `#!` lines or as an argument of its own";
            self.find(asker, NOT_A_PROGRAM.finds(reason, "let it lead to a program").at(name));
            return;
        }
        let Some((path, file)) = self.look_up(name, asker) else { return };
        if depth == 0 {
            self.way.program = Some(format!("/{path}"));
        }
        if !self.is_allowed(&path, file, asker) {
            return;
        }
        match &file.content {
            Content::Program(program) => match &program.elf {
                Some(elf) if elf.whole && elf.executable => {
                    if !self.way.programs.contains(&path) {
                        self.way.programs.push(path.clone());
                    }
                    self.started(&path, name, arguments, depth);
                }
                Some(elf) if elf.whole => self.not_a_program(&path, "is an ELF file, and no executable", asker),
                _ => self.not_a_program(&path, "is an ELF file that ends early", asker),
            },
            Content::Script(script) => self.script(&path, script, arguments, asker, depth, lines),
            _ if file.size == 0 => self.not_a_program(&path, "is empty", asker),
            // A shell that cannot execute a file reads it as a script.
            _ if matches!(asker, Asker::File(_) | Asker::Perhaps) => {}
            _ => self.not_a_program(&path, "is neither an ELF file nor a script with `#!` on its first line", asker),
        }
    }

    /// The file behind a word of a command, and its real path.
    fn look_up(&mut self, name: &str, asker: &Asker) -> Option<(String, &'a File)> {
        let root = self.root;
        if name.contains('/') {
            let path = root.absolute(name);
            if let Some(found) = root.file(&path) {
                return Some(found);
            }
            let reason = self.why_not(&path);
            self.missing(&path, &reason, asker);
            return None;
        }
        let mut found: Vec<(String, &'a File)> =
            root.path().iter().filter_map(|folder| root.file(&format!("{folder}/{name}"))).collect();
        if found.is_empty() {
            let dangling = root.path().iter().map(|folder| format!("{folder}/{name}")).find(|path| {
                let link =
                    root.tree.resolve(&clean_parent(path)).ok().and_then(|above| root.tree.get(&join(&above, name)));
                matches!(link, Some(Node::Link(_)))
            });
            match dangling {
                Some(path) => {
                    let reason = self.why_not(&path);
                    self.missing(&path, &reason, asker);
                }
                None => self.missing(name, &format!("is in no folder of PATH ({})", root.path().join(":")), asker),
            }
            return None;
        }
        let executable = found
            .iter()
            .position(|(path, file)| root.may(&file.attributes, EXECUTE) && root.closed_folder(path, false).is_none());
        Some(found.swap_remove(executable.unwrap_or(0)))
    }

    /// Why there is no file at a path.
    fn why_not(&self, path: &str) -> String {
        let tree = self.root.tree;
        let link = tree
            .resolve(&clean_parent(path))
            .ok()
            .map(|above| join(&above, path.rsplit('/').next().unwrap_or_default()));
        let target = match link.as_deref().and_then(|link| tree.get(link)) {
            Some(Node::Link(target)) => Some(target),
            _ => None,
        };
        match (tree.resolve(path), target) {
            (Err(_), _) => "is a link without an end, or below a file".to_owned(),
            (Ok(real), _) if matches!(tree.get(&real), Some(Node::Dir(_))) || real.is_empty() => {
                "is a folder".to_owned()
            }
            (Ok(real), _) if tree.get(&real).is_some() => "is a device or a pipe".to_owned(),
            (Ok(_), Some(target)) => format!("is a link to {target}, which is not in the image"),
            (Ok(_), None) => "is not in the image".to_owned(),
        }
    }

    fn missing(&mut self, path: &str, reason: &str, asker: &Asker) {
        let finding = match asker {
            Asker::Perhaps => return,
            Asker::Config => PROGRAM_NOT_FOUND.finds(
                format!("{reason}, and is what the image would start"),
                "copy it there, or name what is there: entrypoint = [\"…\"]",
            ),
            Asker::File(by) => PROGRAM_NOT_FOUND.finds(
                format!("{reason}, and is what {by} would start"),
                "copy it there, or let it start what is there",
            ),
            Asker::Line(by) if path.ends_with('\r') => INTERPRETER_MISSING.finds(
                format!(
                    "is not in the image: the first line of {by} ends in a carriage return, which is part of the name"
                ),
                "end its lines as Unix does: `sed -i 's/\\r$//' FILE`",
            ),
            Asker::Line(by) => INTERPRETER_MISSING.finds(
                format!("{reason}, and is what the first line of {by} names"),
                "take a base that has it, or write the script for one that is there",
            ),
        };
        self.way.findings.push(finding.at(path.trim_end_matches('\r')));
    }

    /// May the user run the file? With a finding where not.
    fn is_allowed(&mut self, path: &str, file: &File, asker: &Asker) -> bool {
        let (root, shown) = (self.root, format!("/{path}"));
        let finding = match root.closed_folder(path, false) {
            Some(folder) => root.closed(&folder, &shown),
            None if !root.may(&file.attributes, EXECUTE) => NOT_EXECUTABLE
                .finds(
                    format!("may not be executed by {}: its mode is {}", root.who(), describe(&file.attributes)),
                    "copy it with `--chmod=0755`, or with mode = \"0755\" in `files`",
                )
                .at(shown),
            // Its interpreter opens it.
            None if matches!(file.content, Content::Script(_)) && !root.may(&file.attributes, READ) => NOT_EXECUTABLE
                .finds(
                    format!("is a script that {} may not read: its mode is {}", root.who(), describe(&file.attributes)),
                    "copy it with `--chmod=0755`, or with mode = \"0755\" in `files`",
                )
                .at(shown),
            None => return true,
        };
        self.find(asker, finding);
        false
    }

    fn not_a_program(&mut self, path: &str, reason: &str, asker: &Asker) {
        let fix = "see what it is where the image is made: `file PATH`; was it copied whole?";
        self.find(asker, NOT_A_PROGRAM.finds(reason, fix).at(format!("/{path}")));
    }

    fn find(&mut self, asker: &Asker, finding: Finding) {
        if !matches!(asker, Asker::Perhaps) {
            self.way.findings.push(finding);
        }
    }

    /// What a program does with its arguments, where it is known to start another.
    fn started(&mut self, path: &str, name: &str, arguments: &[String], depth: usize) {
        match wrappers::started(name, arguments) {
            Started::Nothing => {}
            Started::Program(words) => self.step(&words, &Asker::File(format!("/{path}")), depth + 1, 0),
            Started::CommandLine(text) => {
                if let Some(exec) = shell::first(&text) {
                    self.exec(&exec, &[], path, depth);
                }
            }
            Started::Script(script, rest) => self.read_by_shell(path, &script, &rest, depth),
        }
    }

    /// A file that a shell was given: it is read, whatever its first line says.
    fn read_by_shell(&mut self, shell: &str, name: &str, arguments: &[String], depth: usize) {
        let path = self.root.absolute(name);
        match self.root.file(&path) {
            Some((real, file)) => {
                if let Content::Script(script) = &file.content {
                    let (script, real) = (script.clone(), real.clone());
                    script.execs.iter().for_each(|exec| self.exec(exec, arguments, &real, depth));
                }
            }
            None => {
                let reason = self.why_not(&path);
                self.missing(&path, &reason, &Asker::File(format!("/{shell}")));
            }
        }
    }

    fn script(&mut self, path: &str, script: &Script, arguments: &[String], asker: &Asker, depth: usize, lines: usize) {
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
            Asker::Perhaps => Asker::Perhaps,
            _ => Asker::Line(format!("/{path}")),
        };
        let before = self.way.findings.len();
        self.interpreter(&words, &by, depth, lines);
        if self.way.findings.len() == before {
            script.execs.iter().for_each(|exec| self.exec(exec, arguments, path, depth));
        }
    }

    /// The program of a `#!` line; that of `env`'s arguments is what the line means.
    fn interpreter(&mut self, words: &[String], by: &Asker, depth: usize, lines: usize) {
        let name = words.first().map(|name| name.rsplit('/').next().unwrap_or_default().to_owned());
        if name.as_deref() != Some("env") {
            // A shell is not followed into the script again.
            return self.step(&words[..1], by, depth + 1, lines + 1);
        }
        self.step(&words[..1], by, depth + 1, lines + 1);
        if let Started::Program(inner) = wrappers::started("env", &words[1..]) {
            self.step(&inner[..1], by, depth + 1, lines + 1);
        }
    }

    /// What a script becomes: `"$@"` stands for its own arguments.
    fn exec(&mut self, exec: &shell::Exec, arguments: &[String], script: &str, depth: usize) {
        let mut words = Vec::new();
        for word in &exec.words {
            match word.as_str() {
                "$@" | "${@}" | "$*" | "${1+$@}" => words.extend(arguments.iter().cloned()),
                word => words.push(word.to_owned()),
            }
        }
        if words.first().is_none_or(|word| word.contains(['$', '`', '*', '~', '?'])) {
            return;
        }
        let asker = if exec.always { Asker::File(format!("/{script}")) } else { Asker::Perhaps };
        self.step(&words, &asker, depth + 1, 0);
    }
}

fn join(folder: &str, name: &str) -> String {
    crate::image::tree::join(folder, name)
}

/// The folder of a path as it is written.
fn clean_parent(path: &str) -> String {
    crate::image::tree::parent(&clean(path)).to_owned()
}
