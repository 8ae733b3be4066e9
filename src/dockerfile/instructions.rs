//! Splits a Dockerfile into instructions, here-documents included.

/// Dockerfile reference, "Overview".
pub const INSTRUCTIONS: &[&str] = &[
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

/// An instruction with all its lines.
#[derive(Debug, PartialEq, Eq)]
pub struct InstructionLine<'a> {
    pub keyword: &'a str,
    pub text: String,
}

/// The instructions of a text; what a heredoc holds is none.
pub fn instructions(text: &str) -> Vec<InstructionLine<'_>> {
    let mut found: Vec<InstructionLine<'_>> = Vec::new();
    let mut continued = false;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let first = !std::mem::replace(&mut continued, trimmed.ends_with('\\'));
        match found.last_mut() {
            Some(last) if !first => {
                last.text.push('\n');
                last.text.push_str(trimmed);
            }
            _ => {
                let keyword = trimmed.split_whitespace().next().unwrap_or_default();
                found.push(InstructionLine { keyword, text: trimmed.to_owned() });
            }
        }
        let takes = found.last().is_some_and(|last| is_one_of(last.keyword, &["RUN", "COPY", "ADD"]));
        for (end, tabs) in trimmed.split_whitespace().filter(|_| takes).filter_map(heredoc) {
            // Its lines are no instructions.
            let _ = lines.find(|line| if tabs { line.trim_start_matches('\t') == end } else { *line == end });
        }
    }
    found
}

pub fn is_one_of(keyword: &str, known: &[&str]) -> bool {
    known.iter().any(|known| keyword.eq_ignore_ascii_case(known))
}

/// The word that ends the heredoc which a word begins, and whether tabs may stand before it.
pub fn heredoc(word: &str) -> Option<(&str, bool)> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (end, tabs) = rest.strip_prefix('-').map_or((rest, false), |end| (end, true));
    let end = end.trim_matches(['"', '\'']);
    (!end.is_empty() && !end.contains('<')).then_some((end, tabs))
}
