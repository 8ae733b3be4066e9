//! Reads a program's output line by line. A line on stdout is returned before any line that the program writes to
//! stderr after it, because cargo reports finished binaries on stdout before it prints `Finished` to stderr. The
//! reverse is not guaranteed: a line on stderr may be returned after later lines on stdout.

use std::io::{ErrorKind, PipeReader, Read};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// A line of output from a running program, without its line ending.
#[derive(Debug)]
pub(crate) enum Line {
    Stdout(String),
    Stderr(String),
}

/// Size of the read buffer in bytes. It equals the capacity of a pipe, so that one read can empty the pipe.
const READ_SIZE: usize = 64 << 10;
/// Maximum length of a line in bytes. Longer lines are split.
const MAX_LINE_LENGTH: usize = 16 << 20;

/// Passes each line from both pipes to `send`, until both pipes end or `send` returns false.
pub(super) fn read(stdout: PipeReader, stderr: PipeReader, mut send: impl FnMut(Line) -> bool) {
    let mut out = Stream { pipe: Some(stdout), partial_line: Vec::new(), as_line: Line::Stdout };
    let mut err = Stream { pipe: Some(stderr), partial_line: Vec::new(), as_line: Line::Stderr };
    let mut buffer = vec![0; READ_SIZE];
    while out.pipe.is_some() || err.pipe.is_some() {
        is_ready(out.pipe.iter().chain(&err.pipe), None);
        // Read stderr first, so that everything written to stdout before these lines is available in the next step.
        let stderr_lines = err.lines(&mut buffer);
        if !out.lines(&mut buffer).into_iter().chain(stderr_lines).all(&mut send) {
            return;
        }
    }
}

struct Stream {
    /// `None` at the end of the stream.
    pipe: Option<PipeReader>,
    partial_line: Vec<u8>,
    as_line: fn(String) -> Line,
}

impl Stream {
    /// Returns the lines that are available now, without waiting for more.
    fn lines(&mut self, buffer: &mut [u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        let Some(pipe) = self.pipe.as_mut().filter(|pipe| is_ready([&**pipe], Some(&Timespec::default()))) else {
            return lines;
        };
        let read = match pipe.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return lines,
            // Treat an error as the end of the stream, because only the program's exit status determines success.
            read => read.unwrap_or(0),
        };
        for part in buffer[..read].split_inclusive(|byte| *byte == b'\n') {
            self.partial_line.extend_from_slice(part);
            if part.ends_with(b"\n") || self.partial_line.len() >= MAX_LINE_LENGTH {
                lines.push(self.take_line());
            }
        }
        if read == 0 {
            self.pipe = None;
            lines.extend((!self.partial_line.is_empty()).then(|| self.take_line()));
        }
        lines
    }

    fn take_line(&mut self) -> Line {
        let bytes = std::mem::take(&mut self.partial_line);
        (self.as_line)(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned())
    }
}

/// Waits until a pipe has data or reaches its end, but no longer than `timeout` if it is set. Returns false on timeout.
fn is_ready<'a>(pipes: impl IntoIterator<Item = &'a PipeReader>, timeout: Option<&Timespec>) -> bool {
    let mut fds: Vec<PollFd<'_>> = pipes.into_iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
    poll(&mut fds, timeout).map_or_else(|error| error != Errno::INTR, |ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Cmd;

    fn lines(script: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let tagged = |line| match line {
            Line::Stdout(line) => format!("out {line}"),
            Line::Stderr(line) => format!("err {line}"),
        };
        Cmd::new("sh").args(["-c", script]).stream(|line| lines.push(tagged(line))).unwrap();
        lines
    }

    #[test]
    fn stdout_lines_come_before_later_stderr_lines() {
        let all_lines = lines("i=0; while [ $i -lt 2000 ]; do echo $i; echo $i >&2; i=$((i + 1)); done");
        assert_eq!(all_lines.len(), 4000);
        let position = |line: String| all_lines.iter().position(|other| *other == line).unwrap();
        for number in 0..2000 {
            assert!(position(format!("out {number}")) < position(format!("err {number}")), "{number}");
        }
    }

    #[test]
    fn streams_may_end_in_any_order() {
        for (script, expected) in [
            ("", &[][..]),
            ("printf 'a\\r\\nb'", &["out a", "out b"]),
            ("echo a >&2; exec 2>&-; printf '\\nb\\n'", &["err a", "out ", "out b"]),
            ("echo a; exec >&-; printf b >&2", &["err b", "out a"]),
            ("printf '\\377\\n'", &["out \u{fffd}"]),
        ] {
            let mut all_lines = lines(script);
            // The relative order of the two streams is not deterministic.
            all_lines.sort_by_key(|line| line.starts_with("out"));
            assert_eq!(all_lines, expected, "{script}");
        }
        let longest =
            lines(&format!("head -c {} /dev/zero | tr '\\0' x; echo; echo y >&2", MAX_LINE_LENGTH + 2 * READ_SIZE));
        assert_eq!((longest.len(), longest[2].as_str()), (3, "err y"));
    }
}
