//! Programs that start another: how each reads its arguments. Pure.

/// What a program starts.
#[derive(Debug, PartialEq, Eq)]
pub enum Started {
    /// Nothing that is known.
    Nothing,
    /// A program with its arguments.
    Program(Vec<String>),
    /// The same as another user, where it is plain which.
    ProgramAs(Option<String>, Vec<String>),
    /// A program that is looked for in another PATH, or from another folder.
    Elsewhere(Vec<String>),
    /// What a shell was given with `-c`.
    CommandLine(String),
    /// A file that a shell reads, and its arguments.
    Script(String, Vec<String>),
}

struct Wrapper {
    names: &'static [&'static str],
    /// Options that have their value in the next word.
    valued: &'static [&'static str],
    /// Words before the program that are not options.
    before: usize,
    becomes: Becomes,
}

/// Whom a program makes the one that it starts.
#[derive(Clone, Copy)]
enum Becomes {
    Same,
    /// Whom its first word names.
    First,
    /// Somebody, with this option.
    ByOption(&'static str),
}

const WRAPPERS: &[Wrapper] = &[
    Wrapper {
        names: &["tini", "tini-static", "docker-init", "catatonit"],
        valued: &["-p", "-e"],
        before: 0,
        becomes: Becomes::Same,
    },
    Wrapper { names: &["dumb-init"], valued: &["-r", "--rewrite"], before: 0, becomes: Becomes::Same },
    Wrapper { names: &["su-exec", "gosu", "s6-setuidgid"], valued: &[], before: 1, becomes: Becomes::First },
    Wrapper { names: &["nice"], valued: &["-n", "--adjustment"], before: 0, becomes: Becomes::Same },
    Wrapper { names: &["ionice"], valued: &["-c", "-n"], before: 0, becomes: Becomes::Same },
    Wrapper { names: &["nohup", "setsid"], valued: &[], before: 0, becomes: Becomes::Same },
    Wrapper { names: &["stdbuf"], valued: &["-i", "-o", "-e"], before: 0, becomes: Becomes::Same },
    Wrapper {
        names: &["timeout"],
        valued: &["-s", "--signal", "-k", "--kill-after"],
        before: 1,
        becomes: Becomes::Same,
    },
    Wrapper {
        names: &["setpriv"],
        valued: &[
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
        before: 0,
        becomes: Becomes::ByOption("--reuid"),
    },
];

const SHELLS: &[&str] = &["sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"];

/// What a program that is called by a name does with its arguments.
pub fn started(name: &str, arguments: &[String]) -> Started {
    match name.rsplit('/').next().unwrap_or_default() {
        "busybox" => match arguments.split_first() {
            Some((applet, rest)) => started(applet, rest),
            None => Started::Nothing,
        },
        "env" => env(arguments),
        name if SHELLS.contains(&name) => shell(arguments),
        name => match WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&name)) {
            Some(wrapper) => {
                let words = after_options(arguments, wrapper.valued);
                let program = program(words.get(wrapper.before..));
                match (program, wrapper.becomes) {
                    (Started::Program(rest), Becomes::First) => Started::ProgramAs(words.first().cloned(), rest),
                    (Started::Program(rest), Becomes::ByOption(option))
                        if arguments.iter().any(|word| word.starts_with(option)) =>
                    {
                        Started::ProgramAs(None, rest)
                    }
                    (program, _) => program,
                }
            }
            None => Started::Nothing,
        },
    }
}

fn program(words: Option<&[String]>) -> Started {
    match words {
        Some(words) if !words.is_empty() => Started::Program(words.to_vec()),
        _ => Started::Nothing,
    }
}

fn after_options<'a>(mut words: &'a [String], valued: &[&str]) -> &'a [String] {
    while let Some((word, rest)) = words.split_first() {
        match word.as_str() {
            "--" => return rest,
            word if valued.contains(&word) => words = rest.get(1..).unwrap_or_default(),
            word if word.starts_with('-') => words = rest,
            _ => break,
        }
    }
    words
}

