//! Checks that a custom template copies the files and directories that the configuration adds to the image.

use camino::Utf8Path;

use super::instructions::InstructionText;
use crate::error::{Class, Failure};
use crate::platform::Platform;

/// A file or directory in the build context that a template has to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequiredCopy {
    /// The configuration key that adds it.
    pub key: &'static str,
    /// Path relative to the build context.
    pub source: String,
    /// Path in the image.
    pub target: String,
    /// Owner as `user[:group]`. `None` means root.
    pub owner: Option<String>,
    /// Whether a template may leave it out.
    pub is_optional: bool,
}

/// Returns an error for the first path that the template does not copy, or copies without its owner. `name` is the
/// template's name, rendered for `platform`.
pub(crate) fn check(
    name: &str,
    instructions: &[InstructionText<'_>],
    required: &[RequiredCopy],
    platform: Platform,
) -> Result<(), Failure> {
    for RequiredCopy { key, source, target, owner, is_optional } in required {
        // The source as written in a template for all platforms.
        let in_template = match source.strip_prefix(&format!("{platform}/")) {
            Some(rest) => format!("{{{{ platform }}}}/{rest}"),
            None => source.clone(),
        };
        let mut copies = instructions.iter().filter(|instruction| copies(instruction, source)).peekable();
        let contents = "add `{% include \"contents\" %}` to the template";
        if copies.peek().is_none() && !is_optional {
            let message = format!("{name}: the template does not copy {source}, which `{key}` adds");
            let chown = owner.as_ref().map(|owner| format!("--chown={owner} ")).unwrap_or_default();
            let failure = Failure::new(Class::Config, message)
                .hint(contents)
                .hint(format!("or copy it: `COPY {chown}{in_template} {target}`"));
            return Err(match *key {
                "ca-certificates" => failure.hint("or leave it out: ca-certificates = false"),
                _ => failure,
            });
        }
        if let Some(owner) = owner
            && copies.peek().is_some()
            && !copies.any(|copy| copy.text.contains("--chown="))
        {
            let message = format!("{name}: the template copies {source} without its owner, {owner}");
            return Err(Failure::new(Class::Config, message)
                .hint(contents)
                .hint(format!("or set the owner: `COPY --chown={owner} {in_template} {target}`")));
        }
    }
    Ok(())
}

/// Reports whether an instruction copies `source` from the build context. `true` if that cannot be determined.
pub(super) fn copies(instruction: &InstructionText<'_>, source: &str) -> bool {
    if instruction.is("RUN") {
        // It may copy the path from a bind mount of the build context.
        return instruction.text.contains("--mount") && instruction.text.contains("bind");
    }
    let sources = sources(instruction);
    sources.iter().any(|copied| copied.contains('$') || Utf8Path::new(source).starts_with(without_wildcards(copied)))
}

/// Returns the sources of a COPY or ADD instruction, relative to the build context.
fn sources(instruction: &InstructionText<'_>) -> Vec<String> {
    let words = instruction.text.split_whitespace().skip(1).filter(|word| *word != "\\");
    let (flags, words): (Vec<&str>, Vec<&str>) = words.partition(|word| word.starts_with("--"));
    if !instruction.is_one_of(&["COPY", "ADD"]) || flags.iter().any(|flag| flag.starts_with("--from=")) {
        return Vec::new();
    }
    let text = words.join(" ");
    let mut paths: Vec<String> =
        serde_json::from_str(&text).unwrap_or_else(|_| words.iter().map(|word| (*word).to_owned()).collect());
    paths.pop();
    paths
}

/// Returns a source without parts that name the build context itself, and without parts from the first wildcard on.
fn without_wildcards(source: &str) -> String {
    let parts = source.split('/').filter(|part| !matches!(*part, "" | "."));
    parts.take_while(|part| !part.contains(['*', '?', '['])).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::instructions::instructions;

    #[test]
    fn finds_the_instruction_that_copies_a_path() {
        for (line, expected) in [
            ("COPY system/etc/ssl/ca.crt /x", true),
            ("COPY --chmod=0644 [\"/system/etc\", \"/etc\"]", true),
            ("ADD a ./system/ \\\n b /etc/", true),
            ("copy . /", true),
            ("COPY system/et* /etc/", true),
            ("COPY $DIR /etc/", true),
            ("COPY systems /etc/", false),
            ("COPY a system", false),
            ("COPY rootfs/ /", false),
            ("COPY --from=other system /", false),
            ("RUN cp system/etc/ssl/ca.crt /x", false),
            ("RUN --mount=type=bind,target=/context cp /context/system/etc/ssl/ca.crt /x", true),
            ("ENV system=1", false),
        ] {
            let found = instructions(line).iter().any(|instruction| copies(instruction, "system/etc/ssl/ca.crt"));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn requires_the_owner() {
        let required = |owner: Option<&str>, is_optional| RequiredCopy {
            key: "files",
            source: "files/0/a".to_owned(),
            target: "/a".to_owned(),
            owner: owner.map(str::to_owned),
            is_optional,
        };
        let platform = "linux/amd64".parse().unwrap();
        for (line, owner, is_optional, expected) in [
            ("COPY files/0/a /a", None, false, true),
            ("COPY files/0/a /a", Some("7"), false, false),
            ("COPY --chown=7 files/0/a /a", Some("7"), false, true),
            ("COPY --chown=7 files/1/a /a", Some("7"), false, false),
            ("COPY --chown=7 files/1/a /a", Some("7"), true, true),
            ("COPY files/0/a /a", Some("7"), true, false),
        ] {
            let result = check("t", &instructions(line), &[required(owner, is_optional)], platform);
            assert_eq!(result.is_ok(), expected, "{line} {owner:?} {is_optional}");
        }
    }
}
