//! Errors for users: a message, hints on how to fix the problem, and a class that determines the exit code. `ui` prints
//! them.

use std::fmt;

use crate::secrets::mask;

/// A kind of failure, as described in [`EXIT_CODES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Other,
    Config,
    Toolchain,
    Compile,
    Engine,
    Registry,
    Verify,
    Interrupted,
}

impl Class {
    /// Returns the process's exit code for failures of this class.
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Class::Other => 1,
            Class::Config => 3,
            Class::Toolchain => 4,
            Class::Compile => 5,
            Class::Engine => 6,
            Class::Registry => 7,
            Class::Verify => 8,
            Class::Interrupted => 130,
        }
    }
}

/// An exit code, as documented in the help text, the man pages and docs/commands.md.
pub(crate) struct ExitCodeEntry {
    pub code: u8,
    pub name: &'static str,
    /// When the process exits with this code.
    pub meaning: &'static str,
}

/// All exit codes. They are stable across releases.
pub(crate) const EXIT_CODES: [ExitCodeEntry; 10] = {
    const fn entry(code: u8, name: &'static str, meaning: &'static str) -> ExitCodeEntry {
        ExitCodeEntry { code, name, meaning }
    }
    [
        entry(0, "done", "Success, possibly with warnings."),
        entry(Class::Other.exit_code(), "other", "Any other error, such as a full disk."),
        entry(2, "usage", "The command-line arguments are invalid."),
        entry(
            Class::Config.exit_code(),
            "configuration",
            "The manifest, the configuration or the value of a flag is invalid.",
        ),
        entry(
            Class::Toolchain.exit_code(),
            "toolchain",
            "A compiler, a linker or a target's standard library is missing.",
        ),
        entry(Class::Compile.exit_code(), "compile", "cargo or a program it ran failed."),
        entry(
            Class::Engine.exit_code(),
            "Docker",
            "Docker, the Docker daemon, buildx or a builder is missing or has failed.",
        ),
        entry(
            Class::Registry.exit_code(),
            "registry",
            "A registry was unreachable, rejected a request or sent an invalid response, or the version is already published.",
        ),
        entry(Class::Verify.exit_code(), "verification", "An image is corrupt, fails a check or cannot start."),
        entry(Class::Interrupted.exit_code(), "interrupted", "The run was stopped by Ctrl-C or SIGTERM."),
    ]
};

/// An error message for users, in lower case and without a full stop, with hints on how to fix the problem.
#[derive(Debug)]
pub(crate) struct Failure {
    class: Class,
    message: String,
    hints: Vec<String>,
}

impl Failure {
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Self {
        Failure { class, message: message.into(), hints: Vec::new() }
    }

    /// Adds a hint, which is printed as `hint: …`.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds a "did you mean" hint if one of the candidates resembles `word`.
    #[must_use]
    pub(crate) fn did_you_mean<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match closest_match(word, candidates) {
            Some(candidate) => self.hint(format!("did you mean '{candidate}'?")),
            None => self,
        }
    }

    /// Adds a "did you mean" hint if one of the candidates resembles `word`. Otherwise adds a hint that lists all
    /// candidates after `introduction`.
    #[must_use]
    pub(crate) fn did_you_mean_or_list<'a>(
        self,
        word: &str,
        candidates: impl IntoIterator<Item = &'a str>,
        introduction: &str,
    ) -> Self {
        let candidates: Vec<&str> = candidates.into_iter().collect();
        match closest_match(word, candidates.iter().copied()) {
            Some(_) => self.did_you_mean(word, candidates),
            None => self.hint(format!("{introduction}: {}", candidates.join(", "))),
        }
    }

    pub(crate) fn class(&self) -> Class {
        self.class
    }

    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Returns the class of the outermost [`Failure`] in an error's chain, or [`Class::Other`] if the chain has none.
pub(crate) fn failure_class(error: &anyhow::Error) -> Class {
    error.chain().find_map(|cause| cause.downcast_ref::<Failure>()).map_or(Class::Other, Failure::class)
}

/// Returns the hints of every [`Failure`] in an error's chain, outermost first.
pub(crate) fn all_hints(error: &anyhow::Error) -> Vec<&str> {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<Failure>())
        .flat_map(|failure| failure.hints().iter().map(String::as_str))
        .collect()
}

