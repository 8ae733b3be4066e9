//! Finds the programs that a shell script runs as its main process, without executing the script (POSIX.1-2024, XCU 2).
//! Commands that may not run, or may run a different file, are marked as uncertain.

pub(crate) mod commands;

use serde::{Deserialize, Serialize};

use self::commands::{Separator, simple_commands};

/// A program that a script runs as its main process, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScriptCommand {
    /// Words of the command, without quotes. Expansions such as `$@` are not expanded.
    pub words: Vec<String>,
    /// Whether every run of the script executes exactly this command.
    #[serde(rename = "always")]
    pub is_certain: bool,
}

/// Maximum number of `exec` commands to return for a script.
const MAX_COMMANDS: usize = 50;

/// Words that open a block whose commands may run any number of times.
const BLOCK_STARTS: &[&str] = &["if", "case", "for", "while", "until", "select", "{"];
/// Words that close a block.
const BLOCK_ENDS: &[&str] = &["fi", "esac", "done", "}"];
/// Keywords and builtins that may precede a command.
const COMMAND_PREFIXES: &[&str] = &["then", "else", "elif", "do", "!", "time", "command", "builtin"];
/// Builtins that often fail in normal operation, such as tests.
const TEST_BUILTINS: &[&str] =
    &["[", "[[", "false", "getopts", "hash", "jobs", "kill", "let", "read", "test", "type", "wait"];
/// Builtins that are expected to succeed.
const BUILTINS: &[&str] = &[
    ":",
    ".",
    "alias",
    "bg",
    "break",
    "cd",
    "continue",
    "declare",
    "dirs",
    "disown",
    "echo",
    "eval",
    "exit",
    "export",
    "fg",
    "local",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "source",
    "times",
    "trap",
    "true",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
];

fn is_builtin(word: &str) -> bool {
    BUILTINS.contains(&word) || TEST_BUILTINS.contains(&word)
}

/// Returns the programs that a script may run as its main process: the `exec` commands up to the first certain one,
/// followed by the last program if none of the `exec` commands is certain.
pub(crate) fn final_commands(script: &str) -> Vec<ScriptCommand> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut lookup = LookupState::default();
    let mut functions = Vec::new();
    let mut last = None;
    for command in simple_commands(script) {
        let words = skip_keywords(&command.words, &mut depth);
        functions.extend(command.defined_function().map(str::to_owned));
        lookup.note_changes(&command.words);
        let is_reached = depth == 0 && command.separator == Separator::Next;
        match words.split_first() {
            Some((first, rest)) if first == "exec" => {
                let words = program_words(rest);
                let is_certain = is_reached && lookup.still_finds(&words);
                if !words.is_empty() {
                    if found.len() < MAX_COMMANDS {
                        found.push(ScriptCommand { words, is_certain });
                    }
                    if is_certain {
                        return found;
                    }
                    last = None;
                }
            }
            Some((first, _)) if is_reached && (first == "exit" || first == "return") => return found,
            // The script continues with a builtin after the last program, so that program may not be its main process.
            Some((first, _)) if is_builtin(first) => {
                if let Some(ScriptCommand { is_certain, .. }) = &mut last {
                    *is_certain = false;
                }
            }
            Some((first, _)) if depth == 0 && !command.is_function_name && !first.starts_with('-') => {
                if functions.contains(first) {
                    last = None;
                } else {
                    let words = program_words(words);
                    let is_certain = is_reached && !command.in_background && lookup.still_finds(&words);
                    last = Some(ScriptCommand { words, is_certain });
                }
            }
            _ => {}
        }
        lookup.note_paths(&command.words);
    }
    found.extend(last);
    found
}

/// Skips keywords and assignments before a command, and updates the number of open blocks.
fn skip_keywords<'a>(mut words: &'a [String], depth: &mut usize) -> &'a [String] {
    while let Some((first, rest)) = words.split_first() {
        words = match first.as_str() {
            word if BLOCK_STARTS.contains(&word) => {
                *depth += 1;
                rest
            }
            word if BLOCK_ENDS.contains(&word) => {
                *depth = depth.saturating_sub(1);
                rest
            }
            "function" => rest.get(1..).unwrap_or_default(),
            word if COMMAND_PREFIXES.contains(&word) || is_assignment(word) => rest,
            _ => break,
        };
    }
    words
}

