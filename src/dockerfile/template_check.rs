//! Checks rendered templates for mistakes that affect every engine: unknown instructions, wrong stage names, missing
//! binaries and files, and ignored settings.

use std::collections::BTreeSet;

use super::instructions::{INSTRUCTIONS, InstructionText, instructions};
use super::required_copy::{self, RequiredCopy};
use super::template::{TemplateText, quote};
use crate::error::{Class, Failure};
use crate::plan::{ImagePlatform, Template};

/// Checks a rendered template for errors that would otherwise be detected only after compiling, or not at all. `text`
/// is the rendered text for one platform, and `required` what it has to copy.
pub(crate) fn check(
    template: &TemplateText,
    text: &str,
    platform: &ImagePlatform,
    required: &[RequiredCopy],
) -> Result<(), Failure> {
    let name = &template.name;
    let instructions = instructions(text);
    check_stage_name(name, &instructions, &template.stage)?;
    if !text.contains(&format!("{}/", platform.platform)) {
        let message = format!("{name}: the template does not copy the binaries for {}", platform.platform);
        return Err(Failure::new(Class::Config, message).hint("add `{% include \"contents\" %}` to the template"));
    }
    // Skip the check if a directive selects another frontend or escape character, since either changes the syntax.
    let has_directives = text.lines().take_while(|line| line.starts_with('#')).any(|line| line.contains('='));
    if !has_directives {
        check_keywords(template, &instructions)?;
    }
    match &platform.template {
        Template::File(_) => {
            check_configured_keys(name, &instructions, &platform.container.explicit_keys)?;
            required_copy::check(name, &instructions, required, platform.platform)
        }
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
            "known instructions",
        ))
}

/// Returns an error if the template ignores a key that is set in the configuration.
fn check_configured_keys(name: &str, instructions: &[InstructionText<'_>], keys: &[String]) -> Result<(), Failure> {
    let Some(key) = keys.iter().find(|key| !sets(instructions, key)) else { return Ok(()) };
    let keyword = ConfiguredKey::parse(key).keyword;
    let message = format!("{name}: the configuration sets {key}, but the template has no {keyword} instruction for it");
    Err(Failure::new(Class::Config, message).hint("add `{% include \"config\" %}` to the template").hint(format!(
        "or remove {key} from the configuration (print the rendered template with `cargo multiarch dockerfile`)"
    )))
}

/// A configuration key and the Dockerfile instruction that sets it.
struct ConfiguredKey<'a> {
    keyword: &'static str,
    /// Name of the variable or label. Empty for other instructions.
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

    /// Reports whether a word in an instruction sets the variable or label. A word that starts with `$` always matches,
    /// because its value is unknown.
    fn is_set_by(&self, word: &str) -> bool {
        let rest = word.trim_start_matches(['"', '\'']).strip_prefix(self.name);
        word.starts_with('$') || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', '"', '\'']))
    }
}

/// Reports whether any instruction sets a configuration key.
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
    Err(Failure::new(Class::Config, format!("{name}: the last stage is not named '{stage}'"))
        .hint("start the last stage with `FROM {{ base }} AS {{ stage }}`"))
}

/// Returns the stage name that a FROM instruction declares.
fn declared_stage<'a>(from: &'a InstructionText<'_>) -> Option<&'a str> {
    let words: Vec<&str> = from.text.split_whitespace().collect();
    match words[..] {
        [.., r#as, name] if r#as.eq_ignore_ascii_case("AS") => Some(name),
        _ => None,
    }
}

/// Returns the ARG instructions before the first FROM.
pub(crate) fn args_before_from(text: &str) -> Vec<String> {
    let args = instructions(text).into_iter().take_while(|instruction| instruction.is("ARG"));
    args.map(|arg| arg.text).collect()
}

/// Returns an error if a platform's template has an ARG before FROM that is missing from the first platform's template.
/// The Dockerfile contains the stages of all platforms, and only ARGs before its first FROM are global.
pub(crate) fn check_args_before_from(name: &str, first: &[String], other: &[String]) -> Result<(), Failure> {
    let Some(arg) = other.iter().find(|arg| !first.contains(arg)) else { return Ok(()) };
    let message = format!("{name}: '{arg}' precedes the first FROM, but its value differs between platforms");
    Err(Failure::new(Class::Config, message)
        .hint("remove it and use the value directly, as in `FROM {{ base }} AS {{ stage }}`"))
}

/// Returns an error if two platforms declare a stage with the same name in their shared Dockerfile.
pub(crate) fn check_unique_stages(text: &str) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    for from in instructions(text).iter().filter(|instruction| instruction.is("FROM")) {
        if let Some(name) = declared_stage(from)
            && !names.insert(name.to_owned())
        {
            return Err(Failure::new(Class::Config, format!("stage '{name}' is declared for more than one platform"))
                .hint(format!("make the name unique for each platform: `AS {{{{ stage }}}}-{name}`")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requires_a_name_for_the_last_stage() {
        let check = |text| check_stage_name("t", &instructions(text), "want");
        assert!(check("FROM a AS s1\nFROM s1 as want\nRUN x").is_ok());
        assert!(check("FROM a AS want\nRUN cat <<EOF\nFROM b\nEOF").is_ok());
        assert!(check("FROM a AS want\nFROM b").is_err());
        assert!(check("").is_err());
    }

    #[test]
    fn finds_keys_that_instructions_set() {
        for (text, key, expected) in [
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
            assert_eq!(sets(&instructions(text), key), expected, "{text} {key}");
        }
    }
}
