//! What a stage of a Dockerfile does, where it needs no program to run: copies, and changes of the config. Pure.
//! Both engines build from the same text, so that there is one description of an image.

use anyhow::Result;
use indexmap::IndexMap;
use parse_dockerfile::{CopyInstruction, Dockerfile, Instruction, JsonOrStringArray, Source, UnescapedString};
use serde_json::Value;

use super::container::Container;
use super::tree::normal;
use super::words::{expand, pairs, split};
use crate::error::{Class, Failure};
use crate::platform::Platform;

/// Bytes of the build context that go into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Relative to the build context.
    pub sources: Vec<String>,
    /// Absolute. With a `/` at its end it is a folder.
    pub target: String,
    /// Of files and folders alike, where they don't keep their own.
    pub mode: Option<u32>,
    /// `user[:group]`, in numbers or names; root where there is none.
    pub owner: Option<String>,
    /// The instruction, for the image's history.
    pub text: String,
}

/// What the instructions of a stage come to on top of a base's config.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    pub copies: Vec<Copy>,
    /// The `config` of an image config (image-spec, config.md, and Docker's additions to it).
    pub config: Value,
}

/// Fails, naming it, for what only a builder can do. `bases` has each stage's name and the base that the plan has for it.
pub fn check(image: &str, text: &str, bases: &[(String, &str)]) -> Result<(), Failure> {
    let dockerfile = parse(image, text)?;
    let what = dockerfile.stages().find_map(|stage| {
        let from = &stage.from.image.value;
        let name = stage.from.as_.as_ref().map(|(_, name)| name.value.as_ref()).unwrap_or_default();
        let last = from.contains("${TARGETOS}");
        match bases.iter().find(|(of, _)| of == name) {
            _ if !stage.from.options.is_empty() => Some("FROM with an option".to_owned()),
            None if !last => Some(format!("the stage '{name}'")),
            Some((_, base)) if base != from => Some(format!("FROM {from}, which is not its base {base},")),
            _ => stage.instructions.iter().find_map(beyond),
        }
    });
    let what = what.or_else(|| dockerfile.parser_directives.escape.as_ref().map(|_| "the escape directive".to_owned()));
    match what {
        None => Ok(()),
        Some(what) => Err(Failure::new(
            Class::Config,
            format!("image '{image}': the embedded engine cannot do {what} of its template"),
        )
        .hint("take the other engine: `--engine buildx`")),
    }
}

/// The name of an instruction that needs a builder.
fn beyond(instruction: &Instruction<'_>) -> Option<String> {
    let copy = match instruction {
        Instruction::Run(_) => return Some("RUN".to_owned()),
        Instruction::Add(_) => return Some("ADD".to_owned()),
        Instruction::Onbuild(_) => return Some("ONBUILD".to_owned()),
        Instruction::Copy(copy) => copy,
        _ => return None,
    };
    let source = copy.src.iter().find_map(|source| match source {
        Source::HereDoc(_) => Some("the heredoc".to_owned()),
        Source::Path(path) if path.value.contains(['*', '?', '[']) => Some("the wildcard".to_owned()),
        _ => None,
    });
    let mut flags = copy.options.iter().map(|flag| flag.name.value.as_ref());
    source.or_else(|| {
        flags.find(|name| !matches!(*name, "chmod" | "chown" | "link")).map(|flag| format!("COPY --{flag}"))
    })
}

fn parse<'a>(image: &str, text: &'a str) -> Result<Dockerfile<'a>, Failure> {
    parse_dockerfile::parse(text).map_err(|error| {
        Failure::new(Class::Config, format!("image '{image}': its Dockerfile: {error}"))
            .hint("see it with `cargo multiarch dockerfile`")
    })
}

