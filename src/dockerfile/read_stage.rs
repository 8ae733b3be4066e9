//! Evaluates a single platform's stage in a rendered Dockerfile.

use anyhow::{Context, Result};
use serde_json::Value;

use super::evaluate::Evaluator;
use super::render::stage_name;
use super::stage::{Stage, StageSource};
use crate::platform::Platform;

/// Evaluates a platform's stage. `base` is the `config` of the base image, or `None` for `scratch`.
pub(crate) fn read_stage(source: &StageSource<'_>, platform: Platform, base: Option<&Value>) -> Result<Stage> {
    let parsed = source.parse()?;
    let name = stage_name(platform);
    let stage = parsed.stage(&name).with_context(|| format!("the Dockerfile has no stage '{name}'"))?;
    let args = source.global_args(&parsed, platform).map_err(|error| source.failure(&error, &name, ""))?;
    let mut evaluator = Evaluator::new(source, platform, args, base);
    for instruction in stage.instructions {
        let line = source.first_line(instruction);
        evaluator.apply(instruction, line).map_err(|error| source.failure(&error, &name, line))?;
    }
    Ok(evaluator.finish(&stage.from.image.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::empty_command;
    use crate::dockerfile::render;
    use indexmap::IndexMap;
    use serde_json::json;

    fn evaluated(lines: &str, base: Option<&Value>) -> Result<Stage> {
        let text = format!("FROM x AS platform-linux-arm64\n{lines}\nFROM platform-${{TARGETOS}}-${{TARGETARCH}}\n");
        let dockerfile = render::tests::from_text(&text, "platform-linux-arm64");
        let passed_args = IndexMap::from([("GIVEN".to_owned(), "g\nh".to_owned())]);
        let text = empty_command::insert_placeholders(&dockerfile.text);
        let source = StageSource { image: "app", dockerfile: &dockerfile, text, passed_args, binaries: Vec::new() };
        read_stage(&source, "linux/arm64".parse().unwrap(), base)
    }

    #[test]
    fn evaluates_the_config_like_docker() {
        let base = json!({ "Env": ["PATH=/bin", "B=1"], "Cmd": ["sh"], "Labels": { "base": "1" }, "WorkingDir": "/srv", "Shell": ["/bin/ash", "-c"] });
        for (lines, key, value) in [
            ("ENV A=1 B=\"x $PATH\"", "Env", json!(["PATH=/bin", "B=x /bin", "A=1"])),
            (
                "ARG GIVEN\nARG D=$TARGETARCH-d\nARG TARGETARCH\nENV A=\"$GIVEN\" C=$D",
                "Env",
                json!(["PATH=/bin", "B=1", "A=g\nh", "C=-d"]),
            ),
            ("LABEL \"a.b\"=\"\\$x\"", "Labels", json!({ "base": "1", "a.b": "$x" })),
            ("EXPOSE 80 53/udp", "ExposedPorts", json!({ "80/tcp": {}, "53/udp": {} })),
            (
                "ARG P='1 2'\nEXPOSE $P 8-9",
                "ExposedPorts",
                json!({ "1/tcp": {}, "2/tcp": {}, "8/tcp": {}, "9/tcp": {} }),
            ),
            ("VOLUME [\"/a b\"]", "Volumes", json!({ "/a b": {} })),
            ("WORKDIR sub//x/", "WorkingDir", json!("/srv/sub/x")),
            ("WORKDIR ../..//x/../y", "WorkingDir", json!("/y")),
            ("ARG TARGETARCH=own\nENV B=$TARGETARCH", "Env", json!(["PATH=/bin", "B=own"])),
            ("USER \"65532:65532\"", "User", json!("65532:65532")),
            ("ENTRYPOINT [\"/a\", \"b$c\"]", "Entrypoint", json!(["/a", "b$c"])),
            ("ENTRYPOINT [\"/a\"]", "Cmd", json!(null)),
            ("CMD [\"x\"]\nENTRYPOINT [\"/a\"]", "Cmd", json!(["x"])),
            ("CMD [\"x\"]\nENTRYPOINT []", "Entrypoint", json!(null)),
            ("ENTRYPOINT []\nCMD [\"x\"]", "Cmd", json!(["x"])),
            ("CMD []", "Cmd", json!(null)),
            ("CMD echo $hi", "Cmd", json!(["/bin/ash", "-c", "echo $hi"])),
            (
                "HEALTHCHECK --interval=1m30s --timeout=0.5s --start-period=2h --retries=3 CMD [\"/a\"]",
                "Healthcheck",
                json!({ "Test": ["CMD", "/a"], "Interval": 90_000_000_000_u64, "Timeout": 500_000_000, "StartPeriod": 7_200_000_000_000_u64, "Retries": 3 }),
            ),
            ("HEALTHCHECK NONE", "Healthcheck", json!({ "Test": ["NONE"] })),
            ("HEALTHCHECK --interval=\"0s\" --retries=0 CMD x", "Healthcheck", json!({ "Test": ["CMD-SHELL", "x"] })),
            ("HEALTHCHECK --interval=5x NONE", "Healthcheck", json!({ "Test": ["NONE"] })),
            ("STOPSIGNAL \"SIGINT\"", "StopSignal", json!("SIGINT")),
        ] {
            let stage = evaluated(lines, Some(&base)).unwrap();
            assert_eq!(stage.config.get(key).unwrap_or(&Value::Null), &value, "{lines}");
        }
        let scratch = evaluated("", None).unwrap();
        assert_eq!(scratch.config["Env"], json!(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]));
    }

    #[test]
    fn copies_keep_their_order_and_options() {
        let lines = "COPY rootfs/ /\nWORKDIR /w\nCOPY --chmod=0640 --chown=7 a b/\nCOPY [\"x\\\\$y\", \"/z\"]\nUSER me\n\
            COPY ../c/./d e/.. ../f/../g/\nCOPY a .\nWORKDIR h";
        let stage = evaluated(lines, None).unwrap();
        let copies: Vec<_> = stage
            .copies
            .iter()
            .map(|copy| (copy.sources.join("+"), copy.target.as_str(), copy.mode, copy.owner.as_deref()))
            .collect();
        assert_eq!(
            copies,
            [
                ("rootfs".to_owned(), "/", None, None),
                (String::new(), "/w/", None, None),
                ("a".to_owned(), "/w/b/", Some(0o640), Some("7")),
                ("x$y".to_owned(), "/z", None, None),
                ("c/d+".to_owned(), "/g/", None, None),
                ("a".to_owned(), "/w/", None, None),
                (String::new(), "/w/h/", None, Some("me")),
            ]
        );
        assert_eq!(stage.copies[2].text, "COPY --chmod=0640 --chown=7 a b/");
    }
}
