//! Splits cargo's stderr into errors, and determines which crate and targets each error refers to.

/// An error from cargo or rustc, including the lines that follow it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CargoError {
    /// The name of the affected crate, once it is known.
    pub name: Option<String>,
    pub text: String,
}

impl CargoError {
    pub(crate) fn has(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    /// Reports whether a build script failed.
    pub(crate) fn is_script(&self) -> bool {
        self.text.starts_with(SCRIPT)
    }

    /// Reports whether a linker failed or is missing.
    pub(crate) fn is_link(&self) -> bool {
        ["error: linking with `", "error: linker `"].iter().any(|start| self.text.starts_with(start))
    }

    /// Returns the first text that appears between `before` and `after` on the same line.
    pub(crate) fn between(&self, before: &str, after: &str) -> Option<&str> {
        self.text.lines().find_map(|line| {
            let (_, rest) = line.split_once(before)?;
            Some(rest.split_once(after)?.0)
        })
    }

    /// Returns the triples that the error mentions. If it mentions several, returns only those that it describes as the
    /// target.
    pub(crate) fn triples<'a>(&self, all: &[&'a str]) -> Vec<&'a str> {
        let text = self.text.to_ascii_lowercase().replace('_', "-");
        let mentioned: Vec<&str> = all.iter().filter(|triple| mentions(&text, triple)).copied().collect();
        // Ignore `rustlib/<host>` paths from the toolchain, which would otherwise look like a target directory.
        let paths = self.text.replace("rustlib/", "rustlib ");
        let is_target =
            |triple: &&&str| self.has(&format!("TARGET = {triple}")) || paths.contains(&format!("/{triple}/"));
        let targets: Vec<&str> = mentioned.iter().filter(is_target).copied().collect();
        if mentioned.len() > 1 && !targets.is_empty() { targets } else { mentioned }
    }
}

/// Reports whether `text` contains `triple` as a whole, and not just as the start of a longer triple. `text` must use
/// `-` instead of `_`.
fn mentions(text: &str, triple: &str) -> bool {
    let triple = triple.replace('_', "-");
    text.match_indices(&triple).any(|(at, _)| {
        let next = text[at + triple.len()..].bytes().next();
        next.is_none_or(|byte| !byte.is_ascii_alphanumeric())
    })
}

const SCRIPT: &str = "error: failed to run custom build command for `";
const CRATE: &str = "error: could not compile `";

/// The errors in cargo's output, which is parsed line by line.
#[derive(Debug, Default)]
pub(crate) struct CargoErrors {
    errors: Vec<CargoError>,
    /// Whether the next line may be part of the last error.
    is_open: bool,
}

impl CargoErrors {
    /// Parses the next line of cargo's output.
    pub(crate) fn push(&mut self, line: &str) {
        let line = anstream::adapter::strip_str(line).to_string();
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| line.starts_with(prefix));
        if starts(&["error: ", "error["]) {
            self.is_open = true;
            let name = line.strip_prefix(SCRIPT).or_else(|| line.strip_prefix(CRATE));
            let name = name.and_then(|rest| rest.split(['`', ' ']).next()).map(str::to_owned);
            if line.starts_with(CRATE) {
                // Add the crate's name to rustc's errors, which are printed before cargo names the crate.
                let unnamed = self.errors.iter_mut().rev().take_while(|error| error.name.is_none());
                unnamed.for_each(|error| error.name.clone_from(&name));
            }
            self.errors.push(CargoError { name, text: String::new() });
        } else if starts(&["warning", "   Compiling ", "    Finished "]) {
            self.is_open = false;
        }
        if let (true, Some(error)) = (self.is_open, self.errors.last_mut()) {
            error.text.push_str(&line);
            error.text.push('\n');
        }
    }

    /// Returns the distinct crates that failed, in the order in which cargo reported them.
    pub(crate) fn crates(&self) -> Vec<&str> {
        let mut crates: Vec<&str> = Vec::new();
        for name in self.errors.iter().filter_map(|error| error.name.as_deref()) {
            if !crates.contains(&name) {
                crates.push(name);
            }
        }
        crates
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &CargoError> {
        self.errors.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_output_into_errors_with_crate_names() {
        let mut blocks = CargoErrors::default();
        let lines = "   Compiling a v1\n\u{1b}[1m\u{1b}[91merror\u{1b}[0m: linking with `cc` failed\n  = note: x\n\n\
            error: could not compile `a` (bin \"a\") due to 1 previous error\n\
            warning: build failed, waiting for other jobs to finish...\n  ignored\n\
            error: failed to run custom build command for `ring v0.17.8`\n  --- stderr\n  error: inside\n\
            error[E0433]: failed to resolve";
        lines.lines().for_each(|line| blocks.push(line));
        let found: Vec<(Option<&str>, usize)> =
            blocks.iter().map(|block| (block.name.as_deref(), block.text.lines().count())).collect();
        assert_eq!(found, [(Some("a"), 3), (Some("a"), 1), (Some("ring"), 3), (None, 1)]);
        assert_eq!(blocks.crates(), ["a", "ring"]);
    }

    #[test]
    fn finds_the_targets_that_an_error_mentions() {
        const ARM64: &str = "aarch64-unknown-linux-gnu";
        const ARMV6: &str = "arm-unknown-linux-gnueabi";
        const ARMV6HF: &str = "arm-unknown-linux-gnueabihf";
        const HOST: &str = "x86_64-unknown-linux-gnu";
        for (text, expected) in [
            ("CC_aarch64_unknown_linux_gnu = None", &[ARM64][..]),
            ("AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_DIR unset", &[ARM64]),
            ("$HOST = x86_64-unknown-linux-gnu\n$TARGET = aarch64-unknown-linux-gnu", &[ARM64]),
            ("out of /target/arm-unknown-linux-gnueabihf/release", &[ARMV6HF]),
            ("nothing", &[]),
        ] {
            let block = CargoError { name: None, text: text.to_owned() };
            assert_eq!(block.triples(&[ARM64, ARMV6, ARMV6HF, HOST]), expected, "{text}");
        }
    }
}
