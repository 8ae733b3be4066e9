//! Carries out the instructions of a stage: ARG and ENV as they come, COPY and WORKDIR as a list, all else on the config.
//! What it refuses, it refuses by name. Pure.

use std::cell::Cell;

use indexmap::IndexMap;
use parse_dockerfile::{
    CopyInstruction, Flag, HealthcheckInstruction, Instruction, JsonOrStringArray, UnescapedString,
};
use serde_json::Value;

use super::build_args::{BuildArgs, declare};
use super::container_config::Container;
use super::error::StageError;
use super::expand::{expand, pairs};
use super::ports::ports;
use super::stage::{Stage, StageCopy, StageSource};
use crate::config::value_syntax::is_signal;
use crate::oci::rootfs::{clean, parent};
use crate::platform::Platform;

pub struct Evaluator<'a> {
    source: StageSource<'a>,
    platform: Platform,
    outer: BuildArgs,
    arguments: IndexMap<String, String>,
    copies: Vec<StageCopy>,
    container: Container,
    /// A variable was asked for.
    asked: Cell<bool>,
    /// One was asked for that is not set.
    missed: Cell<bool>,
    /// A variable may be another than it seems.
    doubtful: bool,
}

impl<'a> Evaluator<'a> {
    /// `base` is the `config` of the base.
    pub fn new(source: StageSource<'a>, platform: Platform, outer: BuildArgs, base: Option<&Value>) -> Self {
        Evaluator {
            source,
            platform,
            outer,
            arguments: IndexMap::new(),
            copies: Vec::new(),
            container: Container::new(base),
            asked: Cell::new(false),
            missed: Cell::new(false),
            doubtful: false,
        }
    }

    /// The copies since it was last asked.
    pub fn take_copies(&mut self) -> Vec<StageCopy> {
        std::mem::take(&mut self.copies)
    }

    pub fn finish(self, from: &str) -> Stage {
        Stage { from: from.to_owned(), copies: self.copies, config: self.container.into_value() }
    }

    /// Did the last instruction ask for a variable that the base may have set, or for one made of such?
    pub fn in_doubt(&mut self, instruction: &Instruction<'_>) -> bool {
        let (asked, missed) = (self.asked.replace(false), self.missed.replace(false));
        let doubt = missed || (asked && self.doubtful);
        self.doubtful |= doubt && matches!(instruction, Instruction::Env(_) | Instruction::Arg(_));
        doubt
    }

    /// A variable: ENV before ARG.
    fn lookup(&self, name: &str) -> Option<String> {
        let found = self.container.env(name).or_else(|| self.arguments.get(name).cloned());
        self.asked.set(true);
        self.missed.set(self.missed.get() || found.is_none());
        found
    }

    fn word(&self, word: &str) -> Result<String, StageError> {
        expand(word, &|name| self.lookup(name))
    }

