//! Checks whether the embedded engine supports a Dockerfile, before anything is pulled or compiled. Also detects errors
//! that would make every engine fail.

use parse_dockerfile::{Dockerfile, Stage};
use serde_json::Value;

use super::error::StageError;
use super::evaluate::Evaluator;
use super::expand::expand;
use super::render::stage_name;
use super::stage::StageSource;
use crate::error::Failure;
use crate::platform::Platform;

/// The reason why the embedded engine cannot build an image.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub failure: Failure,
    /// Whether every other engine would fail as well.
    pub by_every_engine: bool,
}

/// A location in a Dockerfile.
#[derive(Debug, Clone)]
struct Location<'a> {
    /// Name of the stage.
    stage: String,
    /// First line of the instruction. Empty if the problem is not specific to one instruction.
    line: &'a str,
}

/// A problem that prevents evaluation, and its location.
struct SupportProblem<'a> {
    error: StageError,
    location: Location<'a>,
}

/// A path in the build context that a stage copies into the image.
struct CopiedPath<'a> {
    path: String,
    location: Location<'a>,
}

/// The problems and copied paths found in a Dockerfile.
#[derive(Default)]
struct Survey<'a> {
    problems: Vec<SupportProblem<'a>>,
    copied: Vec<CopiedPath<'a>>,
}

/// Returns an error if the embedded engine cannot build a Dockerfile. `platforms` lists each platform with its
/// configured base, and `in_context` reports whether the build context will contain a path.
pub(crate) fn check(
    source: &StageSource<'_>,
    platforms: &[(Platform, &str)],
    in_context: &dyn Fn(&str) -> bool,
) -> Result<(), Refusal> {
    let parsed = source.parse().map_err(|failure| Refusal { failure, by_every_engine: false })?;
    let Survey { problems, copied } = survey(source, &parsed, platforms);
    // A custom frontend may accept more than BuildKit's default one, and a different escape character changes how lines
    // are parsed.
    let directives = &parsed.parser_directives;
    let has_custom_syntax = directives.syntax.is_some() || directives.escape.is_some();
    let has_docker_syntax = directives.escape.is_none()
        && directives.syntax.as_ref().is_none_or(|syntax| syntax.value.value.starts_with("docker/dockerfile"));
    let by_every_engine =
        |problem: &SupportProblem<'_>| matches!(problem.error, StageError::Invalid(_)) && !has_custom_syntax;

    let invalid = problems.iter().find(|problem| by_every_engine(problem));
    let missing = copied.iter().find(|copied| has_docker_syntax && !in_context(&copied.path));
    if let (None, Some(missing)) = (invalid, missing) {
        return Err(Refusal { failure: missing_in_context(source, missing), by_every_engine: true });
    }
    match invalid.or(problems.first()) {
        None => Ok(()),
        Some(problem) => Err(Refusal {
            failure: source.failure(&problem.error, &problem.location.stage, problem.location.line),
            by_every_engine: by_every_engine(problem),
        }),
    }
}

fn missing_in_context(source: &StageSource<'_>, missing: &CopiedPath<'_>) -> Failure {
    let CopiedPath { path, location } = missing;
    let error = StageError::invalid(format!("'{path}' is not in the build context"));
    let failure = source.failure(&error, &location.stage, location.line);
    let contents = "and add `{% include \"contents\" %}` to the template";
    if path.starts_with("rootfs/etc/ssl") {
        return failure
            .hint("copy system/etc/ssl instead; in an image with a base, also set ca-certificates = [\"bundled\"]");
    }
    failure.hint(format!("add it with files = [{{ from = \"{path}\", to = \"/…\" }}], {contents}"))
}

fn survey<'a>(source: &StageSource<'a>, parsed: &Dockerfile<'a>, platforms: &[(Platform, &str)]) -> Survey<'a> {
    let mut survey = Survey::default();
    let at_stage = |stage: &str| Location { stage: stage.to_owned(), line: "" };
    if parsed.parser_directives.escape.is_some() {
        let error = StageError::unsupported("the `escape` directive");
        survey.problems.push(SupportProblem { error, location: at_stage("") });
    }
    for stage in parsed.stages() {
        let name = stage.from.as_.as_ref().map(|(_, name)| name.value.to_string()).unwrap_or_default();
        match platforms.iter().find(|(platform, _)| stage_name(*platform) == name) {
            Some((platform, base)) => {
                let stage = survey_stage(source, parsed, &stage, *platform, base);
                survey.problems.extend(stage.problems);
                survey.copied.extend(stage.copied);
            }
            // Skip the final FROM, which only selects the stage for the target platform.
            None if stage.from.image.value.contains("${TARGETOS}") => {}
            None => {
                let error = StageError::unsupported(format!("additional stages, such as '{name}'"));
                survey.problems.push(SupportProblem { error, location: at_stage(&name) });
            }
        }
    }
    survey
}