/// Joins the messages of an error and its causes into one line, as in `a: b: c`. Omits causes that the preceding
/// message already ends with, lowercases the first letter of each cause, removes full stops and masks secrets.
pub(crate) fn message_with_causes(error: &anyhow::Error) -> String {
    let mut joined = String::new();
    for cause in error.chain() {
        let message = cause.to_string();
        let message = message.trim().trim_end_matches('.');
        if joined.is_empty() {
            joined.push_str(message);
        } else if !joined.ends_with(message) {
            joined.push_str(": ");
            joined.push_str(&lowercase_first_letter(message));
        }
    }
    mask(&joined).into_owned()
}

/// Lowercases the first letter of text such as `No such file`, but leaves `HTTP 503` and `Cargo.lock` unchanged.
fn lowercase_first_letter(text: &str) -> String {
    let word = text.split(' ').next().unwrap_or_default();
    let mut letters = word.chars();
    match letters.next() {
        Some(first) if first.is_uppercase() && word.len() > 1 && letters.all(char::is_lowercase) => {
            format!("{}{}", first.to_lowercase(), &text[first.len_utf8()..])
        }
        _ => text.to_owned(),
    }
}

/// Returns a hint for the first I/O error in an error's chain.
pub(crate) fn io_error_hint(error: &anyhow::Error) -> Option<&'static str> {
    use std::io::ErrorKind::{NotADirectory, PermissionDenied, ReadOnlyFilesystem, StorageFull};
    match error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>())?.kind() {
        StorageFull => Some("free up disk space: `df -h` shows which file system is full"),
        PermissionDenied => Some("check the owner and permissions with `ls -ld`, and your user and groups with `id`"),
        ReadOnlyFilesystem => Some("choose another location: this file system is mounted read-only"),
        NotADirectory => Some("check the path: one of its parent directories is a file"),
        _ => None,
    }
}

/// Returns the candidate that `word` is most likely a typo of.
pub(crate) fn closest_match<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        // Words without any letters in common are not typos of each other.
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3 && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_are_distinguished_from_other_words() {
        let keys = ["base", "bins", "platforms"];
        assert_eq!(closest_match("bsae", keys), Some("base"));
        assert_eq!(closest_match("platform", keys), Some("platforms"));
        assert_eq!(closest_match("entrypoint", keys), None);
        assert_eq!(closest_match("c", ["a", "b"]), None);
    }

    #[test]
    fn causes_are_joined_into_one_sentence() {
        let chain = |causes: &[&str]| {
            let mut causes = causes.iter().rev().map(|cause| (*cause).to_owned());
            let innermost = anyhow::anyhow!(causes.next().unwrap());
            message_with_causes(&causes.fold(innermost, anyhow::Error::context))
        };
        for (causes, expected) in [
            (&["disk full"][..], "disk full"),
            (
                &["cannot write x", "No space left on device (os error 28)"],
                "cannot write x: no space left on device (os error 28)",
            ),
            (&["cannot read x: gone", "gone"], "cannot read x: gone"),
            (&["a", "Cargo.lock is outdated.", "HTTP 503"], "a: Cargo.lock is outdated: HTTP 503"),
            (&["Docker failed", "I am busy"], "Docker failed: I am busy"),
        ] {
            assert_eq!(chain(causes), expected);
        }
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(io_error_hint(&anyhow::Error::from(full).context("cannot write x")).unwrap().contains("df -h"));
        assert_eq!(io_error_hint(&anyhow::anyhow!("other")), None);
    }

    #[test]
    fn class_and_hints_are_found_below_context() {
        let error = anyhow::Error::from(Failure::new(Class::Registry, "down").hint("start it")).context("publishing");
        assert_eq!(failure_class(&error), Class::Registry);
        assert_eq!(all_hints(&error), ["start it"]);
        assert_eq!(failure_class(&anyhow::anyhow!("other")), Class::Other);
    }

    #[test]
    fn commands_page_lists_all_exit_codes() {
        let page = include_str!("../docs/commands.md");
        let rows: String = EXIT_CODES.iter().map(|exit| format!("| {} | {} |\n", exit.code, exit.meaning)).collect();
        let table = format!("| exit code | meaning |\n| --- | --- |\n{rows}\n");
        assert!(page.contains(&table), "docs/commands.md does not contain this table:\n{table}");
    }
}
