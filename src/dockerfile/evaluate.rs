//! Evaluates a Dockerfile stage. The result is a list of files to copy and an image configuration. Unsupported
//! instructions cause errors.

use std::cell::Cell;

use indexmap::IndexMap;
use parse_dockerfile::{
    CopyInstruction, Flag, HealthcheckInstruction, Instruction, JsonOrStringArray, UnescapedString,
};
use serde_json::Value;

use super::build_args::{GlobalArgs, declare};
use super::error::StageError;
use super::expand::{expand, parse_pairs};
use super::ports::parse_ports;
use super::stage::{Stage, StageCopy, StageSource};
use super::stage_config::StageConfig;
use crate::config::value_syntax::is_signal;
use crate::oci::rootfs::{clean, parent};
use crate::platform::Platform;

/// The state of a stage during evaluation.
pub(crate) struct Evaluator<'a> {
    source: &'a StageSource<'a>,
    platform: Platform,
    global_args: GlobalArgs,
    args: IndexMap<String, String>,
    copies: Vec<StageCopy>,
    config: StageConfig,
    /// Whether a variable was looked up since the last call to [`Evaluator::depends_on_base`].
    looked_up: Cell<bool>,
    /// Whether an unset variable was looked up since the last call to [`Evaluator::depends_on_base`].
    looked_up_unset: Cell<bool>,
    /// Whether the value of any variable may depend on the base's environment.
    has_uncertain_variables: bool,
}

