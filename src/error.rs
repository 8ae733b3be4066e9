//! Errors for users: a message, hints that say what to run next, and a class that decides the exit code. Nothing here
//! prints; `ui` does.

use std::fmt;

/// The kind of a failure. [`EXIT_CODES`] explains each.
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
    /// The process's exit code.
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

/// An exit code, for the help, the manual pages and README.md.
pub(crate) struct ExitCodeEntry {
    pub code: u8,
    pub name: &'static str,
    /// When the process exits with it.
    pub meaning: &'static str,
}

/// All exit codes. They never change.
pub(crate) const EXIT_CODES: [ExitCodeEntry; 10] = {
    const fn entry(code: u8, name: &'static str, meaning: &'static str) -> ExitCodeEntry {
        ExitCodeEntry { code, name, meaning }
    }
    [
        entry(0, "done", "All was done; warnings do not count."),
        entry(Class::Other.exit_code(), "other", "What no other code covers, such as a full disk."),
        // clap's own.
        entry(2, "usage", "The arguments do not parse."),
        entry(
            Class::Config.exit_code(),
            "configuration",
            "The manifest, the configuration or a flag's value asks for what cannot be.",
        ),
        entry(
            Class::Toolchain.exit_code(),
            "toolchain",
            "A compiler, a linker or the standard library of a target is missing.",
        ),
        entry(Class::Compile.exit_code(), "compile", "cargo, or a program that it ran, failed."),
        entry(Class::Engine.exit_code(), "Docker", "Docker, its daemon, buildx or a builder is missing or failed."),
        entry(Class::Registry.exit_code(), "registry", "A registry cannot be reached, refuses, or answers nonsense."),
        entry(Class::Verify.exit_code(), "verification", "An image is not what it claims to be, or cannot start."),
        entry(Class::Interrupted.exit_code(), "interrupted", "Ctrl-C, or SIGTERM."),
    ]
};

/// What went wrong (in lower case, without a full stop) and how to fix it.
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

    /// Adds a line that is shown as `hint: …`.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the hint "did you mean", if one of the candidates resembles `word`.
    #[must_use]
    pub(crate) fn did_you_mean<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match closest_match(word, candidates) {
            Some(candidate) => self.hint(format!("did you mean '{candidate}'?")),
            None => self,
        }
    }

    /// Adds the hint "did you mean" or, if no candidate resembles `word`, a list of all candidates after an introduction.
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

/// Returns the class of the outermost [`Failure`] in an error's chain, [`Class::Other`] if it has none.
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

/// Joins the messages of an error and its causes, `a: b: c`. A cause that the message before it ends with is left out, and
/// each is made to fit into one sentence: lower case first, without a full stop.
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
    joined
}

/// `No such file` → `no such file`, but `HTTP 503` and `Cargo.lock` as they are.
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
        StorageFull => Some("make room: `df -h` says where there is none"),
        PermissionDenied => Some("see whose it is with `ls -ld`, and who you are with `id`"),
        ReadOnlyFilesystem => Some("it is on a file system that is mounted read-only: `findmnt` lists them"),
        NotADirectory => Some("a file is where a folder is wanted: move it away"),
        _ => None,
    }
}

/// Returns the candidate that `word` is probably a typo of.
pub(crate) fn closest_match<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        // Words without a letter in common are different words, not typos.
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3 && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_knows_a_typo_from_another_word() {
        let known = ["base", "bins", "platforms"];
        assert_eq!(closest_match("bsae", known), Some("base"));
        assert_eq!(closest_match("platform", known), Some("platforms"));
        assert_eq!(closest_match("entrypoint", known), None);
        assert_eq!(closest_match("c", ["a", "b"]), None);
    }

    #[test]
    fn causes_make_a_sentence() {
        let chain = |causes: &[&str]| {
            let mut causes = causes.iter().rev().map(|cause| (*cause).to_owned());
            let innermost = anyhow::anyhow!(causes.next().unwrap());
            message_with_causes(&causes.fold(innermost, anyhow::Error::context))
        };
        for (causes, expected) in [
            (&["it is full"][..], "it is full"),
            (
                &["cannot write x", "No space left on device (os error 28)"],
                "cannot write x: no space left on device (os error 28)",
            ),
            (&["cannot read x: gone", "gone"], "cannot read x: gone"),
            (&["a", "Cargo.lock is old.", "HTTP 503"], "a: Cargo.lock is old: HTTP 503"),
            (&["Docker says no", "I am busy"], "Docker says no: I am busy"),
        ] {
            assert_eq!(chain(causes), expected);
        }
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(io_error_hint(&anyhow::Error::from(full).context("cannot write x")).unwrap().contains("df -h"));
        assert_eq!(io_error_hint(&anyhow::anyhow!("other")), None);
    }

    #[test]
    fn class_and_hints_are_found_under_context() {
        let error = anyhow::Error::from(Failure::new(Class::Registry, "down").hint("start it")).context("publishing");
        assert_eq!(failure_class(&error), Class::Registry);
        assert_eq!(all_hints(&error), ["start it"]);
        assert_eq!(failure_class(&anyhow::anyhow!("other")), Class::Other);
    }

    #[test]
    fn exit_codes_are_all_in_the_readme() {
        let readme = include_str!("../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
        let codes: Vec<String> = EXIT_CODES.iter().map(|exit| format!("{} {}", exit.code, exit.name)).collect();
        let sentence = format!("Exit codes: {}.", codes.join(", "));
        assert!(readme.contains(&sentence), "README.md does not have: {sentence}");
    }
}