    fn words<'w, 's: 'w>(
        &self,
        words: impl IntoIterator<Item = &'w UnescapedString<'s>>,
    ) -> Result<Vec<String>, StageError> {
        words.into_iter().map(|word| self.word(&word.value)).collect()
    }

    fn pairs(&self, text: &str) -> Result<Vec<(String, String)>, StageError> {
        pairs(text, &|name| self.lookup(name))
    }

    /// `line` is what the history says of it.
    pub fn apply(&mut self, instruction: &Instruction<'_>, line: &str) -> Result<(), StageError> {
        match instruction {
            Instruction::Run(_) => Err(StageError::unsupported("RUN")),
            Instruction::Add(_) => Err(StageError::unsupported("ADD")),
            Instruction::Onbuild(_) => Err(StageError::unsupported("ONBUILD")),
            Instruction::Maintainer(_) => Err(StageError::unsupported("MAINTAINER")),
            Instruction::Arg(arg) => self.argument(&arg.arguments.value),
            Instruction::Copy(copy) => self.copy(copy, line),
            Instruction::Healthcheck(check) => self.healthcheck(check),
            Instruction::Workdir(workdir) => self.workdir(&workdir.arguments.value, line),
            other => self.set(other),
        }
    }

    /// What only changes the config.
    fn set(&mut self, instruction: &Instruction<'_>) -> Result<(), StageError> {
        match instruction {
            Instruction::Env(env) => {
                self.pairs(&env.arguments.value)?.iter().for_each(|(name, value)| self.container.set_env(name, value));
            }
            Instruction::Label(label) => {
                self.pairs(&label.arguments.value)?
                    .into_iter()
                    .for_each(|(name, value)| self.container.label(name, value));
            }
            Instruction::Expose(expose) => {
                for port in self.words(&expose.arguments)?.iter().flat_map(|words| words.split_whitespace()) {
                    ports(port)?.into_iter().for_each(|port| self.container.expose(port));
                }
            }
            Instruction::Volume(volume) => {
                let paths = match &volume.arguments {
                    JsonOrStringArray::Json(list) => &list.value,
                    JsonOrStringArray::String(list) => list,
                };
                self.words(paths)?.into_iter().for_each(|path| self.container.volume(path));
            }
            Instruction::User(user) => self.container.set("User", self.word(&user.arguments.value)?.into()),
            Instruction::Stopsignal(signal) => {
                let signal = self.word(&signal.arguments.value)?;
                if !is_signal(&signal) {
                    return Err(StageError::invalid(format!("'{signal}' is not a signal")));
                }
                self.container.set("StopSignal", signal.into());
            }
            Instruction::Shell(shell) => {
                let words = shell.arguments.iter().map(|word| Value::from(word.value.as_ref())).collect();
                self.container.set("Shell", words);
            }
            Instruction::Entrypoint(entrypoint) => self.container.entrypoint(&entrypoint.arguments),
            Instruction::Cmd(cmd) => self.container.cmd(&cmd.arguments),
            _ => return Err(StageError::unsupported("an instruction that it does not know")),
        }
        Ok(())
    }

    fn argument(&mut self, text: &str) -> Result<(), StageError> {
        let lookup = |name: &str| self.lookup(name);
        let declared = declare(text, self.source.given, &self.outer, self.platform, &lookup)?;
        self.arguments.extend(declared.into_iter().filter_map(|(name, value)| Some((name, value?))));
        Ok(())
    }

    fn workdir(&mut self, path: &str, line: &str) -> Result<(), StageError> {
        let path = self.absolute(&self.word(path)?);
        let target = format!("{}/", path.trim_end_matches('/'));
        let owner = self.container.user();
        self.copies.push(StageCopy { sources: Vec::new(), target, mode: None, owner, text: line.to_owned() });
        self.container.set("WorkingDir", path.into());
        Ok(())
    }

    fn healthcheck(&mut self, check: &HealthcheckInstruction<'_>) -> Result<(), StageError> {
        once(&check.options)?;
        let options = check.options.iter().map(|flag| {
            let given = flag.value.as_ref().map(|value| value.value.as_ref()).unwrap_or_default();
            // Its flags have quotes, but BuildKit replaces no variables in them.
            let value = if given.contains('$') { given.to_owned() } else { self.word(given)? };
            Ok((flag.name.value.to_string(), value))
        });
        let options = options.collect::<Result<Vec<_>, StageError>>()?;
        self.container.healthcheck(&check.arguments, &options)
    }

    fn copy(&mut self, copy: &CopyInstruction<'_>, line: &str) -> Result<(), StageError> {
        once(&copy.options)?;
        let (mut mode, mut owner) = (None, None);
        for flag in &copy.options {
            let value = flag.value.as_ref().map(|value| value.value.as_ref());
            match (flag.name.value.as_ref(), value) {
                ("chmod", Some(value)) => mode = Some(octal(&self.word(value)?)?),
                ("chown", Some(value)) => owner = Some(self.word(value)?),
                ("link", Some("false")) => {}
                (name, _) => return Err(StageError::unsupported(format!("COPY --{name}"))),
            }
        }
        let mut sources = Vec::new();
        for source in &copy.src {
            match source {
                parse_dockerfile::Source::Path(path) => sources.push(clean(&self.word(&path.value)?)),
                _ => return Err(StageError::unsupported("the heredoc")),
            }
        }
        self.check_sources(&sources)?;
        let given = self.word(&copy.dest.value)?;
        let mut target = self.absolute(&given);
        if !target.ends_with('/') && (given.ends_with('/') || given == ".") {
            target.push('/');
        }
        self.copies.push(StageCopy { sources, target, mode, owner, text: line.to_owned() });
        Ok(())
    }

    /// A binary may still be missing, and so comes alone and by its own name.
    fn check_sources(&self, sources: &[String]) -> Result<(), StageError> {
        for source in sources {
            if source.contains(['*', '?', '[']) {
                return Err(StageError::unsupported("the wildcard"));
            }
            let holds = |binary: &&String| {
                source.is_empty() || binary.strip_prefix(source.as_str()).is_some_and(|rest| rest.starts_with('/'))
            };
            if self.source.binaries.contains(source) {
                if parent(source) != self.platform.name() {
                    return Err(StageError::unsupported(format!("COPY of {source}, a binary of another platform,")));
                }
                if sources.len() > 1 {
                    return Err(StageError::unsupported(format!("COPY of {source} together with others")));
                }
            } else if let Some(binary) = self.source.binaries.iter().find(holds) {
                let folder = if source.is_empty() { "." } else { source };
                return Err(StageError::unsupported(format!(
                    "COPY of the folder {folder}, which holds the binary {binary},"
                )));
            }
        }
        Ok(())
    }

    /// A path from the root; a relative one begins at the working directory.
    fn absolute(&self, path: &str) -> String {
        let from = if path.starts_with('/') { "" } else { self.container.workdir() };
        format!("/{}", clean(&format!("{from}/{path}")))
    }
}

/// A flag that comes twice is an error.
fn once(flags: &[Flag<'_>]) -> Result<(), StageError> {
    let twice = flags
        .iter()
        .enumerate()
        .find(|(index, flag)| flags[..*index].iter().any(|other| other.name.value == flag.name.value));
    twice.map_or(Ok(()), |(_, flag)| Err(StageError::invalid(format!("--{} is there twice", flag.name.value))))
}

fn octal(mode: &str) -> Result<u32, StageError> {
    match u32::from_str_radix(mode, 8) {
        Ok(number) if number <= 0o7777 && !mode.starts_with('+') => Ok(number),
        _ => Err(StageError::unsupported(format!("COPY --chmod={mode}, which is no octal mode,"))),
    }
}