/// Reads the stage of a platform. `base` is the base's `config`; none begins with nothing.
pub fn read(
    image: &str,
    text: &str,
    stage: &str,
    platform: Platform,
    build_args: &IndexMap<String, String>,
    base: Option<&Value>,
) -> Result<Script> {
    let dockerfile = parse(image, text)?;
    let stage = dockerfile.stage(stage).ok_or_else(|| anyhow::anyhow!("the Dockerfile has no stage '{stage}'"))?;
    let mut state = State::new(platform, build_args, base);
    for instruction in stage.instructions {
        state.apply(instruction, text).map_err(|what| {
            let line = text.get(span(instruction, text)).unwrap_or_default();
            Failure::new(Class::Config, format!("image '{image}': {what} in its Dockerfile: {line}"))
        })?;
    }
    Ok(Script { copies: state.copies, config: state.container.into_value() })
}

/// The instruction's first line.
fn span(instruction: &Instruction<'_>, text: &str) -> std::ops::Range<usize> {
    let keyword = match instruction {
        Instruction::Arg(arg) => &arg.arg,
        Instruction::Copy(copy) => &copy.copy,
        Instruction::Env(env) => &env.env,
        Instruction::Expose(expose) => &expose.expose,
        Instruction::Healthcheck(check) => &check.healthcheck,
        Instruction::Label(label) => &label.label,
        Instruction::Stopsignal(signal) => &signal.stopsignal,
        Instruction::User(user) => &user.user,
        Instruction::Volume(volume) => &volume.volume,
        Instruction::Workdir(workdir) => &workdir.workdir,
        _ => return 0..0,
    };
    let start = keyword.span.start;
    let length = text.get(start..).and_then(|rest| rest.find('\n')).unwrap_or(text.len() - start);
    start..start + length
}

struct State<'a> {
    args: IndexMap<String, String>,
    build_args: &'a IndexMap<String, String>,
    platform: Platform,
    copies: Vec<Copy>,
    container: Container,
}

impl<'a> State<'a> {
    fn new(platform: Platform, build_args: &'a IndexMap<String, String>, base: Option<&Value>) -> Self {
        let container = Container::new(base);
        State { args: IndexMap::new(), build_args, platform, copies: Vec::new(), container }
    }

    /// A variable: ENV before ARG.
    fn lookup(&self, name: &str) -> Option<String> {
        self.container.env(name).or_else(|| self.args.get(name).cloned())
    }

    fn word(&self, word: &str) -> Result<String, String> {
        expand(word, &|name| self.lookup(name))
    }

