//! Finds what the embedded engine cannot do of a Dockerfile, and what no engine can, by reading it without its base:
//! before anything is pulled or compiled.

use parse_dockerfile::{Dockerfile, Stage};
use serde_json::Value;

use super::error::StageError;
use super::evaluate::Evaluator;
use super::expand::expand;
use super::render::stage_name;
use super::stage::StageSource;
use crate::error::Failure;
use crate::platform::Platform;

/// Why the embedded engine cannot build an image.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub failure: Failure,
    /// Another engine would fail as well, but later.
    pub by_every_engine: bool,
}

/// A place in a Dockerfile.
#[derive(Debug, Clone)]
struct Location<'a> {
    /// The name of the stage.
    stage: String,
    /// The first line of the instruction; empty if it is not about one.
    line: &'a str,
}

/// An instruction that cannot be evaluated.
struct SupportProblem<'a> {
    error: StageError,
    location: Location<'a>,
}

/// A path of the build context that is copied into the image.
struct CopiedPath<'a> {
    path: String,
    location: Location<'a>,
}

/// What was found in a Dockerfile.
#[derive(Default)]
struct Survey<'a> {
    problems: Vec<SupportProblem<'a>>,
    copied: Vec<CopiedPath<'a>>,
}

/// Fails if the embedded engine cannot build a Dockerfile. `platforms` has each platform's base, as configured;
/// `in_context` returns whether the build context will have a path.
pub(crate) fn check(
    source: &StageSource<'_>,
    platforms: &[(Platform, &str)],
    in_context: &dyn Fn(&str) -> bool,
) -> Result<(), Refusal> {
    let parsed = source.parse().map_err(|failure| Refusal { failure, by_every_engine: false })?;
    let Survey { problems, copied } = survey(source, &parsed, platforms);
    // A frontend of the user's own may know more than BuildKit's does, and another escape makes other words.
    let directives = &parsed.parser_directives;
    let other_rules = directives.syntax.is_some() || directives.escape.is_some();
    let docker_rules = directives.escape.is_none()
        && directives.syntax.as_ref().is_none_or(|syntax| syntax.value.value.starts_with("docker/dockerfile"));
    let by_every_engine =
        |problem: &SupportProblem<'_>| matches!(problem.error, StageError::Invalid(_)) && !other_rules;

    let invalid = problems.iter().find(|problem| by_every_engine(problem));
    let missing = copied.iter().find(|copied| docker_rules && !in_context(&copied.path));
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
    source.failure(&error, &location.stage, location.line).hint(format!(
        "add it to the image, as in files = [{{ from = \"{path}\", to = \"/…\" }}], and have the template {{% include \"contents\" %}}"
    ))
}

