//! What a rendered template must be, whichever engine builds it: known instructions, a stage of the right name, the
//! binaries, and all that the configuration says. Pure.

use std::collections::BTreeSet;

use super::instructions::{INSTRUCTIONS, InstructionLine, instructions, is_one_of};
use super::template::{TemplateText, quote};
use crate::error::{Class, Failure};
use crate::plan::{ImagePlatform, Template};

/// Fails for what would be found out after compiling, or never. `text` is what the template came to for a platform.
pub fn check(template: &TemplateText, text: &str, platform: &ImagePlatform) -> Result<(), Failure> {
    let name = &template.name;
    check_stage(name, text, &template.stage)?;
    if !text.contains(&format!("{}/", platform.platform)) {
        let what = format!("{name}: it does not copy the binaries of {}", platform.platform);
        return Err(Failure::new(Class::Config, what).hint("add: {% include \"contents\" %}"));
    }
    let lines = instructions(text);
    // A frontend or an escape character of the user's own has rules of its own.
    let has_directives = text.lines().take_while(|line| line.starts_with('#')).any(|line| line.contains('='));
    if let Some(line) = lines.iter().find(|line| !has_directives && !is_one_of(line.keyword, INSTRUCTIONS)) {
        let place = template.place(line.text.lines().next().unwrap_or_default());
        let keyword = line.keyword.to_ascii_uppercase();
        return Err(Failure::new(Class::Config, format!("{place}: unknown instruction '{}'", line.keyword))
            .did_you_mean_or_list(&keyword, INSTRUCTIONS.iter().copied(), "the instructions are"));
    }
    let mut explicit =
        platform.container.explicit_keys.iter().filter(|_| matches!(platform.template, Template::File(_)));
    match explicit.find(|key| !says(&lines, key)) {
        None => Ok(()),
        Some(key) => {
            let what = format!("{name}: the configuration sets {key}, and the template has no {}", instruction(key).0);
            Err(Failure::new(Class::Config, what).hint("add: {% include \"config\" %}").hint(
                "or take the key out of the configuration: `cargo multiarch dockerfile` shows what the template says",
            ))
        }
    }
}

/// The instruction that a key of the configuration becomes, and the name that it gives there.
fn instruction(key: &str) -> (&'static str, &str) {
    let (kind, name) = key.split_once('.').unwrap_or((key, ""));
    let instruction = match kind {
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
    (instruction, name)
}

fn says(lines: &[InstructionLine<'_>], key: &str) -> bool {
    let (instruction, name) = instruction(key);
    let mut lines = lines.iter().filter(|line| line.keyword.eq_ignore_ascii_case(instruction));
    let names = |word: &str| {
        let rest = word.trim_start_matches(['"', '\'']).strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', '"', '\'']))
    };
    // A variable may hold the name.
    let says =
        |line: &InstructionLine<'_>| line.text.split_whitespace().any(|word| names(word) || word.starts_with('$'));
    lines.any(|line| name.is_empty() || says(line) || line.text.contains(&quote(name)))
}

fn check_stage(name: &str, text: &str, stage: &str) -> Result<(), Failure> {
    let last =
        text.lines().rfind(|line| line.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("FROM")));
    let words: Vec<&str> = last.unwrap_or_default().split_whitespace().collect();
    match words[..] {
        [.., r#as, last] if r#as.eq_ignore_ascii_case("AS") && last == stage => Ok(()),
        _ => Err(Failure::new(Class::Config, format!("{name}: its last stage is not named '{stage}'"))
            .hint("begin it with: FROM {{ base }} AS {{ stage }}")),
    }
}

/// The ARG instructions before the first FROM.
pub fn above_from(text: &str) -> Vec<String> {
    let lines = instructions(text).into_iter();
    lines.take_while(|line| line.keyword.eq_ignore_ascii_case("ARG")).map(|line| line.text).collect()
}

/// One Dockerfile holds the stages of all platforms, and only what is above the first of them is above all.
pub fn check_above(name: &str, first: &[String], other: &[String]) -> Result<(), Failure> {
    let Some(arg) = other.iter().find(|arg| !first.contains(arg)) else { return Ok(()) };
    let what = format!("{name}: '{arg}' stands before FROM, and is not the same for all platforms");
    Err(Failure::new(Class::Config, what).hint("write the value where it is used: FROM {{ base }} AS {{ stage }}"))
}

/// One Dockerfile holds the stages of all platforms: a name of the user's own must not come twice.
pub fn check_unique(text: &str) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [from, .., r#as, name] = words[..]
            && from.eq_ignore_ascii_case("FROM")
            && r#as.eq_ignore_ascii_case("AS")
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
    fn instructions_are_found_where_they_are() {
        let words = |text| instructions(text).iter().map(|line| line.keyword.to_owned()).collect::<Vec<_>>();
        assert_eq!(words("FROM a\n# RUN x\nCOPY a \\\n  RUN b\nrun x && \\\n # c\n y\n"), ["FROM", "COPY", "run"]);
        assert_eq!(words("RUN <<EOF cat <<-'B'\nx\nEOF\ny\n\tB\nUSER a\n"), ["RUN", "USER"]);
        assert_eq!(words("RUN x <<< EOF\nUSER a\nENV A=<<B\nUSER b"), ["RUN", "USER", "ENV", "USER"]);
    }

    #[test]
    fn stages_must_be_named() {
        assert!(check_stage("t", "FROM a AS s1\nFROM s1 as want\nRUN x", "want").is_ok());
        assert!(check_stage("t", "FROM a AS want\nFROM b", "want").is_err());
        assert!(check_stage("t", "", "want").is_err());
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
            assert_eq!(says(&instructions(text), key), found, "{text} {key}");
        }
    }
}