fn survey_stage<'a>(
    source: &StageSource<'a>,
    parsed: &Dockerfile<'a>,
    stage: &Stage<'a, '_>,
    platform: Platform,
    base: &str,
) -> Survey<'a> {
    let name = stage_name(platform);
    let mut survey = Survey::default();
    let at_stage = Location { stage: name.clone(), line: "" };
    let args = match source.global_args(parsed, platform) {
        Ok(args) => args,
        Err(error) => {
            survey.problems.push(SupportProblem { error, location: at_stage });
            return survey;
        }
    };
    let from = expand(&stage.from.image.value, &|name| args.get(name).cloned().flatten());
    let is_scratch = from.as_deref() == Ok("scratch");
    if let Err(error) = check_from(stage, from, base) {
        survey.problems.push(SupportProblem { error, location: at_stage });
    }
    let unknown_config = Value::Object(serde_json::Map::new());
    let base_config = if is_scratch { None } else { Some(&unknown_config) };
    let mut evaluator = Evaluator::new(source, platform, args, base_config);
    for instruction in stage.instructions {
        let line = source.first_line(instruction);
        let location = Location { stage: name.clone(), line };
        let result = evaluator.apply(instruction, line);
        let copies = evaluator.take_copies();
        // Instructions that depend on the base are checked later, once the base is available.
        if evaluator.depends_on_base(instruction) && !is_scratch {
            continue;
        }
        let paths = copies.into_iter().flat_map(|copy| copy.sources);
        survey.copied.extend(paths.map(|path| CopiedPath { path, location: location.clone() }));
        survey.problems.extend(result.err().map(|error| SupportProblem { error, location }));
    }
    survey
}