/// env(1): options, then variables, then a program; `-S` splits one word into several.
fn env(arguments: &[String]) -> Started {
    let mut words: Vec<String> = arguments.to_vec();
    let (mut path, mut folder, mut options) = (false, false, true);
    loop {
        let Some(word) = words.first().cloned() else { return Started::Nothing };
        if options && let Some((text, taken)) = to_split(&word, words.get(1)) {
            let split = text.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned());
            words = split.chain(words.into_iter().skip(taken)).collect();
            continue;
        }
        folder |= options && (word.starts_with("-C") || word.starts_with("--chdir"));
        path |= word.starts_with("PATH=");
        match word.as_str() {
            "-u" | "--unset" | "-C" | "--chdir" if options => drop(words.drain(..2.min(words.len()))),
            "--" if options => {
                options = false;
                words.remove(0);
            }
            word if options && word.starts_with('-') => drop(words.remove(0)),
            word if word.contains('=') => {
                options = false;
                words.remove(0);
            }
            word => {
                let is_found = word.starts_with('/') || if word.contains('/') { !folder } else { !path };
                return if is_found { Started::Program(words) } else { Started::Elsewhere(words) };
            }
        }
    }
}

/// Does env's first argument have it split a text?
pub fn is_split(arguments: &[String]) -> bool {
    arguments.first().is_some_and(|word| to_split(word, arguments.get(1)).is_some())
}

/// The text that `-S` or a group of options that ends in it has split, and how many words it takes.
fn to_split(word: &str, next: Option<&String>) -> Option<(String, usize)> {
    let text = match word.strip_prefix("--split-string") {
        Some("") => "",
        Some(rest) => rest.strip_prefix('=')?,
        None => word.strip_prefix('-')?.trim_start_matches(['i', 'v', '0']).strip_prefix('S')?,
    };
    match text {
        "" => Some((next?.clone(), 2)),
        text => Some((text.to_owned(), 1)),
    }
}

/// A shell reads what follows `-c`, or a file; options may be joined, as in `-ec`.
fn shell(arguments: &[String]) -> Started {
    let mut words = arguments;
    while let Some((word, rest)) = words.split_first() {
        match word.as_str() {
            "-o" | "+o" | "-O" | "--rcfile" | "--init-file" => words = rest.get(1..).unwrap_or_default(),
            "--" => {
                words = rest;
                break;
            }
            word if word.starts_with('-') && !word.starts_with("--") && word.ends_with('c') => {
                let rest = after_options(rest, &["-o"]);
                return rest.first().map_or(Started::Nothing, |text| Started::CommandLine(text.clone()));
            }
            // It reads its standard input.
            "-s" | "-" => return Started::Nothing,
            word if word.starts_with(['-', '+']) => words = rest,
            _ => break,
        }
    }
    match words.split_first() {
        Some((script, rest)) => Started::Script(script.clone(), rest.to_vec()),
        None => Started::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_they_start() {
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
            assert_eq!(started(&all[0], &all[1..]), Started::Program(words(expected)), "{line}");
        }
        assert_eq!(
            started("env", &["-S python3 -u".to_owned(), "x".to_owned()]),
            Started::Program(words("python3 -u x"))
        );
        for (line, user, expected) in [
            ("su-exec nobody:nobody app -x", Some("nobody:nobody"), "app -x"),
            ("gosu 1000 app", Some("1000"), "app"),
            ("setpriv --reuid 1 --clear-groups app", None, "app"),
            ("setpriv --reuid=1 app", None, "app"),
        ] {
            let all = words(line);
            let expected = Started::ProgramAs(user.map(str::to_owned), words(expected));
            assert_eq!(started(&all[0], &all[1..]), expected, "{line}");
        }
        for line in ["env PATH=/opt app", "env -C /srv ./app", "env --chdir=/srv bin/app"] {
            let all = words(line);
            let expected = Started::Elsewhere(all.last().cloned().into_iter().collect());
            assert_eq!(started(&all[0], &all[1..]), expected, "{line}");
        }
        let command = |text: &str| Started::CommandLine(text.to_owned());
        assert_eq!(started("/bin/sh", &["-ec".to_owned(), "app -x".to_owned()]), command("app -x"));
        assert_eq!(started("bash", &words("-o pipefail -c app")), command("app"));
        assert_eq!(started("busybox", &words("sh -c app")), command("app"));
        assert_eq!(started("sh", &words("-e /run.sh a")), Started::Script("/run.sh".to_owned(), words("a")));
        for nothing in ["app x", "tini", "env A=b", "sh", "sh -s x", "busybox"] {
            let all = words(nothing);
            assert_eq!(started(&all[0], &all[1..]), Started::Nothing, "{nothing}");
        }
    }
}
