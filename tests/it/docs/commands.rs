//! Checks that the program accepts every command line in the documentation.

use regex::Regex;

use super::{blocks, pages, root};
use crate::support::Project;

/// Returns the arguments of each `cargo multiarch …` command in a line of shell code.
fn invocations(line: &str) -> Vec<Vec<String>> {
    // Workflows use a variable in place of a platform.
    let line = &line.replace("\"$PLATFORM\"", "linux/arm64");
    let mut found = Vec::new();
    let command_end = Regex::new(r" [|>#&]|[;)]|$").unwrap();
    for rest in line.split("cargo multiarch ").skip(1) {
        // The arguments end at a pipe, redirection, comment or separator, or at the end of a substitution.
        let end = command_end.find(rest).unwrap().start();
        found.push(shell_words::split(&rest[..end]).unwrap_or_else(|error| panic!("{error}: {line}")));
    }
    found
}

/// Returns all inline code and all lines of code blocks, each with its page. Continuation lines are joined.
fn command_lines() -> Vec<(String, String)> {
    let code = Regex::new(r"`([^`\n]*cargo multiarch [^`\n]+)`").unwrap();
    let in_blocks = blocks().into_iter().filter(|block| ["sh", "console", "yaml"].contains(&block.language.as_str()));
    let mut lines = Vec::new();
    for block in in_blocks {
        let text = block.text.replace("\\\n", " ");
        let is_command = |line: &&str| block.language != "console" || line.starts_with("$ ");
        lines.extend(text.lines().filter(is_command).map(|line| (block.page.clone(), line.to_owned())));
    }
    for (page, text) in pages() {
        lines.extend(code.captures_iter(&text).map(|code| (page.clone(), code[1].to_owned())));
    }
    for entry in std::fs::read_dir(root().join("docs/output")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let commands = text.lines().filter(|line| line.starts_with("$ "));
        lines.extend(commands.map(|line| (path.display().to_string(), line.to_owned())));
    }
    lines
}

#[test]
fn documented_commands_are_accepted() {
    let project = Project::empty();
    let mut checked = 0;
    for (page, line) in command_lines() {
        for mut args in invocations(&line) {
            // With --help, the program only parses its arguments.
            args.push("--help".to_owned());
            let is_real = |arg: &&str| !["…", "CODE", "help", "COMMAND"].contains(arg);
            let args: Vec<&str> = args.iter().map(String::as_str).filter(is_real).collect();
            let (mut command, _dirs) = project.run(&args).into_command();
            let output = command.output().unwrap();
            let message = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{page}: {line}\n{message}");
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked} commands were found");
}

#[test]
fn documented_scripts_exist() {
    for block in blocks().iter().filter(|block| block.language == "sh") {
        for script in block.text.lines().filter(|line| line.starts_with("scripts/")) {
            assert!(root().join(script.split(' ').next().unwrap()).is_file(), "{}: {script}", block.page);
        }
    }
}

/// `services::docs` runs every block of shell commands that uses the program, except blocks marked with `no-run`.
#[test]
fn shell_blocks_are_run() {
    for block in blocks().iter().filter(|block| block.language == "sh" && block.text.contains("cargo multiarch")) {
        let (is_run, cannot_run) = (block.attribute("in").is_some(), block.attribute("no-run").is_some());
        assert!(
            is_run != cannot_run,
            "{}: a block needs either in=DIRECTORY or no-run=REASON:\n{}",
            block.page,
            block.text
        );
    }
}
