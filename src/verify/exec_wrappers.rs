//! Parses the command lines of programs that start another program, such as `tini`, `env` and shells.

use crate::oci::rootfs::file_name;

/// The command that a wrapper program or shell starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WrappedCommand {
    /// The wrapper starts no command, or one that cannot be determined.
    None,
    /// A program with its arguments.
    Program(Vec<String>),
    /// A program that runs as another user. The user is `None` if unknown.
    ProgramAs(Option<String>, Vec<String>),
    /// A program that is looked up in another PATH or from another directory.
    ProgramElsewhere(Vec<String>),
    /// A command line passed to a shell with `-c`.
    CommandLine(String),
    /// A script that a shell runs, with its arguments.
    Script(String, Vec<String>),
}

/// The command-line syntax of a program that starts another program.
struct ExecWrapper {
    names: &'static [&'static str],
    /// Options that are followed by a value.
    options_with_value: &'static [&'static str],
    /// Number of words between the options and the program.
    operands: usize,
    user_change: UserChange,
}

/// How a wrapper selects the user that its program runs as.
#[derive(Clone, Copy)]
enum UserChange {
    None,
    /// The first operand selects the user.
    FirstOperand,
    /// An option selects the user.
    Option(&'static str),
}

const WRAPPERS: &[ExecWrapper] = &[
    ExecWrapper {
        names: &["tini", "tini-static", "docker-init", "catatonit"],
        options_with_value: &["-p", "-e"],
        operands: 0,
        user_change: UserChange::None,
    },
    ExecWrapper {
        names: &["dumb-init"],
        options_with_value: &["-r", "--rewrite"],
        operands: 0,
        user_change: UserChange::None,
    },
    ExecWrapper {
        names: &["su-exec", "gosu", "s6-setuidgid"],
        options_with_value: &[],
        operands: 1,
        user_change: UserChange::FirstOperand,
    },
    ExecWrapper {
        names: &["nice"],
        options_with_value: &["-n", "--adjustment"],
        operands: 0,
        user_change: UserChange::None,
    },
    ExecWrapper { names: &["ionice"], options_with_value: &["-c", "-n"], operands: 0, user_change: UserChange::None },
    ExecWrapper { names: &["nohup", "setsid"], options_with_value: &[], operands: 0, user_change: UserChange::None },
    ExecWrapper {
        names: &["stdbuf"],
        options_with_value: &["-i", "-o", "-e"],
        operands: 0,
        user_change: UserChange::None,
    },
    ExecWrapper {
        names: &["timeout"],
        options_with_value: &["-s", "--signal", "-k", "--kill-after"],
        operands: 1,
        user_change: UserChange::None,
    },
    ExecWrapper {
        names: &["setpriv"],
        options_with_value: &[
            "--reuid",
            "--regid",
            "--ruid",
            "--rgid",
            "--euid",
            "--egid",
            "--groups",
            "--inh-caps",
            "--ambient-caps",
            "--bounding-set",
            "--securebits",
            "--pdeathsig",
        ],
        operands: 0,
        user_change: UserChange::Option("--reuid"),
    },
];

const SHELLS: &[&str] = &["sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"];

/// Returns the command that the program `name` starts when it runs with these arguments.
pub(crate) fn wrapped_command(name: &str, arguments: &[String]) -> WrappedCommand {
    match file_name(name) {
        "busybox" => match arguments.split_first() {
            Some((applet, rest)) => wrapped_command(applet, rest),
            None => WrappedCommand::None,
        },
        "env" => env_command(arguments),
        name if SHELLS.contains(&name) => shell_command(arguments),
        name => match WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&name)) {
            Some(wrapper) => wrapper.command(arguments),
            None => WrappedCommand::None,
        },
    }
}

impl ExecWrapper {
    fn command(&self, arguments: &[String]) -> WrappedCommand {
        let operands = skip_options(arguments, self.options_with_value);
        let program = match operands.get(self.operands..) {
            Some(words) if !words.is_empty() => words.to_vec(),
            _ => return WrappedCommand::None,
        };
        match self.user_change {
            UserChange::FirstOperand => WrappedCommand::ProgramAs(operands.first().cloned(), program),
            UserChange::Option(option) if arguments.iter().any(|word| word.starts_with(option)) => {
                WrappedCommand::ProgramAs(None, program)
            }
            UserChange::None | UserChange::Option(_) => WrappedCommand::Program(program),
        }
    }
}

fn skip_options<'a>(mut words: &'a [String], with_value: &[&str]) -> &'a [String] {
    while let Some((word, rest)) = words.split_first() {
        match word.as_str() {
            "--" => return rest,
            word if with_value.contains(&word) => words = rest.get(1..).unwrap_or_default(),
            word if word.starts_with('-') => words = rest,
            _ => break,
        }
    }
    words
}

/// Parses the arguments of env(1): options, variables and a program. `-S` splits a word into several.
fn env_command(arguments: &[String]) -> WrappedCommand {
    let mut words: Vec<String> = arguments.to_vec();
    let (mut changes_path, mut changes_dir, mut in_options) = (false, false, true);
    loop {
        let Some(word) = words.first().cloned() else { return WrappedCommand::None };
        if in_options && let Some(SplitString { text, words: used }) = SplitString::parse(&word, words.get(1)) {
            let split = text.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned());
            words = split.chain(words.into_iter().skip(used)).collect();
            continue;
        }
        changes_dir |= in_options && (word.starts_with("-C") || word.starts_with("--chdir"));
        changes_path |= word.starts_with("PATH=");
        match word.as_str() {
            "-u" | "--unset" | "-C" | "--chdir" if in_options => drop(words.drain(..2.min(words.len()))),
            "--" if in_options => {
                in_options = false;
                words.remove(0);
            }
            word if in_options && word.starts_with('-') => drop(words.remove(0)),
            word if word.contains('=') => {
                in_options = false;
                words.remove(0);
            }
            word => {
                let is_elsewhere =
                    if word.contains('/') { changes_dir && !word.starts_with('/') } else { changes_path };
                return if is_elsewhere {
                    WrappedCommand::ProgramElsewhere(words)
                } else {
                    WrappedCommand::Program(words)
                };
            }
        }
    }
}

