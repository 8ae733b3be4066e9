//! Failures that a user can meet: what is wrong, what to run next, and the exit code that says which kind it was.
//! Nothing here prints; `ui` does.

use std::fmt;

/// The kind of a failure; [`EXIT_CODES`] says when it is which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
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
    pub const fn exit_code(self) -> u8 {
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

/// What the process can end with, a word for it, and when it is. The codes do not change; the help, the manual pages and
/// README.md tell of them.
pub const EXIT_CODES: [(u8, &str, &str); 10] = [
    (0, "done", "All was done; warnings do not count."),
    (Class::Other.exit_code(), "other", "What no other code covers, such as a full disk."),
    // clap's.
    (2, "usage", "The arguments do not parse."),
    (
        Class::Config.exit_code(),
        "configuration",
        "The manifest, the configuration or a flag's value asks for what cannot be.",
    ),
    (Class::Toolchain.exit_code(), "toolchain", "A compiler, a linker or the standard library of a target is missing."),
    (Class::Compile.exit_code(), "compile", "cargo, or a program that it ran, failed."),
    (Class::Engine.exit_code(), "Docker", "Docker, its daemon, buildx or a builder is missing or failed."),
    (Class::Registry.exit_code(), "registry", "A registry cannot be reached, refuses, or answers nonsense."),
    (Class::Verify.exit_code(), "verification", "An image is not what it claims to be, or cannot start."),
    (Class::Interrupted.exit_code(), "interrupted", "Ctrl-C, or SIGTERM."),
];

/// What went wrong (lower case, no full stop) and what to do about it.
#[derive(Debug)]
pub struct Failure {
    class: Class,
    message: String,
    hints: Vec<String>,
}

impl Failure {
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Failure { class, message: message.into(), hints: Vec::new() }
    }

    /// Adds a line that is shown as `hint: …`.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Hints at the known word that `word` was probably meant to be, if there is one.
    #[must_use]
    pub fn did_you_mean<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match closest_match(word, known) {
            Some(near) => self.hint(format!("did you mean '{near}'?")),
            None => self,
        }
    }

    /// The same, and where no word is near all of them, after an introduction.
    #[must_use]
    pub fn did_you_mean_or_list<'a>(
        self,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
        introduction: &str,
    ) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match closest_match(word, known.iter().copied()) {
            Some(_) => self.did_you_mean(word, known),
            None => self.hint(format!("{introduction}: {}", known.join(", "))),
        }
    }

    pub fn class(&self) -> Class {
        self.class
    }

    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The exit code's class of an error: that of the outermost [`Failure`] in its chain.
pub fn failure_class(error: &anyhow::Error) -> Class {
    error.chain().find_map(|cause| cause.downcast_ref::<Failure>()).map_or(Class::Other, Failure::class)
}

/// The hints of every [`Failure`] in an error's chain, outermost first.
pub fn all_hints(error: &anyhow::Error) -> Vec<&str> {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<Failure>())
        .flat_map(|failure| failure.hints().iter().map(String::as_str))
        .collect()
}

/// An error and its causes as one sentence: no cause that the one before it has said, and capitals and full stops only
/// within.
pub fn message_with_causes(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain() {
        let words = cause.to_string();
        let words = words.trim().trim_end_matches('.');
        match said.is_empty() {
            true => said.push_str(words),
            false if said.ends_with(words) => {}
            false => said.push_str(&format!(": {}", lowercase_first_letter(words))),
        }
    }
    said
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

/// What to do about the operating system's refusal, if there was one.
pub fn io_error_hint(error: &anyhow::Error) -> Option<&'static str> {
    use std::io::ErrorKind::{NotADirectory, PermissionDenied, ReadOnlyFilesystem, StorageFull};
    match error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>())?.kind() {
        StorageFull => Some("make room: `df -h` says where there is none"),
        PermissionDenied => Some("see whose it is with `ls -ld`, and who you are with `id`"),
        ReadOnlyFilesystem => Some("it is on a file system that is mounted read-only: `findmnt` lists them"),
        NotADirectory => Some("a file is where a folder is wanted: move it away"),
        _ => None,
    }
}

/// The known word that `word` was probably meant to be.
pub fn closest_match<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        // With no letter in common they are two words.
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
}
