//! Reads answers from the terminal.

use std::io::{self, IsTerminal, Stdin, Write};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::process::check_interrupt;

/// How long to wait between checks for Ctrl-C.
const POLL_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Reports whether there is a terminal to ask a question on.
pub(crate) fn is_possible() -> bool {
    io::stdin().is_terminal()
}

/// Asks a question and returns the line that the user enters.
pub(crate) fn ask(question: &str) -> Result<String> {
    read_answer(question, &io::stdin())
}

/// Asks a question and returns the line that the user enters, without showing it.
pub(crate) fn ask_secret(question: &str) -> Result<String> {
    let stdin = io::stdin();
    let hidden = HiddenInput::start(&stdin)?;
    let answer = read_answer(question, &stdin);
    drop(hidden);
    // The line break that the user entered was hidden too.
    writeln!(io::stderr())?;
    answer
}

fn read_answer(question: &str, stdin: &Stdin) -> Result<String> {
    let mut stderr = io::stderr();
    write!(stderr, "{question}: ")?;
    stderr.flush()?;
    // The terminal passes on whole lines, so reading a line does not block once there is input.
    while matches!(
        poll(&mut [PollFd::new(stdin, PollFlags::IN)], Some(&POLL_INTERVAL)),
        Ok(0) | Err(rustix::io::Errno::INTR)
    ) {
        check_interrupt()?;
    }
    let mut line = String::new();
    stdin.read_line(&mut line).context("cannot read from the terminal")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Stops the terminal from showing what is typed, until this value is dropped.
struct HiddenInput<'a> {
    stdin: &'a Stdin,
    original: Termios,
}

impl HiddenInput<'_> {
    fn start(stdin: &Stdin) -> Result<HiddenInput<'_>> {
        let original = tcgetattr(stdin)?;
        let mut hidden = original.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin, OptionalActions::Flush, &hidden)?;
        Ok(HiddenInput { stdin, original })
    }
}

impl Drop for HiddenInput<'_> {
    fn drop(&mut self) {
        // Nothing can be done if the terminal is gone.
        let _ = tcsetattr(self.stdin, OptionalActions::Now, &self.original);
    }
}