/// Reports whether the first argument of `env` is `-S` in any of its forms.
pub(crate) fn splits_string(arguments: &[String]) -> bool {
    arguments.first().is_some_and(|word| SplitString::parse(word, arguments.get(1)).is_some())
}

/// The text that `env -S` splits into words. The option may end a group of short options, as in `-iS`.
struct SplitString {
    text: String,
    /// Number of arguments that the option and its text consist of.
    words: usize,
}

impl SplitString {
    fn parse(word: &str, next: Option<&String>) -> Option<SplitString> {
        let text = match word.strip_prefix("--split-string") {
            Some("") => "",
            Some(rest) => rest.strip_prefix('=')?,
            None => word.strip_prefix('-')?.trim_start_matches(['i', 'v', '0']).strip_prefix('S')?,
        };
        if text.is_empty() {
            Some(SplitString { text: next?.clone(), words: 2 })
        } else {
            Some(SplitString { text: text.to_owned(), words: 1 })
        }
    }
}

/// Parses the arguments of a shell: options, which may be combined as in `-ec`, and a command line or a script.
fn shell_command(arguments: &[String]) -> WrappedCommand {
    let mut words = arguments;
    while let Some((word, rest)) = words.split_first() {
        match word.as_str() {
            "-o" | "+o" | "-O" | "--rcfile" | "--init-file" => words = rest.get(1..).unwrap_or_default(),
            "--" => {
                words = rest;
                break;
            }
            word if word.starts_with('-') && !word.starts_with("--") && word.ends_with('c') => {
                let rest = skip_options(rest, &["-o"]);
                return match rest.first() {
                    Some(text) => WrappedCommand::CommandLine(text.clone()),
                    None => WrappedCommand::None,
                };
            }
            // The shell reads commands from standard input.
            "-s" | "-" => return WrappedCommand::None,
            word if word.starts_with(['-', '+']) => words = rest,
            _ => break,
        }
    }
    match words.split_first() {
        Some((script, rest)) => WrappedCommand::Script(script.clone(), rest.to_vec()),
        None => WrappedCommand::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_commands_of_wrapper_programs() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (line, expected) in [
            ("tini -g -p SIGTERM -- app --flag", "app --flag"),
            ("/sbin/tini app", "app"),
            ("dumb-init --rewrite 15:3 -v app", "app"),
            ("setpriv --no-new-privs app", "app"),
            ("timeout -s KILL 5 app", "app"),
            ("env -i -u C A=b app D=e", "app D=e"),
            ("env -S A=b app -x", "app -x"),
            ("env -- A=b app", "app"),
            ("env -vS app -x", "app -x"),
            ("env PATH=/opt /bin/app", "/bin/app"),
            ("env -C /srv app", "app"),
            ("env A=b app -S x", "app -S x"),
            ("busybox nice -n 5 app", "app"),
        ] {
            let all = words(line);
            assert_eq!(wrapped_command(&all[0], &all[1..]), WrappedCommand::Program(words(expected)), "{line}");
        }
        assert_eq!(
            wrapped_command("env", &["-S python3 -u".to_owned(), "x".to_owned()]),
            WrappedCommand::Program(words("python3 -u x"))
        );
        for (line, user, expected) in [
            ("su-exec nobody:nobody app -x", Some("nobody:nobody"), "app -x"),
            ("gosu 1000 app", Some("1000"), "app"),
            ("setpriv --reuid 1 --clear-groups app", None, "app"),
            ("setpriv --reuid=1 app", None, "app"),
        ] {
            let all = words(line);
            let expected = WrappedCommand::ProgramAs(user.map(str::to_owned), words(expected));
            assert_eq!(wrapped_command(&all[0], &all[1..]), expected, "{line}");
        }
        for line in ["env PATH=/opt app", "env -C /srv ./app", "env --chdir=/srv bin/app"] {
            let all = words(line);
            let expected = WrappedCommand::ProgramElsewhere(all.last().cloned().into_iter().collect());
            assert_eq!(wrapped_command(&all[0], &all[1..]), expected, "{line}");
        }
        let command = |text: &str| WrappedCommand::CommandLine(text.to_owned());
        assert_eq!(wrapped_command("/bin/sh", &["-ec".to_owned(), "app -x".to_owned()]), command("app -x"));
        assert_eq!(wrapped_command("bash", &words("-o pipefail -c app")), command("app"));
        assert_eq!(wrapped_command("busybox", &words("sh -c app")), command("app"));
        assert_eq!(
            wrapped_command("sh", &words("-e /run.sh a")),
            WrappedCommand::Script("/run.sh".to_owned(), words("a"))
        );
        for nothing in ["app x", "tini", "env A=b", "sh", "sh -s x", "busybox"] {
            let all = words(nothing);
            assert_eq!(wrapped_command(&all[0], &all[1..]), WrappedCommand::None, "{nothing}");
        }
    }
}