    fn words<'w, 's: 'w>(
        &self,
        words: impl IntoIterator<Item = &'w UnescapedString<'s>>,
    ) -> Result<Vec<String>, String> {
        words.into_iter().map(|word| self.word(&word.value)).collect()
    }

    fn pairs(&self, text: &str) -> Result<Vec<(String, String)>, String> {
        pairs(text, &|name| self.lookup(name))
    }

    fn apply(&mut self, instruction: &Instruction<'_>, text: &str) -> Result<(), String> {
        let line = text.get(span(instruction, text)).unwrap_or_default();
        match instruction {
            Instruction::Arg(arg) => self.arg(&arg.arguments.value)?,
            Instruction::Copy(copy) => self.copy(copy, line)?,
            Instruction::Env(env) => {
                self.pairs(&env.arguments.value)?
                    .into_iter()
                    .for_each(|(name, value)| self.container.set_env(&name, &value));
            }
            Instruction::Label(label) => {
                self.pairs(&label.arguments.value)?
                    .into_iter()
                    .for_each(|(name, value)| self.container.label(name, value));
            }
            Instruction::Expose(expose) => {
                self.words(&expose.arguments)?.into_iter().for_each(|port| self.container.expose(port));
            }
            Instruction::Volume(volume) => {
                let paths = match &volume.arguments {
                    JsonOrStringArray::Json(list) => &list.value,
                    JsonOrStringArray::String(list) => list,
                };
                self.words(paths)?.into_iter().for_each(|path| self.container.volume(path));
            }
            Instruction::Workdir(workdir) => {
                let path = format!("/{}", normal(&self.absolute(&self.word(&workdir.arguments.value)?)));
                let target = format!("{path}/");
                self.copies.push(Copy {
                    sources: Vec::new(),
                    target,
                    mode: None,
                    owner: self.container.user(),
                    text: line.to_owned(),
                });
                self.container.set("WorkingDir", path.into());
            }
            Instruction::User(user) => self.container.set("User", self.word(&user.arguments.value)?.into()),
            Instruction::Stopsignal(signal) => {
                self.container.set("StopSignal", self.word(&signal.arguments.value)?.into())
            }
            Instruction::Shell(shell) => {
                self.container
                    .set("Shell", shell.arguments.iter().map(|word| Value::from(word.value.as_ref())).collect());
            }
            Instruction::Entrypoint(entrypoint) => self.container.entrypoint(&entrypoint.arguments),
            Instruction::Cmd(cmd) => self.container.cmd(&cmd.arguments),
            Instruction::Healthcheck(check) => {
                let options = check.options.iter().map(|flag| {
                    let given = flag.value.as_ref().map(|value| value.value.as_ref()).unwrap_or_default();
                    Ok((flag.name.value.to_string(), self.word(given)?))
                });
                let options = options.collect::<Result<Vec<_>, String>>()?;
                self.container.healthcheck(&check.arguments, &options)?;
            }
            Instruction::Maintainer(_) => return Err("MAINTAINER is out of use, and a label does the same".to_owned()),
            _ => return Err("an instruction that the embedded engine does not know".to_owned()),
        }
        Ok(())
    }

    fn copy(&mut self, copy: &CopyInstruction<'_>, line: &str) -> Result<(), String> {
        let paths = copy.src.iter().filter_map(|source| match source {
            Source::Path(path) => Some(path),
            _ => None,
        });
        let sources = self.words(paths)?;
        let target = self.absolute(&self.word(&copy.dest.value)?);
        let option = |name: &str| {
            let flag = copy.options.iter().find(|flag| flag.name.value == name)?;
            Some(self.word(flag.value.as_ref().map(|value| value.value.as_ref()).unwrap_or_default()))
        };
        let octal = |mode: String| {
            let wrong = |_| format!("the embedded engine wants an octal mode, not '{mode}'");
            u32::from_str_radix(&mode, 8).map_err(wrong)
        };
        let mode = option("chmod").transpose()?.map(octal).transpose()?;
        let owner = option("chown").transpose()?;
        self.copies.push(Copy { sources, target, mode, owner, text: line.to_owned() });
        Ok(())
    }

    /// A build argument: what was given, else what is the platform's, else the default.
    fn arg(&mut self, text: &str) -> Result<(), String> {
        for word in split(text) {
            let (name, default) = word.split_once('=').map_or((word.as_str(), None), |(name, word)| (name, Some(word)));
            let automatic = match name {
                "TARGETPLATFORM" => Some(self.platform.name()),
                "TARGETOS" => Some(self.platform.os()),
                "TARGETARCH" => Some(self.platform.architecture()),
                "TARGETVARIANT" => Some(self.platform.variant().unwrap_or_default()),
                _ => None,
            };
            let given = self.build_args.get(name).cloned().or(automatic.map(str::to_owned));
            let value = match (given, default) {
                (Some(given), _) => given,
                (None, Some(default)) => self.word(default)?,
                (None, None) => continue,
            };
            self.args.insert(name.to_owned(), value);
        }
        Ok(())
    }

    /// A path from the root; a relative one begins at the working directory.
    fn absolute(&self, path: &str) -> String {
        match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{}/{path}", self.container.workdir().trim_matches('/')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stage(lines: &str, base: Option<&Value>) -> Result<Script> {
        let text = format!("FROM x AS platform-linux-arm64\n{lines}\nFROM platform-${{TARGETOS}}-${{TARGETARCH}}\n");
        let args = IndexMap::from([("GIVEN".to_owned(), "g\nh".to_owned())]);
        read("app", &text, "platform-linux-arm64", "linux/arm64".parse().unwrap(), &args, base)
    }

    #[test]
    fn the_config_is_what_docker_makes_of_it() {
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
            ("VOLUME [\"/a b\"]", "Volumes", json!({ "/a b": {} })),
            ("WORKDIR sub//x/", "WorkingDir", json!("/srv/sub/x")),
            ("USER \"65532:65532\"", "User", json!("65532:65532")),
            ("ENTRYPOINT [\"/a\", \"b$c\"]", "Entrypoint", json!(["/a", "b$c"])),
            ("ENTRYPOINT [\"/a\"]", "Cmd", json!(null)),
            ("CMD [\"x\"]\nENTRYPOINT [\"/a\"]", "Cmd", json!(["x"])),
            ("CMD echo $hi", "Cmd", json!(["/bin/ash", "-c", "echo $hi"])),
            (
                "HEALTHCHECK --interval=1m30s --timeout=0.5s --start-period=2h --retries=3 CMD [\"/a\"]",
                "Healthcheck",
                json!({ "Test": ["CMD", "/a"], "Interval": 90_000_000_000_u64, "Timeout": 500_000_000, "StartPeriod": 7_200_000_000_000_u64, "Retries": 3 }),
            ),
            ("HEALTHCHECK NONE", "Healthcheck", json!({ "Test": ["NONE"] })),
            ("STOPSIGNAL \"SIGINT\"", "StopSignal", json!("SIGINT")),
        ] {
            let script = stage(lines, Some(&base)).unwrap();
            assert_eq!(script.config.get(key).unwrap_or(&Value::Null), &value, "{lines}");
        }
        let scratch = stage("", None).unwrap();
        assert_eq!(scratch.config["Env"], json!(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]));
    }

    #[test]
    fn copies_keep_their_order_and_options() {
        let lines = "COPY rootfs/ /\nWORKDIR /w\nCOPY --chmod=0640 --chown=7 a b/\nCOPY [\"x\\\\$y\", \"/z\"]";
        let script = stage(lines, None).unwrap();
        let copies: Vec<_> = script
            .copies
            .iter()
            .map(|copy| (copy.sources.join("+"), copy.target.as_str(), copy.mode, copy.owner.as_deref()))
            .collect();
        assert_eq!(
            copies,
            [
                ("rootfs/".to_owned(), "/", None, None),
                (String::new(), "/w/", None, None),
                ("a".to_owned(), "/w/b/", Some(0o640), Some("7")),
                ("x$y".to_owned(), "/z", None, None),
            ]
        );
        assert_eq!(script.copies[2].text, "COPY --chmod=0640 --chown=7 a b/");
    }

    #[test]
    fn what_needs_a_builder_is_named() {
        let bases = [("platform-a".to_owned(), "x")];
        let check = |first: &str, lines: &str| {
            check("app", &format!("{first}\n{lines}\nFROM platform-${{TARGETOS}}\n"), &bases)
        };
        let from = "FROM x AS platform-a";
        for (first, lines, what) in [
            (from, "RUN true", "RUN"),
            (from, "ADD https://x.example/a /a", "ADD"),
            (from, "ONBUILD COPY a b", "ONBUILD"),
            (from, "COPY <<EOF /a\nhi\nEOF", "the heredoc"),
            (from, "COPY a* /a", "the wildcard"),
            (from, "COPY --from=other a /a", "COPY --from"),
            (from, "COPY a /a\nFROM y AS tools", "the stage 'tools'"),
            ("FROM y AS platform-a", "", "FROM y, which is not its base x,"),
            ("FROM --platform=linux/amd64 x AS platform-a", "", "FROM with an option"),
            ("# escape=`\nFROM x AS platform-a", "", "the escape directive"),
        ] {
            let message = check(first, lines).unwrap_err().to_string();
            assert_eq!(
                message,
                format!("image 'app': the embedded engine cannot do {what} of its template"),
                "{first} {lines}"
            );
        }
        assert!(check(from, "COPY --chown=1 a /a").is_ok());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (lines, what) in [
            ("COPY --chmod=u+x a /a", "octal"),
            ("HEALTHCHECK --interval=often CMD [\"/a\"]", "not a duration"),
            ("ENV A=\"x", "quote"),
        ] {
            let error = stage(lines, None).unwrap_err().to_string();
            assert!(error.contains(what) && error.ends_with(lines), "{error}");
        }
    }
}
