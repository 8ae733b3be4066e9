//! What a rendered template must be, whichever engine builds it: known instructions, a stage of the right name, the
//! binaries, and all that the configuration says.

use std::collections::BTreeSet;

use super::instructions::{INSTRUCTIONS, InstructionText, instructions};
use super::template::{TemplateText, quote};
use crate::error::{Class, Failure};
use crate::plan::{ImagePlatform, Template};

/// Fails for what would be found out after compiling, or never. `text` is what the template came to for a platform.
pub(crate) fn check(template: &TemplateText, text: &str, platform: &ImagePlatform) -> Result<(), Failure> {
    let name = &template.name;
    let instructions = instructions(text);
    check_stage_name(name, &instructions, &template.stage)?;
    if !text.contains(&format!("{}/", platform.platform)) {
        let message = format!("{name}: it does not copy the binaries of {}", platform.platform);
        return Err(Failure::new(Class::Config, message).hint("add: {% include \"contents\" %}"));
    }
    // A frontend or an escape character of the user's own has rules of its own.
    let has_directives = text.lines().take_while(|line| line.starts_with('#')).any(|line| line.contains('='));
    if !has_directives {
        check_keywords(template, &instructions)?;
    }
    match &platform.template {
        Template::File(_) => check_configured_keys(name, &instructions, &platform.container.explicit_keys),
        Template::BuiltIn(_) => Ok(()),
    }
}

fn check_keywords(template: &TemplateText, instructions: &[InstructionText<'_>]) -> Result<(), Failure> {
    let Some(unknown) = instructions.iter().find(|instruction| !instruction.is_one_of(INSTRUCTIONS)) else {
        return Ok(());
    };
    let location = template.locate(unknown.text.lines().next().unwrap_or_default());
    Err(Failure::new(Class::Config, format!("{location}: unknown instruction '{}'", unknown.keyword))
        .did_you_mean_or_list(
            &unknown.keyword.to_ascii_uppercase(),
            INSTRUCTIONS.iter().copied(),
            "the instructions are",
        ))
}

/// Fails if the template ignores a key that the configuration sets.
fn check_configured_keys(name: &str, instructions: &[InstructionText<'_>], keys: &[String]) -> Result<(), Failure> {
    let Some(key) = keys.iter().find(|key| !sets(instructions, key)) else { return Ok(()) };
    let keyword = ConfiguredKey::parse(key).keyword;
    let message = format!("{name}: the configuration sets {key}, and the template has no {keyword}");
    Err(Failure::new(Class::Config, message)
        .hint("add: {% include \"config\" %}")
        .hint("or take the key out of the configuration: `cargo multiarch dockerfile` shows what the template says"))
}

/// A key of the configuration, as a Dockerfile has it.
struct ConfiguredKey<'a> {
    /// The instruction that the key becomes.
    keyword: &'static str,
    /// The variable or label that the instruction sets; empty for other instructions.
    name: &'a str,
}

impl ConfiguredKey<'_> {
    fn parse(key: &str) -> ConfiguredKey<'_> {
        let (kind, name) = key.split_once('.').unwrap_or((key, ""));
        let keyword = match kind {
            "env" => "ENV",
            "labels" => "LABEL",
            "expose" => "EXPOSE",
            "volumes" => "VOLUME",
            "user" => "USER",
            "workdir" => "WORKDIR",
            "stop-signal" => "STOPSIGNAL",
            "healthcheck" => "HEALTHCHECK",
            "cmd" => "CMD",
            _ => "ENTRYPOINT",
        };
        ConfiguredKey { keyword, name }
    }

    /// Whether a word of an instruction sets the name. A variable may hold it.
    fn is_set_by(&self, word: &str) -> bool {
        let rest = word.trim_start_matches(['"', '\'']).strip_prefix(self.name);
        word.starts_with('$') || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', '"', '\'']))
    }
}

