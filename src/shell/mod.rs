//! What a shell script becomes: the programs that it replaces itself with, as far as that can be read without running it
//! (POSIX.1-2024, XCU 2). What depends on a condition or on an expansion is said to. Pure.

pub mod commands;

use serde::{Deserialize, Serialize};

use self::commands::{Joint, commands};

/// A program that a script runs in its own place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Without their quotes; expansions as they are written.
    pub words: Vec<String>,
    /// No condition, loop or function is around it.
    pub always: bool,
}

/// Longer scripts are programs of their own.
const MOST_EXECS: usize = 50;

/// What opens and closes something that may be left out or done again.
const OPENING: &[&str] = &["if", "case", "for", "while", "until", "select", "{"];
const CLOSING: &[&str] = &["fi", "esac", "done", "}"];
/// Words before a command that leave it one.
const LEADING: &[&str] = &["then", "else", "elif", "do", "!", "time", "command", "builtin"];
/// What a shell does by itself, and what comes of it may be either.
const TESTING: &[&str] =
    &["[", "[[", "false", "getopts", "hash", "jobs", "kill", "let", "read", "test", "type", "wait"];
/// What a shell does by itself, and does well.
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
    BUILTINS.contains(&word) || TESTING.contains(&word)
}

/// What a script becomes: its `exec` lines up to the first that always is one, or without such a one the last program
/// that it runs.
pub fn execs(script: &str) -> Vec<Exec> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut moved = Moved::default();
    let mut functions = Vec::new();
    let mut last = None;
    for command in commands(script) {
        let mut words = command.words.as_slice();
        while let Some((first, rest)) = words.split_first() {
            words = match first.as_str() {
                word if OPENING.contains(&word) => {
                    depth += 1;
                    rest
                }
                word if CLOSING.contains(&word) => {
                    depth = depth.saturating_sub(1);
                    rest
                }
                "function" => rest.get(1..).unwrap_or_default(),
                word if LEADING.contains(&word) || is_assignment(word) => rest,
                _ => break,
            };
        }
        functions.extend(command.function().map(str::to_owned));
        moved.note(&command.words);
        let always = depth == 0 && command.joint == Joint::Next;
        match words.split_first() {
            Some((first, rest)) if first == "exec" => {
                let words = program(rest);
                let always = always && moved.finds(&words);
                if !words.is_empty() {
                    if found.len() < MOST_EXECS {
                        found.push(Exec { words, always });
                    }
                    if always {
                        return found;
                    }
                    last = None;
                }
            }
            Some((first, _)) if always && (first == "exit" || first == "return") => return found,
            // What follows it does not make it another program.
            Some((first, _)) if is_builtin(first) => {
                if let Some(Exec { always, .. }) = &mut last {
                    *always = false;
                }
            }
            Some((first, _)) if depth == 0 && !command.is_function && !first.starts_with('-') => {
                let words = program(words);
                let always = always && !command.in_background && moved.finds(&words);
                last = Some(Exec { words, always }).filter(|_| !functions.contains(first));
            }
            _ => {}
        }
        moved.keep(&command.words);
    }
    found.extend(last);
    found
}

/// What `sh -c SCRIPT` runs, up to the first program that it always does; nothing where more than what a shell does by
/// itself decides about it.
pub fn runs(script: &str) -> Vec<Exec> {
    let mut found = Vec::new();
    let mut moved = Moved::default();
    let mut before = String::new();
    for command in commands(script) {
        moved.note(&command.words);
        let sure = match command.joint {
            Joint::Next | Joint::Pipe => true,
            Joint::And => !TESTING.contains(&before.as_str()) && found.is_empty(),
            Joint::Or => false,
        };
        if command.function().is_some() {
            return found;
        }
        let words: Vec<String> = command.words.into_iter().skip_while(|word| is_assignment(word)).collect();
        let program = match words.first().map(String::as_str) {
            None => Vec::new(),
            Some(word) if OPENING.contains(&word) || LEADING.contains(&word) => return found,
            Some("exit") if sure => return found,
            Some("exec") => program(&words[1..]),
            Some(word) if is_builtin(word) => Vec::new(),
            Some(_) => program(&words),
        };
        if !program.is_empty() {
            found.push(Exec { always: sure && moved.finds(&program), words: program });
            if sure {
                return found;
            }
        }
        before = words.first().cloned().unwrap_or_default();
    }
    found
}

/// What a script has changed of where programs are looked for.
#[derive(Debug, Default)]
struct Moved {
    path: bool,
    folder: bool,
    arguments: bool,
    /// Words with a slash: what a script writes first, it may start then.
    named: Vec<String>,
}

impl Moved {
    fn note(&mut self, words: &[String]) {
        self.path |=
            words.iter().any(|word| word.starts_with("PATH=") || word == "." || word == "source" || word == "eval");
        let sets = |pair: &[String]| pair[0] == "set" && pair[1] == "--";
        self.arguments |= words.iter().any(|word| word == "shift") || words.windows(2).any(sets);
        self.folder |= words.iter().any(|word| word == "cd" || word == "pushd");
    }

    /// Keeps what a command names, once it is done.
    fn keep(&mut self, words: &[String]) {
        let paths =
            words.iter().map(|word| word.trim_start_matches(|c: char| c.is_ascii_digit() || "<>&|".contains(c)));
        self.named.extend(paths.filter(|word| word.contains('/')).map(str::to_owned));
    }

    /// Is a program still found where it was before the script began?
    fn finds(&self, words: &[String]) -> bool {
        if words.iter().any(|word| self.named.contains(word) || (self.arguments && word.contains("$@"))) {
            return false;
        }
        match words.first() {
            Some(word) if word.starts_with('/') => true,
            Some(word) if word.contains('/') => !self.folder,
            _ => !self.path,
        }
    }
}

/// The program of `exec`'s words and its arguments: without options and redirections.
fn program(words: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let operator = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
        match operator.strip_prefix(['<', '>']) {
            // The file is the next word.
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

    fn said(execs: impl IntoIterator<Item = Exec>) -> Vec<String> {
        let said = |exec: Exec| format!("{}{}", exec.words.join(" "), if exec.always { "" } else { " ?" });
        execs.into_iter().map(said).collect()
    }

    #[test]
    fn what_a_script_becomes() {
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
            assert_eq!(said(execs(script)), *expected, "{script}");
        }
    }

    #[test]
    fn what_a_command_line_runs() {
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
            assert_eq!(said(runs(script)), *expected, "{script}");
        }
    }
}