fn survey<'a>(source: &StageSource<'a>, parsed: &Dockerfile<'a>, platforms: &[(Platform, &str)]) -> Survey<'a> {
    let mut survey = Survey::default();
    let at_stage = |stage: &str| Location { stage: stage.to_owned(), line: "" };
    if parsed.parser_directives.escape.is_some() {
        let error = StageError::unsupported("the escape directive");
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
            // The last line picks a platform's stage.
            None if stage.from.image.value.contains("${TARGETOS}") => {}
            None => {
                let error = StageError::unsupported(format!("the stage '{name}'"));
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
        // What depends on the base is judged once the base is known.
        if evaluator.depends_on_base(instruction) && !is_scratch {
            continue;
        }
        let paths = copies.into_iter().flat_map(|copy| copy.sources);
        survey.copied.extend(paths.map(|path| CopiedPath { path, location: location.clone() }));
        survey.problems.extend(result.err().map(|error| SupportProblem { error, location }));
    }
    survey
}

/// Fails unless a stage starts from its configured base.
fn check_from(stage: &Stage<'_, '_>, from: Result<String, StageError>, base: &str) -> Result<(), StageError> {
    if !stage.from.options.is_empty() {
        return Err(StageError::unsupported("FROM with an option"));
    }
    let from = from?;
    if from != base {
        return Err(StageError::unsupported(format!("FROM {from}, which is not its base {base},")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::render;
    use indexmap::IndexMap;

    /// The error for a stage of linux/amd64 on a base `x`, and whether every engine would fail.
    fn refused(text: &str) -> Option<(String, bool)> {
        let text = format!("{text}\nFROM platform-${{TARGETOS}}\n");
        let dockerfile = render::tests::from_text(&text, "platform-linux-amd64");
        let passed_args = IndexMap::from([("GIVEN".to_owned(), "g".to_owned())]);
        let binaries = ["linux/amd64/app", "linux/amd64/tool", "linux/arm64/app"].map(str::to_owned).to_vec();
        let source = StageSource { image: "app", dockerfile: &dockerfile, passed_args, binaries };
        let platforms = [("linux/amd64".parse().unwrap(), "x")];
        let refusal = check(&source, &platforms, &|path| !path.contains("none")).err()?;
        assert!(!refusal.failure.hints().is_empty(), "{}", refusal.failure);
        Some((refusal.failure.to_string(), refusal.by_every_engine))
    }

    #[test]
    fn what_needs_a_builder_is_named() {
        let from = "FROM x AS platform-linux-amd64";
        for (first, lines, feature, line) in [
            (from, "RUN true", "RUN", ":2"),
            (from, "ADD https://x.example/a /a", "ADD", ":2"),
            (from, "ONBUILD COPY a b", "ONBUILD", ":2"),
            (from, "MAINTAINER me", "MAINTAINER", ":2"),
            (from, "COPY <<EOF /a\nhi\nEOF", "the heredoc", ":2"),
            (from, "COPY a* /a", "the wildcard", ":2"),
            (from, "COPY --from=other a /a", "COPY --from", ":2"),
            (from, "COPY --link a /a", "COPY --link", ":2"),
            (from, "COPY --exclude=b a /a", "COPY --exclude", ":2"),
            (from, "COPY --chmod=u+x a /a", "COPY --chmod=u+x, which is no octal mode,", ":2"),
            (from, "ARG M=a+x\nCOPY --chmod=$M a /a", "COPY --chmod=a+x, which is no octal mode,", ":3"),
            (from, "HEALTHCHECK --often=1s CMD x", "HEALTHCHECK --often", ":2"),
            (from, "ENV A=${B#x}", "'${B#x}' in a word", ":2"),
            (from, "ENV A=$NONE\nCOPY --from=$A a /a", "COPY --from", ":3"),
            (from, "ENV A=$NONE\nRUN true", "RUN", ":3"),
            (from, "ARG BUILDPLATFORM", "ARG BUILDPLATFORM, which is the builder's own,", ":2"),
            ("ARG TARGETARCH=q\nFROM x AS platform-linux-amd64", "", "ARG TARGETARCH before FROM", ""),
            (from, "COPY . /a", "COPY of the folder ., which holds the binary linux/amd64/app,", ":2"),
            (from, "COPY ./linux /a", "COPY of the folder linux, which holds the binary linux/amd64/app,", ":2"),
            (
                from,
                "ARG TARGETPLATFORM\nCOPY /$TARGETPLATFORM/ /a",
                "COPY of the folder linux/amd64, which holds the binary linux/amd64/app,",
                ":3",
            ),
            (from, "COPY linux/arm64/app /a", "COPY of linux/arm64/app, a binary of another platform,", ":2"),
            (from, "COPY a linux/amd64/app /a/", "COPY of linux/amd64/app together with others", ":2"),
            (from, "COPY a /a\nFROM y AS tools", "the stage 'tools'", ""),
            ("FROM y AS platform-linux-amd64", "", "FROM y, which is not its base x,", ""),
            ("FROM --platform=linux/amd64 x AS platform-linux-amd64", "", "FROM with an option", ""),
            ("# escape=`\nFROM x AS platform-linux-amd64", "", "the escape directive", ""),
        ] {
            let message = format!("image 'app': the embedded engine cannot do {feature} of its template my.j2{line}");
            assert_eq!(refused(&format!("{first}\n{lines}")), Some((message, false)), "{first} {lines}");
        }
    }

    #[test]
    fn what_is_wrong_for_all_is_named_with_its_line() {
        for (lines, problem) in [
            ("HEALTHCHECK --interval=often CMD [\"/a\"]", "'often' is not a duration"),
            ("HEALTHCHECK --interval=$A CMD [\"/a\"]", "'$A' is not a duration"),
            ("HEALTHCHECK --interval=1us CMD x", "'1us' is shorter than 1ms"),
            ("HEALTHCHECK --retries=-1 CMD x", "'-1' is not a number of retries"),
            ("HEALTHCHECK --retries=1 --retries=2 CMD x", "--retries is there twice"),
            ("ENV A=\"x", "a quote is not closed"),
            ("ENV A=${Aé}", "'${Aé}' is not understood"),
            ("STOPSIGNAL SIGNOPE", "'SIGNOPE' is not a signal"),
            ("EXPOSE 9-8", "'9-8' is not a port or a range of ports"),
        ] {
            // What only a builder can do does not hide it.
            let text = format!("FROM x AS platform-linux-amd64\nRUN true\n{lines}");
            let message = format!("image 'app': my.j2:3: {problem}: {lines}");
            assert_eq!(refused(&text), Some((message.clone(), true)), "{lines}");
            // Another frontend may know better, and another escape makes other words.
            for directive in ["# syntax=x.example/own", "# escape=`"] {
                let other = refused(&format!("{directive}\n{text}")).unwrap();
                assert!(!other.1, "{other:?}");
            }
        }
    }

    #[test]
    fn what_is_not_in_the_context_is_named_with_its_line() {
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
        // What the base's variables, another stage or a pattern come to is not known here.
        for lines in ["COPY none$PLACE /x", "COPY --from=tools none /x", "COPY none* /x"] {
            assert!(!missing(lines).unwrap().1, "{lines}");
        }
        let own = |syntax: &str| refused(&format!("# syntax={syntax}\nFROM x AS platform-linux-amd64\nCOPY none /x"));
        assert!(own("docker/dockerfile:1").is_some() && own("x.example/own").is_none());
    }

    #[test]
    fn what_can_be_done() {
        for text in [
            "FROM x AS platform-linux-amd64\nCOPY --chown=www:www --chmod=0755 ./linux/amd64/../amd64/app /a",
            "ARG BASE=x\nFROM $BASE AS platform-linux-amd64\nCOPY linux/amd64/files linux/amd64/app.d /a/",
            // Only the base knows.
            "FROM x AS platform-linux-amd64\nEXPOSE $PORT-1\nENV M=$MODE\nCOPY --chmod=$M a /a\nSTOPSIGNAL $NONE",
            "# syntax=docker/dockerfile:1\nFROM x AS platform-linux-amd64\nCOPY --link=false a /a",
        ] {
            assert_eq!(refused(text), None, "{text}");
        }
    }
}
