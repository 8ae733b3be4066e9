//! What a shell script becomes: the programs that it replaces itself with, as far as that can be read without running it
//! (POSIX.1-2024, XCU 2). What depends on a condition or on an expansion is said to. Pure.

use serde::{Deserialize, Serialize};

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
/// What a shell does by itself.
const BUILTINS: &[&str] = &[
    ":", ".", "source", "[", "[[", "alias", "cd", "declare", "echo", "eval", "export", "false", "getopts", "hash",
    "local", "printf", "pwd", "read", "readonly", "set", "shift", "shopt", "test", "trap", "true", "type", "ulimit",
    "umask", "unalias", "unset", "wait",
];

/// The `exec` lines of a script, up to the first that always is.
pub fn execs(script: &str) -> Vec<Exec> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut moved = Moved::default();
    for command in commands(script) {
        let mut words = command.words.as_slice();
        while let Some((first, rest)) = words.split_first() {
            match first.as_str() {
                word if OPENING.contains(&word) => depth += 1,
                word if CLOSING.contains(&word) => depth = depth.saturating_sub(1),
                word if LEADING.contains(&word) || is_assignment(word) => {}
                _ => break,
            }
            words = rest;
        }
        moved.note(&command.words);
        let always = depth == 0 && !command.conditional;
        match words.split_first() {
            Some((first, rest)) if first == "exec" => {
                let words = program(rest);
                let always = always && moved.finds(&words);
                if words.is_empty() {
                    continue;
                }
                if found.len() < MOST_EXECS {
                    found.push(Exec { words, always });
                }
                if always {
                    return found;
                }
            }
            Some((first, _)) if always && (first == "exit" || first == "return") => return found,
            _ => {}
        }
        moved.keep(&command.words);
    }
    found
}

/// The first program that `sh -c SCRIPT` runs, where nothing decides about it but what a shell does by itself.
pub fn first(script: &str) -> Option<Exec> {
    let mut moved = Moved::default();
    for command in commands(script) {
        moved.note(&command.words);
        let words: Vec<String> = command.words.into_iter().skip_while(|word| is_assignment(word)).collect();
        match words.first().map(String::as_str) {
            None => {}
            Some(word) if OPENING.contains(&word) || LEADING.contains(&word) || word == "exit" => return None,
            Some("exec") => {
                let words = program(&words[1..]);
                if !words.is_empty() {
                    return Some(Exec { always: moved.finds(&words), words });
                }
            }
            Some(word) if BUILTINS.contains(&word) => {}
            Some(_) => return Some(Exec { always: moved.finds(&words), words: program(&words) }),
        }
    }
    None
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

#[derive(Debug, Default, PartialEq, Eq)]
struct Command {
    words: Vec<String>,
    /// It follows `&&`, `||` or `|`.
    conditional: bool,
}

/// The simple commands of a script, in the order in which they are written.
fn commands(script: &str) -> Vec<Command> {
    let mut reader = Reader { chars: script.chars().collect(), at: 0, commands: vec![Command::default()], word: None };
    reader.read();
    reader.commands.retain(|command| !command.words.is_empty());
    reader.commands
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    commands: Vec<Command>,
    /// The word that is being read; a quoted one may be empty.
    word: Option<String>,
}

impl Reader {
    fn read(&mut self) {
        while let Some(c) = self.next() {
            match c {
                ' ' | '\t' | '\r' => self.end_word(),
                '#' if self.word.is_none() => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1
                    }
                }
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c) => self.push(c),
                },
                '\'' => self.quoted('\''),
                '"' => self.quoted('"'),
                '<' if self.peek() == Some('<') => self.heredoc(),
                // What `$( )` holds is a matter of the expansion.
                '$' if self.peek() == Some('(') => self.substitution(),
                // `2>&1` and `&>file` are words of redirections.
                '&' if self.word.as_deref().is_some_and(|word| word.ends_with(['>', '<']))
                    || self.peek() == Some('>') =>
                {
                    self.push('&');
                }
                '\n' | ';' | '(' | ')' => self.end_command(false),
                '&' | '|' => {
                    let conditional = c == '|' || self.peek() == Some('&');
                    if self.peek() == Some(c) {
                        self.at += 1;
                    }
                    self.end_command(conditional);
                }
                c => self.push(c),
            }
        }
        self.end_word();
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn end_word(&mut self) {
        if let (Some(word), Some(command)) = (self.word.take(), self.commands.last_mut()) {
            command.words.push(word);
        }
    }

    fn end_command(&mut self, conditional: bool) {
        self.end_word();
        self.commands.push(Command { words: Vec::new(), conditional });
    }

    fn quoted(&mut self, quote: char) {
        self.word.get_or_insert_default();
        while let Some(c) = self.next() {
            match c {
                c if c == quote => return,
                '\\' if quote == '"' => {
                    if let Some(c) = self.next().filter(|c| *c != '\n') {
                        self.push(c);
                    }
                }
                c => self.push(c),
            }
        }
    }

    fn substitution(&mut self) {
        let mut depth = 0;
        self.push('$');
        while let Some(c) = self.next() {
            self.push(c);
            depth += i32::from(c == '(') - i32::from(c == ')');
            if depth == 0 {
                return;
            }
        }
    }

    /// Leaves out the lines of a here-document, up to the word that ends it.
    fn heredoc(&mut self) {
        self.at += 1;
        let rest: String = self.chars[self.at..].iter().collect();
        let line = rest.split('\n').next().unwrap_or_default();
        let word: String =
            line.trim_start_matches(['-', '<', ' ']).chars().take_while(|c| !c.is_whitespace() && *c != ';').collect();
        let end = word.trim_matches(['\'', '"', '\\']);
        let mut length = line.chars().count();
        for body in rest.split('\n').skip(1) {
            length += 1 + body.chars().count();
            if body.trim_start_matches('\t') == end {
                break;
            }
        }
        self.at = (self.at + length).min(self.chars.len());
        self.end_word();
    }
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
    fn what_a_command_line_runs_first() {
        for (script, expected) in [
            ("app --port $PORT", Some("app --port $PORT")),
            ("exec /app \"$@\"", Some("/app $@")),
            ("cd /srv && RUST_LOG=info ./app | tee /log", Some("./app ?")),
            ("export A=b; umask 022\nmigrate && app", Some("migrate")),
            ("if x; then app; fi", None),
            ("echo hello", None),
            ("", None),
        ] {
            assert_eq!(said(first(script)).first().map(String::as_str), expected, "{script}");
        }
    }
}