/// Returns the programs that `sh -c COMMAND_LINE` runs, up to the first certain one. Stops at functions and control
/// structures, because the programs that they run cannot be predicted.
pub(crate) fn command_line_programs(command_line: &str) -> Vec<ScriptCommand> {
    let mut found = Vec::new();
    let mut lookup = LookupState::default();
    let mut previous = String::new();
    for command in simple_commands(command_line) {
        lookup.note_changes(&command.words);
        let is_reached = match command.separator {
            Separator::Next | Separator::Pipe => true,
            Separator::And => !TEST_BUILTINS.contains(&previous.as_str()) && found.is_empty(),
            Separator::Or => false,
        };
        if command.defined_function().is_some() {
            return found;
        }
        let words: Vec<String> = command.words.into_iter().skip_while(|word| is_assignment(word)).collect();
        let program = match words.first().map(String::as_str) {
            None => Vec::new(),
            Some(word) if BLOCK_STARTS.contains(&word) || COMMAND_PREFIXES.contains(&word) => return found,
            Some("exit") if is_reached => return found,
            Some("exec") => program_words(&words[1..]),
            Some(word) if is_builtin(word) => Vec::new(),
            Some(_) => program_words(&words),
        };
        if !program.is_empty() {
            found.push(ScriptCommand { is_certain: is_reached && lookup.still_finds(&program), words: program });
            if is_reached {
                return found;
            }
        }
        previous = words.first().cloned().unwrap_or_default();
    }
    found
}

/// Changes made by a script that affect which file a command name refers to.
#[derive(Debug, Default)]
struct LookupState {
    path_changed: bool,
    directory_changed: bool,
    arguments_changed: bool,
    /// Paths that appear in earlier commands, which may have created or replaced the files there.
    mentioned_paths: Vec<String>,
}

impl LookupState {
    fn note_changes(&mut self, words: &[String]) {
        self.path_changed |=
            words.iter().any(|word| word.starts_with("PATH=") || word == "." || word == "source" || word == "eval");
        let sets_arguments = |pair: &[String]| pair[0] == "set" && pair[1] == "--";
        self.arguments_changed |= words.iter().any(|word| word == "shift") || words.windows(2).any(sets_arguments);
        self.directory_changed |= words.iter().any(|word| word == "cd" || word == "pushd");
    }

    /// Records the paths that a command mentions. Called only after the command has been checked against earlier paths.
    fn note_paths(&mut self, words: &[String]) {
        let paths =
            words.iter().map(|word| word.trim_start_matches(|c: char| c.is_ascii_digit() || "<>&|".contains(c)));
        self.mentioned_paths.extend(paths.filter(|word| word.contains('/')).map(str::to_owned));
    }

    /// Reports whether a command still runs the file that it would have run at the start of the script.
    fn still_finds(&self, words: &[String]) -> bool {
        let is_changed =
            |word: &String| self.mentioned_paths.contains(word) || (self.arguments_changed && word.contains("$@"));
        if words.iter().any(is_changed) {
            return false;
        }
        match words.first() {
            Some(word) if word.starts_with('/') => true,
            Some(word) if word.contains('/') => !self.directory_changed,
            _ => !self.path_changed,
        }
    }
}

