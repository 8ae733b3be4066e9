//! The lines of a program's two streams. What it wrote to stdout comes before what it then wrote to stderr: cargo tells of
//! a binary on stdout, and then says on stderr that it has finished. The other way round they may change places.

use std::io::{ErrorKind, PipeReader, Read};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// A line of a running program's output, without its line feed.
#[derive(Debug)]
pub(crate) enum Line {
    Stdout(String),
    Stderr(String),
}

/// All that a pipe holds, so that one read takes what is there.
const AT_ONCE: usize = 64 << 10;
/// Longer lines of a program come in parts.
const LONGEST: usize = 16 << 20;

/// Reads to the end, or until nobody wants any more.
pub(super) fn read(stdout: PipeReader, stderr: PipeReader, mut send: impl FnMut(Line) -> bool) {
    let mut out = Stream { pipe: Some(stdout), begun: Vec::new(), as_line: Line::Stdout };
    let mut err = Stream { pipe: Some(stderr), begun: Vec::new(), as_line: Line::Stderr };
    let mut piece = vec![0; AT_ONCE];
    while out.pipe.is_some() || err.pipe.is_some() {
        is_ready(out.pipe.iter().chain(&err.pipe), None);
        // What was written to stdout before this is there by now.
        let said = err.lines(&mut piece);
        if !out.lines(&mut piece).into_iter().chain(said).all(&mut send) {
            return;
        }
    }
}

struct Stream {
    /// None at its end.
    pipe: Option<PipeReader>,
    begun: Vec<u8>,
    as_line: fn(String) -> Line,
}

impl Stream {
    /// What is there now, without waiting for more.
    fn lines(&mut self, piece: &mut [u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        let Some(pipe) = self.pipe.as_mut().filter(|pipe| is_ready([&**pipe], Some(&Timespec::default()))) else {
            return lines;
        };
        let read = match pipe.read(piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return lines,
            // An error means that the program is gone; its status tells the story.
            read => read.unwrap_or(0),
        };
        for part in piece[..read].split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") || self.begun.len() >= LONGEST {
                lines.push(self.take_line());
            }
        }
        if read == 0 {
            self.pipe = None;
            lines.extend((!self.begun.is_empty()).then(|| self.take_line()));
        }
        lines
    }

    fn take_line(&mut self) -> Line {
        let bytes = std::mem::take(&mut self.begun);
        (self.as_line)(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned())
    }
}

/// Is there anything to read, or an end? Waits for it without a limit, or for no longer than that.
fn is_ready<'a>(pipes: impl IntoIterator<Item = &'a PipeReader>, limit: Option<&Timespec>) -> bool {
    let mut wanted: Vec<PollFd<'_>> = pipes.into_iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
    poll(&mut wanted, limit).map_or_else(|error| error != Errno::INTR, |ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Cmd;

    fn lines(script: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let word = |line| match line {
            Line::Stdout(line) => format!("out {line}"),
            Line::Stderr(line) => format!("err {line}"),
        };
        Cmd::new("sh").args(["-c", script]).stream(|line| lines.push(word(line))).unwrap();
        lines
    }

    #[test]
    fn what_was_written_before_comes_before() {
        let told = lines("i=0; while [ $i -lt 2000 ]; do echo $i; echo $i >&2; i=$((i + 1)); done");
        assert_eq!(told.len(), 4000);
        let place = |line: String| told.iter().position(|other| *other == line).unwrap();
        for number in 0..2000 {
            assert!(place(format!("out {number}")) < place(format!("err {number}")), "{number}");
        }
    }

    #[test]
    fn streams_end_as_they_like() {
        for (script, expected) in [
            ("", &[][..]),
            ("printf 'a\\r\\nb'", &["out a", "out b"]),
            ("echo a >&2; exec 2>&-; printf '\\nb\\n'", &["err a", "out ", "out b"]),
            ("echo a; exec >&-; printf b >&2", &["err b", "out a"]),
            ("printf '\\377\\n'", &["out \u{fffd}"]),
        ] {
            let mut told = lines(script);
            // One stream after the other.
            told.sort_by_key(|line| line.starts_with("out"));
            assert_eq!(told, expected, "{script}");
        }
        let longest = lines(&format!("head -c {} /dev/zero | tr '\\0' x; echo; echo y >&2", LONGEST + 2 * AT_ONCE));
        assert_eq!((longest.len(), longest[2].as_str()), (3, "err y"));
    }
}
