//! What the embedded engine cannot do of a Dockerfile, and what no engine can: found by reading it without its base, before
//! anything is pulled or compiled. Pure.

use parse_dockerfile::{Dockerfile, Stage};
use serde_json::Value;

use super::error::StageError;
use super::evaluate::Evaluator;
use super::expand::expand;
use super::render;
use super::stage::StageSource;
use crate::error::Failure;
use crate::platform::Platform;

/// Why the embedded engine does not build an image.
#[derive(Debug)]
pub struct Refusal {
    pub failure: Failure,
    /// Another engine would fail as well, but later.
    pub by_all: bool,
}

/// A fault, with the name of its stage and the line.
type Place<'a> = (StageError, String, &'a str);

/// What is found in a Dockerfile.
#[derive(Default)]
struct Found<'a> {
    faults: Vec<Place<'a>>,
    /// What is copied from the build context.
    copied: Vec<Copied<'a>>,
}

/// A path, with the name of its stage and the line.
type Copied<'a> = (String, String, &'a str);

/// `platforms` has each platform's base, as the plan has it; `in_context` says what the build context will have.
pub fn check(
    source: StageSource<'_>,
    platforms: &[(Platform, &str)],
    in_context: &dyn Fn(&str) -> bool,
) -> Result<(), Refusal> {
    let parsed = source.parse().map_err(|failure| Refusal { failure, by_all: false })?;
    let Found { faults, copied } = read(source, &parsed, platforms);
    // A frontend of the user's own may know more than BuildKit's does, and another escape makes other words.
    let other_rules = parsed.parser_directives.syntax.is_some() || parsed.parser_directives.escape.is_some();
    let by_all = |fault: &StageError| matches!(fault, StageError::Invalid(_)) && !other_rules;
    let docker_rules = parsed.parser_directives.escape.is_none()
        && parsed
            .parser_directives
            .syntax
            .as_ref()
            .is_none_or(|syntax| syntax.value.value.starts_with("docker/dockerfile"));
    let missing = copied.iter().find(|(path, ..)| docker_rules && !in_context(path));
    let wrong = faults.iter().find(|(fault, ..)| by_all(fault));
    if let (None, Some((path, stage, line))) = (wrong, missing) {
        let fault = StageError::Invalid(format!("'{path}' is not in the build context"));
        let failure = source.failure(&fault, stage, line).hint(format!(
            "add it to the image, as in files = [{{ from = \"{path}\", to = \"/…\" }}], and have the template {{% include \"contents\" %}}"
        ));
        return Err(Refusal { failure, by_all: true });
    }
    let first = wrong.or(faults.first());
    first.map_or(Ok(()), |(fault, stage, line)| {
        Err(Refusal { failure: source.failure(fault, stage, line), by_all: by_all(fault) })
    })
}

fn read<'a>(source: StageSource<'a>, parsed: &Dockerfile<'a>, platforms: &[(Platform, &str)]) -> Found<'a> {
    let mut found = Found::default();
    let faults = &mut found.faults;
    if parsed.parser_directives.escape.is_some() {
        faults.push((StageError::Unsupported("the escape directive".to_owned()), String::new(), ""));
    }
    for stage in parsed.stages() {
        let name = stage.from.as_.as_ref().map(|(_, name)| name.value.to_string()).unwrap_or_default();
        match platforms.iter().find(|(platform, _)| render::stage(*platform) == name) {
            Some((platform, base)) => {
                let stage = of_stage(source, parsed, &stage, *platform, base);
                faults.extend(stage.faults);
                found.copied.extend(stage.copied);
            }
            // The last line picks a platform's.
            None if stage.from.image.value.contains("${TARGETOS}") => {}
            None => faults.push((StageError::Unsupported(format!("the stage '{name}'")), name, "")),
        }
    }
    found
}

fn of_stage<'a>(
    source: StageSource<'a>,
    parsed: &Dockerfile<'a>,
    stage: &Stage<'a, '_>,
    platform: Platform,
    base: &str,
) -> Found<'a> {
    let name = render::stage(platform);
    let outer = match source.outer(parsed, platform) {
        Ok(outer) => outer,
        Err(fault) => return Found { faults: vec![(fault, name, "")], ..Found::default() },
    };
    let (mut faults, mut copied) = (Vec::new(), Vec::new());
    let from = expand(&stage.from.image.value, &|name| outer.get(name).cloned().flatten());
    let nothing_else = from.as_deref() == Ok("scratch");
    let fault = match from {
        _ if !stage.from.options.is_empty() => Some(StageError::Unsupported("FROM with an option".to_owned())),
        Err(fault) => Some(fault),
        Ok(from) if from != base => {
            Some(StageError::Unsupported(format!("FROM {from}, which is not its base {base},")))
        }
        Ok(_) => None,
    };
    faults.extend(fault.map(|fault| (fault, name.clone(), "")));

    let unknown = Value::Object(serde_json::Map::new());
    let begins_with = (!nothing_else).then_some(&unknown);
    let mut interpreter = Evaluator::new(source, platform, outer, begins_with);
    for instruction in stage.instructions {
        let line = source.line(instruction);
        let result = interpreter.apply(instruction, line);
        // What depends on the base is judged when that is there.
        let in_doubt = interpreter.in_doubt(instruction) && begins_with.is_some();
        faults.extend(result.err().filter(|_| !in_doubt).map(|fault| (fault, name.clone(), line)));
        let paths = interpreter.take_copies().into_iter().flat_map(|copy| copy.sources).filter(|_| !in_doubt);
        copied.extend(paths.map(|path| (path, name.clone(), line)));
    }
    Found { faults, copied }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indexmap::IndexMap;

    /// What is said of a stage of linux/amd64 on a base `x`, and whether all engines would fail.
    fn refused(text: &str) -> Option<(String, bool)> {
        let text = format!("{text}\nFROM platform-${{TARGETOS}}\n");
        let dockerfile = render::tests::of_text(&text, "platform-linux-amd64");
        let given = IndexMap::from([("GIVEN".to_owned(), "g".to_owned())]);
        let binaries = ["linux/amd64/app", "linux/amd64/tool", "linux/arm64/app"].map(str::to_owned);
        let source = StageSource { image: "app", dockerfile: &dockerfile, given: &given, binaries: &binaries };
        let platforms = [("linux/amd64".parse().unwrap(), "x")];
        let refusal = check(source, &platforms, &|path| !path.contains("none")).err()?;
        assert!(!refusal.failure.hints().is_empty(), "{}", refusal.failure);
        Some((refusal.failure.to_string(), refusal.by_all))
    }

    #[test]
    fn what_needs_a_builder_is_named() {
        let from = "FROM x AS platform-linux-amd64";
        for (first, lines, what, line) in [
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
            let said = format!("image 'app': the embedded engine cannot do {what} of its template my.j2{line}");
            assert_eq!(refused(&format!("{first}\n{lines}")), Some((said, false)), "{first} {lines}");
        }
    }

    #[test]
    fn what_is_wrong_for_all_is_named_with_its_line() {
        for (lines, what) in [
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
            let said = format!("image 'app': my.j2:3: {what}: {lines}");
            assert_eq!(refused(&text), Some((said.clone(), true)), "{lines}");
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
            let said = format!(
                "image 'app': my.j2:{}: '{path}' is not in the build context: {line}",
                lines.lines().count() + 2
            );
            assert_eq!(missing(lines), Some((said, true)), "{lines}");
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
