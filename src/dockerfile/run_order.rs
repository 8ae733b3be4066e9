//! Determines whether RUN instructions may use the compiled binaries.

use super::instructions::{InstructionText, instructions};
use super::required_copy;

/// A stage of a Dockerfile.
struct StageContents<'a> {
    /// Name of the stage, or an empty string.
    name: &'a str,
    has_binary: bool,
}

/// Reports whether a RUN instruction may use one of `binaries`, which are paths in the build context. `true` if that
/// cannot be determined.
pub(crate) fn may_run_binaries(text: &str, binaries: &[String]) -> bool {
    let instructions = instructions(text);
    let mut stages: Vec<StageContents<'_>> = Vec::new();
    for instruction in &instructions {
        if instruction.is("FROM") {
            let stage = start_stage(instruction, &stages);
            stages.push(stage);
            continue;
        }
        let copies_binary = binaries.iter().any(|binary| required_copy::copies(instruction, binary))
            || used_stages(instruction).any(|name| may_contain_binary(name, &stages));
        if let Some(stage) = stages.last_mut() {
            stage.has_binary |= copies_binary;
            if stage.has_binary && instruction.is("RUN") {
                return true;
            }
        }
    }
    false
}

fn start_stage<'a>(from: &'a InstructionText<'_>, stages: &[StageContents<'_>]) -> StageContents<'a> {
    let words: Vec<&str> = from.text.split_whitespace().skip(1).filter(|word| !word.starts_with("--")).collect();
    let (base, name) = match words[..] {
        [base, _, name] => (base, name),
        [base, ..] => (base, ""),
        [] => ("", ""),
    };
    StageContents { name, has_binary: may_contain_binary(base, stages) }
}

/// Returns the stages and images that an instruction copies from or mounts.
fn used_stages<'a>(instruction: &'a InstructionText<'_>) -> impl Iterator<Item = &'a str> {
    let flags = instruction.text.split_whitespace().filter(|word| word.starts_with("--"));
    flags.flat_map(|flag| flag.trim_start_matches("--mount=").trim_start_matches("--").split(',')).filter_map(|field| {
        let (name, value) = field.split_once('=')?;
        (name == "from").then_some(value)
    })
}

/// Reports whether a stage, given by its name or its number, may contain a binary.
fn may_contain_binary(reference: &str, stages: &[StageContents<'_>]) -> bool {
    let stage = match reference.parse::<usize>() {
        Ok(number) => stages.get(number),
        Err(_) => stages.iter().rev().find(|stage| stage.name.eq_ignore_ascii_case(reference)),
    };
    stage.map_or(reference.contains('$'), |stage| stage.has_binary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_run_instructions_that_may_use_binaries() {
        for (lines, expected) in [
            ("RUN apt-get update\nCOPY linux/amd64/app /app", false),
            ("COPY linux/amd64/app /app\nRUN setcap x /app", true),
            ("COPY . /src\nRUN true", true),
            ("COPY rootfs/ /\nRUN true\nCOPY linux/amd64/ /bin/", false),
            ("RUN --mount=type=bind,target=/c cp /c/linux/amd64/app /", true),
            ("RUN --mount=type=cache,target=/c true", false),
            ("COPY linux/amd64/app /app\nFROM b\nRUN true", false),
            ("COPY linux/amd64/app /app\nFROM a\nRUN true", true),
            ("COPY linux/amd64/app /app\nFROM b\nCOPY --from=a /app /\nRUN true", true),
            ("COPY linux/amd64/app /app\nFROM b\nCOPY --from=0 /app /\nRUN true", true),
            ("COPY linux/amd64/app /app\nFROM b\nRUN --mount=type=tmpfs,from=A /x", true),
            ("RUN true\nFROM b\nCOPY --from=a /tool /\nRUN true", false),
            ("COPY --from=ghcr.io/you/tools:1 /tool /\nRUN true", false),
            ("COPY --from=$TOOLS /tool /\nRUN true", true),
        ] {
            let text = format!("FROM --platform=linux/amd64 base AS a\n{lines}");
            assert_eq!(may_run_binaries(&text, &["linux/amd64/app".to_owned()]), expected, "{lines}");
        }
    }
}