/// Whether some instruction sets a key of the configuration.
fn sets(instructions: &[InstructionText<'_>], key: &str) -> bool {
    let key = ConfiguredKey::parse(key);
    instructions.iter().filter(|instruction| instruction.is(key.keyword)).any(|instruction| {
        key.name.is_empty()
            || instruction.text.split_whitespace().any(|word| key.is_set_by(word))
            || instruction.text.contains(&quote(key.name))
    })
}

fn check_stage_name(name: &str, instructions: &[InstructionText<'_>], stage: &str) -> Result<(), Failure> {
    let last = instructions.iter().rfind(|instruction| instruction.is("FROM"));
    if last.and_then(declared_stage) == Some(stage) {
        return Ok(());
    }
    Err(Failure::new(Class::Config, format!("{name}: its last stage is not named '{stage}'"))
        .hint("begin it with: FROM {{ base }} AS {{ stage }}"))
}

/// The name that a FROM instruction gives its stage.
fn declared_stage<'a>(from: &'a InstructionText<'_>) -> Option<&'a str> {
    let words: Vec<&str> = from.text.split_whitespace().collect();
    match words[..] {
        [.., r#as, name] if r#as.eq_ignore_ascii_case("AS") => Some(name),
        _ => None,
    }
}

/// The ARG instructions before the first FROM.
pub(crate) fn args_before_from(text: &str) -> Vec<String> {
    let args = instructions(text).into_iter().take_while(|instruction| instruction.is("ARG"));
    args.map(|arg| arg.text).collect()
}

/// Fails if a platform's template has an ARG before FROM that the first platform's does not have: one Dockerfile holds
/// the stages of all platforms, and only what precedes the first of them applies to all.
pub(crate) fn check_args_before_from(name: &str, first: &[String], other: &[String]) -> Result<(), Failure> {
    let Some(arg) = other.iter().find(|arg| !first.contains(arg)) else { return Ok(()) };
    let message = format!("{name}: '{arg}' stands before FROM, and is not the same for all platforms");
    Err(Failure::new(Class::Config, message).hint("write the value where it is used: FROM {{ base }} AS {{ stage }}"))
}

/// Fails if two platforms declare a stage of the same name: one Dockerfile holds the stages of all platforms.
pub(crate) fn check_unique_stages(text: &str) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    for from in instructions(text).iter().filter(|instruction| instruction.is("FROM")) {
        if let Some(name) = declared_stage(from)
            && !names.insert(name.to_owned())
        {
            return Err(Failure::new(Class::Config, format!("stage '{name}' is there for more than one platform"))
                .hint(format!("make its name the platform's own: AS {{{{ stage }}}}-{name}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_must_be_named() {
        let check = |text| check_stage_name("t", &instructions(text), "want");
        assert!(check("FROM a AS s1\nFROM s1 as want\nRUN x").is_ok());
        assert!(check("FROM a AS want\nRUN cat <<EOF\nFROM b\nEOF").is_ok());
        assert!(check("FROM a AS want\nFROM b").is_err());
        assert!(check("").is_err());
    }

    #[test]
    fn keys_that_a_template_leaves_out() {
        for (text, key, found) in [
            ("USER 1", "user", true),
            ("user 1", "user", true),
            ("# USER 1", "user", false),
            ("ENV A=1 \\\n B=2", "env.B", true),
            ("ENV A B", "env.A", true),
            ("ENV BA=1 C=A", "env.A", false),
            ("LABEL \"a.b\"=\"c\"", "labels.a.b", true),
            ("LABEL a.bc=d", "labels.a.b", false),
            (r#"LABEL "a \"b\""=c"#, r#"labels.a "b""#, true),
            ("LABEL $KEY=d", "labels.a.b", true),
            ("HEALTHCHECK NONE", "healthcheck", true),
            ("ENTRYPOINT [\"CMD\"]", "cmd", false),
        ] {
            assert_eq!(sets(&instructions(text), key), found, "{text} {key}");
        }
    }
}
