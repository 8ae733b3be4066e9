//! Pages for `man`: what clap knows of a command, how it can end, what people type, and where else to look.

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::completions::NAME;
use crate::cli::examples::{self, Example};
use crate::cli::{Cli, ManArgs};
use crate::error::{Class, EXIT_CODES, ExitCodeEntry, Failure};
use crate::ui::Ui;

/// `man`: the page of the program or of a command, or a file for it and each of its commands.
pub fn man(args: &ManArgs, ui: &Ui) -> Result<()> {
    let mut program = Cli::command().name(NAME).disable_help_subcommand(true);
    program.build();
    let Some(dir) = &args.out else {
        let command = match &args.command {
            Some(name) => program.find_subcommand(name).with_context(|| format!("{name} has no page"))?,
            None => &program,
        };
        return Ok(ui.data(page(command, &program)?.trim_end())?);
    };
    fs_err::create_dir_all(dir).map_err(|error| {
        Failure::new(Class::Config, format!("--out {dir}: {error}"))
            .hint("name a folder of yours, such as `--out ~/.local/share/man/man1`")
    })?;
    for command in std::iter::once(&program).chain(program.get_subcommands()) {
        fs_err::write(dir.join(format!("{}.1", name(command))), page(command, &program)?)?;
    }
    ui.status("Wrote", format!("the pages in {dir}: `man {dir}/{NAME}.1`"));
    Ok(())
}

/// What a command's page is called by.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or(NAME)
}

fn page(command: &Command, program: &Command) -> Result<String> {
    // The version stands where others have a date, without which roff's writer mistakes one for the other.
    let man = Man::new(command.clone().after_help(None::<&'static str>))
        .title(name(command).to_uppercase())
        .date(env!("CARGO_PKG_VERSION"))
        .source(NAME)
        .manual("Cargo Multiarch");
    let mut page = Vec::new();
    man.render(&mut page)?;
    let mut more = Roff::new();
    exit_status(&mut more);
    what_people_type(&mut more, command);
    see_also(&mut more, command, program);
    more.to_writer(&mut page)?;
    Ok(String::from_utf8(page)?)
}

fn exit_status(page: &mut Roff) {
    page.control("SH", ["EXIT STATUS"]);
    for ExitCodeEntry { code, meaning: when, .. } in EXIT_CODES {
        page.control("TP", []).text([bold(code.to_string())]).text([roman(when)]);
    }
}

fn what_people_type(page: &mut Roff, command: &Command) {
    page.control("SH", ["EXAMPLES"]);
    for Example { purpose: what, command_line: line } in examples::examples_of(command.get_name()) {
        page.control("PP", []).text([roman(format!("{what}:"))]);
        page.control("PP", []).control("RS", ["4"]).control("nf", []).text([roman(*line)]);
        page.control("fi", []).control("RE", []);
    }
}

/// All other pages, and those of what does the work.
fn see_also(page: &mut Roff, command: &Command, program: &Command) {
    let pages = std::iter::once(program).chain(program.get_subcommands()).map(name);
    let mut pages: Vec<&str> = pages.filter(|other| *other != name(command)).collect();
    pages.push("cargo");
    let calls_buildx = |of: &Command| of.get_arguments().any(|arg| arg.get_long() == Some("builder"));
    if name(command) == NAME || calls_buildx(command) {
        pages.push("docker-buildx");
    }
    let mut list: Vec<Inline> = Vec::new();
    for page in pages {
        let between = if list.is_empty() { "" } else { ", " };
        list.extend([roman(between), bold(page), roman("(1)")]);
    }
    page.control("SH", ["SEE ALSO"]).text(list);
}