/// Returns the program and arguments that `exec` runs, without redirections and the options of `exec` itself.
fn program_words(words: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let operator = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
        match operator.strip_prefix(['<', '>']) {
            // The redirection's file is a separate word.
            Some(rest) if rest.trim_start_matches(['<', '>', '&', '|']).is_empty() => drop(words.next()),
            Some(_) => {}
            None if kept.is_empty() && word == "-a" => drop(words.next()),
            None if kept.is_empty() && matches!(word.as_str(), "-c" | "-l" | "-cl" | "--") => {}
            None => kept.push(word.clone()),
        }
    }
    kept
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Joins the words of each command, and appends a `?` to uncertain commands.
    fn formatted(commands: Vec<ScriptCommand>) -> Vec<String> {
        let mut formatted = Vec::new();
        for command in commands {
            formatted.push(format!("{}{}", command.words.join(" "), if command.is_certain { "" } else { " ?" }));
        }
        formatted
    }

    #[test]
    fn final_commands_are_found_in_scripts() {
        let cases: &[(&str, &[&str])] = &[
            ("#!/bin/sh\nset -e\nexec \"$@\"\n", &["$@"]),
            ("exec app --flag 'a b' > /dev/stdout 2>&1\n", &["app --flag a b"]),
            ("exec 3>&1 4>&2\nexec >>/log 2>&1\nexec app", &["app"]),
            ("if [ \"$1\" = x ]; then\n  exec one\nfi\nexec two\nexec three\n", &["one ?", "two"]),
            ("[ -f /x ] && exec one\ntest -f /y || exec two\nexec three", &["one ?", "two ?", "three"]),
            ("main() {\n exec app\n}\nmain \"$@\"\n", &["app ?"]),
            ("function die {\n echo x\n exit 1\n}\nexec app", &["app"]),
            ("function use() {\n exec one\n}\nexec two", &["one ?", "two"]),
            ("read -r a b <<< 'x y'\nexec app", &["app"]),
            ("set -e\n/app \"$@\"\n", &["/app $@"]),
            ("one\ntwo --flag\n", &["two --flag"]),
            ("app &\nwait $!", &["app ?"]),
            ("app\nstatus=$?\necho done", &["app ?"]),
            ("[ -f /x ] && exec one\n[ -f /y ] &&\n  two", &["one ?", "two ?"]),
            ("if [ -f /x ]; then one; fi", &[]),
            ("args=(one two)\napp\nmore=(three)", &["app"]),
            ("( exec one ) 2>/dev/null\nexec two", &["one ?", "two"]),
            ("case $1 in\n  (a) exec one ;;\nesac\nexec two", &["one ?", "two"]),
            ("serve() {\n app\n}\nserve", &[]),
            ("command -v app >/dev/null || exit 1\nexec app", &["app"]),
            ("case $1 in\n  a|b) exec one ;;\n  *) exec two ;;\nesac\n", &["one ?", "two ?"]),
            ("cat <<EOF\nexec no\nEOF\nexec \\\n  yes it is # not this\n", &["yes it is"]),
            ("cat <<-'END' >x\n\texec no\n\tEND\nexec yes", &["yes"]),
            ("FOO=bar exec env -i app", &["env -i app"]),
            ("exec -a name app; exec other", &["app"]),
            ("x=$(exec no; echo)\necho \"exec no\"\nexit 0\nexec never", &[]),
            ("while true; do exec app; done", &["app ?"]),
            ("exec \"$(which app)\" x", &["$(which app) x"]),
            ("if [ \"$1\" = serve ]; then set -- /app \"$@\"; fi\nexec \"$@\"", &["$@ ?"]),
            ("set -e -- \nexec \"$@\"", &["$@"]),
            ("cat >/tmp/made <<E\nx\nE\nchmod +x /tmp/made\nexec sh /tmp/made", &["sh /tmp/made ?"]),
            ("{ exec app; }", &["app ?"]),
            ("PATH=/opt/bin:$PATH\ncd /srv\nexec app\nexec ./app\nexec /srv/app", &["app ?", "./app ?", "/srv/app"]),
            ("echo 'not ended", &[]),
        ];
        for (script, expected) in cases {
            assert_eq!(formatted(final_commands(script)), *expected, "{script}");
        }
    }

    #[test]
    fn programs_are_found_in_command_lines() {
        let cases: &[(&str, &[&str])] = &[
            ("app --port $PORT", &["app --port $PORT"]),
            ("exec /app \"$@\"", &["/app $@"]),
            ("cd /srv && RUST_LOG=info ./app | tee /log", &["./app ?"]),
            ("export A=b; umask 022\nmigrate && app", &["migrate"]),
            ("export A=b && app", &["app"]),
            ("[ -x /hook ] && /hook; exec /app", &["/hook ?", "/app"]),
            ("test -x /hook && /hook && /other; exec /app", &["/hook ?", "/other ?", "/app"]),
            ("[ -f /x ] || exit 1; app", &["app"]),
            ("exit 1; app", &[]),
            ("f() { echo hi; }; f", &[]),
            ("function f { echo hi; }; f", &[]),
            ("kill -0 1; let x=1; app", &["app"]),
            ("if x; then app; fi", &[]),
            ("echo hello", &[]),
            ("", &[]),
        ];
        for (script, expected) in cases {
            assert_eq!(formatted(command_line_programs(script)), *expected, "{script}");
        }
    }
}