impl<'a> Evaluator<'a> {
    /// Creates an evaluator. `base` is the `config` of the base image, or `None` for `scratch`.
    pub(crate) fn new(
        source: &'a StageSource<'a>,
        platform: Platform,
        global_args: GlobalArgs,
        base: Option<&Value>,
    ) -> Evaluator<'a> {
        Evaluator {
            source,
            platform,
            global_args,
            args: IndexMap::new(),
            copies: Vec::new(),
            config: StageConfig::new(base),
            looked_up: Cell::new(false),
            looked_up_unset: Cell::new(false),
            has_uncertain_variables: false,
        }
    }

    /// Returns the copies that were added since the last call, and clears the list.
    pub(crate) fn take_copies(&mut self) -> Vec<StageCopy> {
        std::mem::take(&mut self.copies)
    }

    pub(crate) fn finish(self, from: &str) -> Stage {
        Stage { from: from.to_owned(), copies: self.copies, config: self.config.into_value() }
    }

    /// Reports whether the last instruction used a variable that the base may set, or a value derived from such a
    /// variable.
    pub(crate) fn depends_on_base(&mut self, instruction: &Instruction<'_>) -> bool {
        let (looked_up, looked_up_unset) = (self.looked_up.replace(false), self.looked_up_unset.replace(false));
        let depends = looked_up_unset || (looked_up && self.has_uncertain_variables);
        self.has_uncertain_variables |= depends && matches!(instruction, Instruction::Env(_) | Instruction::Arg(_));
        depends
    }

    /// Looks up a variable. ENV takes precedence over ARG.
    fn lookup(&self, name: &str) -> Option<String> {
        let value = self.config.env(name).or_else(|| self.args.get(name).cloned());
        self.looked_up.set(true);
        self.looked_up_unset.set(self.looked_up_unset.get() || value.is_none());
        value
    }

    fn expand(&self, word: &str) -> Result<String, StageError> {
        expand(word, &|name| self.lookup(name))
    }

    fn expand_all<'w, 's: 'w>(
        &self,
        words: impl IntoIterator<Item = &'w UnescapedString<'s>>,
    ) -> Result<Vec<String>, StageError> {
        words.into_iter().map(|word| self.expand(&word.value)).collect()
    }

    fn parse_pairs(&self, text: &str) -> Result<Vec<(String, String)>, StageError> {
        parse_pairs(text, &|name| self.lookup(name))
    }

    /// Evaluates an instruction. `line` is its text for the image history.
    pub(crate) fn apply(&mut self, instruction: &Instruction<'_>, line: &str) -> Result<(), StageError> {
        match instruction {
            Instruction::Run(_) => Err(StageError::unsupported("RUN")),
            Instruction::Add(_) => Err(StageError::unsupported("ADD")),
            Instruction::Onbuild(_) => Err(StageError::unsupported("ONBUILD")),
            Instruction::Maintainer(_) => Err(StageError::unsupported("MAINTAINER")),
            Instruction::Arg(arg) => self.arg(&arg.arguments.value),
            Instruction::Copy(copy) => self.copy(copy, line),
            Instruction::Healthcheck(check) => self.healthcheck(check),
            Instruction::Workdir(workdir) => self.workdir(&workdir.arguments.value, line),
            other => self.apply_to_config(other),
        }
    }

    /// Evaluates an instruction that changes only the image configuration.
    fn apply_to_config(&mut self, instruction: &Instruction<'_>) -> Result<(), StageError> {
        match instruction {
            Instruction::Env(env) => {
                for (name, value) in self.parse_pairs(&env.arguments.value)? {
                    self.config.set_env(&name, &value);
                }
            }
            Instruction::Label(label) => {
                for (name, value) in self.parse_pairs(&label.arguments.value)? {
                    self.config.add_label(name, value);
                }
            }
            Instruction::Expose(expose) => {
                for spec in self.expand_all(&expose.arguments)?.iter().flat_map(|words| words.split_whitespace()) {
                    for port in parse_ports(spec)? {
                        self.config.add_exposed_port(port);
                    }
                }
            }
            Instruction::Volume(volume) => {
                let paths = match &volume.arguments {
                    JsonOrStringArray::Json(list) => &list.value,
                    JsonOrStringArray::String(list) => list,
                };
                for path in self.expand_all(paths)? {
                    self.config.add_volume(path);
                }
            }
            Instruction::User(user) => self.config.set("User", self.expand(&user.arguments.value)?.into()),
            Instruction::Stopsignal(signal) => {
                let signal = self.expand(&signal.arguments.value)?;
                if !is_signal(&signal) {
                    return Err(StageError::invalid(format!("'{signal}' is not a valid signal")));
                }
                self.config.set("StopSignal", signal.into());
            }
            Instruction::Shell(shell) => {
                let words = shell.arguments.iter().map(|word| Value::from(word.value.as_ref())).collect();
                self.config.set("Shell", words);
            }
            Instruction::Entrypoint(entrypoint) => self.config.set_entrypoint(&entrypoint.arguments),
            Instruction::Cmd(cmd) => self.config.set_cmd(&cmd.arguments),
            _ => return Err(StageError::unsupported("this instruction")),
        }
        Ok(())
    }

    fn arg(&mut self, text: &str) -> Result<(), StageError> {
        let lookup = |name: &str| self.lookup(name);
        let declared = declare(text, &self.source.passed_args, &self.global_args, self.platform, &lookup)?;
        self.args.extend(declared.into_iter().filter_map(|arg| Some((arg.name, arg.value?))));
        Ok(())
    }

    fn workdir(&mut self, path: &str, line: &str) -> Result<(), StageError> {
        let path = self.absolute(&self.expand(path)?);
        let target = format!("{}/", path.trim_end_matches('/'));
        let owner = self.config.user();
        self.copies.push(StageCopy { sources: Vec::new(), target, mode: None, owner, text: line.to_owned() });
        self.config.set("WorkingDir", path.into());
        Ok(())
    }

    fn healthcheck(&mut self, check: &HealthcheckInstruction<'_>) -> Result<(), StageError> {
        reject_repeated_flags(&check.options)?;
        let options = check.options.iter().map(|flag| {
            let text = flag.value.as_ref().map(|value| value.value.as_ref()).unwrap_or_default();
            // BuildKit removes quotes from these flags, but does not expand variables in them.
            let value = if text.contains('$') { text.to_owned() } else { self.expand(text)? };
            Ok((flag.name.value.to_string(), value))
        });
        let options = options.collect::<Result<Vec<_>, StageError>>()?;
        self.config.set_healthcheck(&check.arguments, &options)
    }

    fn copy(&mut self, copy: &CopyInstruction<'_>, line: &str) -> Result<(), StageError> {
        reject_repeated_flags(&copy.options)?;
        let (mut mode, mut owner) = (None, None);
        for flag in &copy.options {
            let value = flag.value.as_ref().map(|value| value.value.as_ref());
            match (flag.name.value.as_ref(), value) {
                ("chmod", Some(value)) => mode = Some(parse_mode(&self.expand(value)?)?),
                ("chown", Some(value)) => owner = Some(self.expand(value)?),
                ("link", Some("false")) => {}
                (name, _) => return Err(StageError::unsupported(format!("COPY --{name}"))),
            }
        }
        let mut sources = Vec::new();
        for source in &copy.src {
            match source {
                parse_dockerfile::Source::Path(path) => sources.push(clean(&self.expand(&path.value)?)),
                _ => return Err(StageError::unsupported("here-documents")),
            }
        }
        self.check_sources(&sources)?;
        let destination = self.expand(&copy.dest.value)?;
        let mut target = self.absolute(&destination);
        if !target.ends_with('/') && (destination.ends_with('/') || destination == ".") {
            target.push('/');
        }
        self.copies.push(StageCopy { sources, target, mode, owner, text: line.to_owned() });
        Ok(())
    }

    /// Checks that each binary is copied individually, because binaries may not have been compiled yet when the
    /// Dockerfile is evaluated.
    fn check_sources(&self, sources: &[String]) -> Result<(), StageError> {
        for source in sources {
            if source.contains(['*', '?', '[']) {
                return Err(StageError::unsupported("wildcards in COPY"));
            }
            let contains = |binary: &&String| {
                source.is_empty() || binary.strip_prefix(source.as_str()).is_some_and(|rest| rest.starts_with('/'))
            };
            if self.source.is_binary(source) {
                if parent(source) != self.platform.name() {
                    return Err(StageError::unsupported(format!(
                        "copying {source}, which is a binary for another platform"
                    )));
                }
                if sources.len() > 1 {
                    return Err(StageError::unsupported(format!(
                        "copying the binary {source} together with other files"
                    )));
                }
            } else if let Some(binary) = self.source.binaries.iter().find(contains) {
                let directory = if source.is_empty() { "." } else { source };
                return Err(StageError::unsupported(format!(
                    "copying the directory {directory}, which contains the binary {binary}"
                )));
            }
        }
        Ok(())
    }

    /// Resolves a path against the working directory.
    fn absolute(&self, path: &str) -> String {
        let from = if path.starts_with('/') { "" } else { self.config.workdir() };
        format!("/{}", clean(&format!("{from}/{path}")))
    }
}

fn reject_repeated_flags(flags: &[Flag<'_>]) -> Result<(), StageError> {
    for (index, flag) in flags.iter().enumerate() {
        if flags[..index].iter().any(|other| other.name.value == flag.name.value) {
            return Err(StageError::invalid(format!("--{} is specified twice", flag.name.value)));
        }
    }
    Ok(())
}

fn parse_mode(mode: &str) -> Result<u32, StageError> {
    match u32::from_str_radix(mode, 8) {
        Ok(number) if number <= 0o7777 && !mode.starts_with('+') => Ok(number),
        _ => Err(StageError::unsupported(format!("non-octal modes, such as COPY --chmod={mode}"))),
    }
}