/// Returns an error if a stage does not start from the platform's configured base.
fn check_from(stage: &Stage<'_, '_>, from: Result<String, StageError>, base: &str) -> Result<(), StageError> {
    if !stage.from.options.is_empty() {
        return Err(StageError::unsupported("FROM options"));
    }
    let from = from?;
    if from != base {
        return Err(StageError::unsupported(format!("FROM {from} instead of the configured base {base}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::empty_command;
    use crate::dockerfile::render;
    use indexmap::IndexMap;

    /// Checks a Dockerfile for linux/amd64 on the base `x`. Returns the error and whether every engine would fail.
    fn refused(text: &str) -> Option<(String, bool)> {
        let text = format!("{text}\nFROM platform-${{TARGETOS}}\n");
        let dockerfile = render::tests::from_text(&text, "platform-linux-amd64");
        let passed_args = IndexMap::from([("GIVEN".to_owned(), "g".to_owned())]);
        let binaries = ["linux/amd64/app", "linux/amd64/tool", "linux/arm64/app"].map(str::to_owned).to_vec();
        let text = empty_command::insert_placeholders(&dockerfile.text);
        let source = StageSource { image: "app", dockerfile: &dockerfile, text, passed_args, binaries };
        let platforms = [("linux/amd64".parse().unwrap(), "x")];
        let refusal = check(&source, &platforms, &|path| !path.contains("none")).err()?;
        assert!(!refusal.failure.hints().is_empty(), "{}", refusal.failure);
        Some((refusal.failure.to_string(), refusal.by_every_engine))
    }

    #[test]
    fn names_unsupported_features() {
        let from = "FROM x AS platform-linux-amd64";
        for (first, lines, feature, line) in [
            (from, "RUN true", "RUN", ":2"),
            (from, "ADD https://x.example/a /a", "ADD", ":2"),
            (from, "ONBUILD COPY a b", "ONBUILD", ":2"),
            (from, "MAINTAINER me", "MAINTAINER", ":2"),
            (from, "COPY <<EOF /a\nhi\nEOF", "here-documents", ":2"),
            (from, "COPY a* /a", "wildcards in COPY", ":2"),
            (from, "COPY --from=other a /a", "COPY --from", ":2"),
            (from, "COPY --link a /a", "COPY --link", ":2"),
            (from, "COPY --exclude=b a /a", "COPY --exclude", ":2"),
            (from, "COPY --chmod=u+x a /a", "non-octal modes, such as COPY --chmod=u+x", ":2"),
            (from, "ARG M=a+x\nCOPY --chmod=$M a /a", "non-octal modes, such as COPY --chmod=a+x", ":3"),
            (from, "HEALTHCHECK --often=1s CMD x", "HEALTHCHECK --often", ":2"),
            (from, "ENV A=${B#x}", "the substitution '${B#x}'", ":2"),
            (from, "ENV A=$NONE\nCOPY --from=$A a /a", "COPY --from", ":3"),
            (from, "ENV A=$NONE\nRUN true", "RUN", ":3"),
            (from, "ARG BUILDPLATFORM", "ARG BUILDPLATFORM, which only a builder can set", ":2"),
            ("ARG TARGETARCH=q\nFROM x AS platform-linux-amd64", "", "ARG TARGETARCH before FROM", ""),
            (from, "COPY . /a", "copying the directory ., which contains the binary linux/amd64/app", ":2"),
            (from, "COPY ./linux /a", "copying the directory linux, which contains the binary linux/amd64/app", ":2"),
            (
                from,
                "ARG TARGETPLATFORM\nCOPY /$TARGETPLATFORM/ /a",
                "copying the directory linux/amd64, which contains the binary linux/amd64/app",
                ":3",
            ),
            (from, "COPY linux/arm64/app /a", "copying linux/arm64/app, which is a binary for another platform", ":2"),
            (from, "COPY a linux/amd64/app /a/", "copying the binary linux/amd64/app together with other files", ":2"),
            (from, "COPY a /a\nFROM y AS tools", "additional stages, such as 'tools'", ""),
            ("FROM y AS platform-linux-amd64", "", "FROM y instead of the configured base x", ""),
            ("FROM --platform=linux/amd64 x AS platform-linux-amd64", "", "FROM options", ""),
            ("# escape=`\nFROM x AS platform-linux-amd64", "", "the `escape` directive", ""),
        ] {
            let message = format!("image 'app': my.j2{line}: the embedded engine does not support {feature}");
            assert_eq!(refused(&format!("{first}\n{lines}")), Some((message, false)), "{first} {lines}");
        }
    }

    #[test]
    fn locates_errors_that_every_engine_reports() {
        for (lines, problem) in [
            ("HEALTHCHECK --interval=often CMD [\"/a\"]", "'often' is not a valid duration"),
            ("HEALTHCHECK --interval=$A CMD [\"/a\"]", "'$A' is not a valid duration"),
            ("HEALTHCHECK --interval=1us CMD x", "'1us' is shorter than 1ms"),
            ("HEALTHCHECK --retries=-1 CMD x", "'-1' is not a valid number of retries"),
            ("HEALTHCHECK --retries=1 --retries=2 CMD x", "--retries is specified twice"),
            ("ENV A=\"x", "unterminated quote"),
            ("ENV A=${Aé}", "'${Aé}' is not a valid substitution"),
            ("STOPSIGNAL SIGNOPE", "'SIGNOPE' is not a valid signal"),
            ("EXPOSE 9-8", "'9-8' is not a valid port or port range"),
        ] {
            // The error must be reported even if an unsupported RUN precedes it.
            let text = format!("FROM x AS platform-linux-amd64\nRUN true\n{lines}");
            let message = format!("image 'app': my.j2:3: {problem}: {lines}");
            assert_eq!(refused(&text), Some((message.clone(), true)), "{lines}");
            // A custom frontend or escape character may make the line valid.
            for directive in ["# syntax=x.example/own", "# escape=`"] {
                let other = refused(&format!("{directive}\n{text}")).unwrap();
                assert!(!other.1, "{other:?}");
            }
        }
    }

    #[test]
    fn locates_paths_missing_from_the_context() {
        let missing = |lines: &str| refused(&format!("FROM x AS platform-linux-amd64\nRUN true\n{lines}"));
        for (lines, path) in
            [("COPY none /x", "none"), ("COPY a ./none/b /x/", "none/b"), ("ARG N=none\nCOPY [\"$N\", \"/x\"]", "none")]
        {
            let line = lines.lines().last().unwrap();
            let message = format!(
                "image 'app': my.j2:{}: '{path}' is not in the build context: {line}",
                lines.lines().count() + 2
            );
            assert_eq!(missing(lines), Some((message, true)), "{lines}");
        }
        // Sources cannot be checked if they contain wildcards or variables from the base, or are in another stage.
        for lines in ["COPY none$PLACE /x", "COPY --from=tools none /x", "COPY none* /x"] {
            assert!(!missing(lines).unwrap().1, "{lines}");
        }
        let with_syntax =
            |syntax: &str| refused(&format!("# syntax={syntax}\nFROM x AS platform-linux-amd64\nCOPY none /x"));
        assert!(with_syntax("docker/dockerfile:1").is_some() && with_syntax("x.example/own").is_none());
    }

    #[test]
    fn accepts_supported_dockerfiles() {
        for text in [
            "FROM x AS platform-linux-amd64\nCOPY --chown=www:www --chmod=0755 ./linux/amd64/../amd64/app /a",
            "ARG BASE=x\nFROM $BASE AS platform-linux-amd64\nCOPY linux/amd64/files linux/amd64/app.d /a/",
            // These values depend on the base.
            "FROM x AS platform-linux-amd64\nEXPOSE $PORT-1\nENV M=$MODE\nCOPY --chmod=$M a /a\nSTOPSIGNAL $NONE",
            "# syntax=docker/dockerfile:1\nFROM x AS platform-linux-amd64\nCOPY --link=false a /a",
        ] {
            assert_eq!(refused(text), None, "{text}");
        }
    }
}
