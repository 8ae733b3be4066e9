//! Splits a Dockerfile into instructions and skips here-documents. Unlike `parse_dockerfile`, it accepts unknown
//! instructions, because a template may use another frontend or contain a typo that is reported later.

use parse_dockerfile::Instruction;

/// Keywords of all instructions (Dockerfile reference, "Overview").
pub(crate) const INSTRUCTIONS: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// An instruction in a Dockerfile.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InstructionText<'a> {
    pub keyword: &'a str,
    /// Lines of the instruction, excluding here-documents.
    pub text: String,
}

impl InstructionText<'_> {
    /// Reports whether the instruction has the given keyword, ignoring case.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        self.keyword.eq_ignore_ascii_case(keyword)
    }

    pub(crate) fn is_one_of(&self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(keyword))
    }
}

/// Returns the instructions of a Dockerfile.
pub(crate) fn instructions(text: &str) -> Vec<InstructionText<'_>> {
    let mut instructions: Vec<InstructionText<'_>> = Vec::new();
    let mut is_continuation = false;
    let escape = escape_character(text);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        match instructions.last_mut() {
            Some(last) if is_continuation => {
                last.text.push('\n');
                last.text.push_str(trimmed);
            }
            _ => {
                let keyword = trimmed.split_whitespace().next().unwrap_or_default();
                instructions.push(InstructionText { keyword, text: trimmed.to_owned() });
            }
        }
        is_continuation = trimmed.ends_with(escape);
        if instructions.last().is_some_and(|last| last.is_one_of(&["RUN", "COPY", "ADD"])) {
            for heredoc in trimmed.split_whitespace().filter_map(Heredoc::parse) {
                // Skip the lines of the here-document.
                let _ = lines.find(|line| heredoc.is_ended_by(line));
            }
        }
    }
    instructions
}

/// Returns the line continuation character: a backslash, unless the `escape` directive sets another one.
fn escape_character(text: &str) -> char {
    let directives = text.lines().take_while(|line| line.starts_with('#'));
    let mut directives = directives.filter_map(|line| line.trim_start_matches('#').split_once('='));
    let escape = directives.find(|(name, _)| name.trim().eq_ignore_ascii_case("escape"));
    escape.and_then(|(_, value)| value.trim().chars().next()).unwrap_or('\\')
}

/// A here-document that an operator such as `<<-EOF` declares.
struct Heredoc<'a> {
    delimiter: &'a str,
    /// Whether the here-document starts with `<<-`, which allows tabs before the closing delimiter.
    strips_tabs: bool,
}

impl Heredoc<'_> {
    fn parse(word: &str) -> Option<Heredoc<'_>> {
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
        let (delimiter, strips_tabs) = match rest.strip_prefix('-') {
            Some(delimiter) => (delimiter, true),
            None => (rest, false),
        };
        let delimiter = delimiter.trim_matches(['"', '\'']);
        (!delimiter.is_empty() && !delimiter.contains('<')).then_some(Heredoc { delimiter, strips_tabs })
    }

    fn is_ended_by(&self, line: &str) -> bool {
        let line = if self.strips_tabs { line.trim_start_matches('\t') } else { line };
        line == self.delimiter
    }
}

/// Returns the byte offset of a parsed instruction, or `None` if its kind is unknown.
pub(crate) fn offset(instruction: &Instruction<'_>) -> Option<usize> {
    let keyword = match instruction {
        Instruction::Add(add) => &add.add,
        Instruction::Arg(arg) => &arg.arg,
        Instruction::Cmd(cmd) => &cmd.cmd,
        Instruction::Copy(copy) => &copy.copy,
        Instruction::Entrypoint(entrypoint) => &entrypoint.entrypoint,
        Instruction::Env(env) => &env.env,
        Instruction::Expose(expose) => &expose.expose,
        Instruction::From(from) => &from.from,
        Instruction::Healthcheck(check) => &check.healthcheck,
        Instruction::Label(label) => &label.label,
        Instruction::Maintainer(maintainer) => &maintainer.maintainer,
        Instruction::Onbuild(onbuild) => &onbuild.onbuild,
        Instruction::Run(run) => &run.run,
        Instruction::Shell(shell) => &shell.shell,
        Instruction::Stopsignal(signal) => &signal.stopsignal,
        Instruction::User(user) => &user.user,
        Instruction::Volume(volume) => &volume.volume,
        Instruction::Workdir(workdir) => &workdir.workdir,
        _ => return None,
    };
    Some(keyword.span.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_continuations_comments_and_heredocs() {
        let keywords = |text| instructions(text).iter().map(|line| line.keyword.to_owned()).collect::<Vec<_>>();
        assert_eq!(keywords("FROM a\n# RUN x\nCOPY a \\\n  RUN b\nrun x && \\\n # c\n y\n"), ["FROM", "COPY", "run"]);
        assert_eq!(keywords("RUN <<EOF cat <<-'B'\nx\nEOF\ny\n\tB\nUSER a\n"), ["RUN", "USER"]);
        assert_eq!(keywords("# escape=`\nRUN a `\n b\nCOPY a C:\\\nUSER a\n"), ["RUN", "COPY", "USER"]);
        assert_eq!(keywords("RUN x <<< EOF\nUSER a\nENV A=<<B\nUSER b"), ["RUN", "USER", "ENV", "USER"]);
    }
}
