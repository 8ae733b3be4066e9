//! `cargo multiarch man`: generates manual pages from the clap commands, the exit codes and the examples.

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::completions::PROGRAM;
use crate::cli::examples::{Example, examples_of};
use crate::cli::{Cli, ManArgs};
use crate::error::{Class, EXIT_CODES, ExitCodeEntry, Failure};
use crate::ui::Ui;

/// Runs `cargo multiarch man`.
pub(crate) fn man(args: &ManArgs, ui: &Ui) -> Result<()> {
    let mut program = Cli::command().name(PROGRAM).disable_help_subcommand(true);
    program.build();
    let Some(dir) = &args.out else {
        let command = match &args.command {
            Some(name) => program.find_subcommand(name).with_context(|| format!("no manual page for '{name}'"))?,
            None => &program,
        };
        return Ok(ui.data(page(command, &program)?.trim_end())?);
    };
    fs_err::create_dir_all(dir).map_err(|error| {
        Failure::new(Class::Config, format!("cannot use `--out {dir}`: {error}"))
            .hint("choose a writable directory, such as `--out ~/.local/share/man/man1`")
    })?;
    for command in std::iter::once(&program).chain(program.get_subcommands()) {
        fs_err::write(dir.join(format!("{}.1", page_name(command))), page(command, &program)?)?;
    }
    ui.status("Wrote", format!("manual pages to {dir}; read them with `man {dir}/{PROGRAM}.1`"));
    Ok(())
}

fn page_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or(PROGRAM)
}

fn page(command: &Command, program: &Command) -> Result<String> {
    let command_without_examples = command.clone().after_help(None::<&str>).after_long_help(None::<&str>);
    // roff requires a date in the title line. Use the version instead, so that the pages are reproducible.
    let man = Man::new(command_without_examples)
        .title(page_name(command).to_uppercase())
        .date(env!("CARGO_PKG_VERSION"))
        .source(PROGRAM)
        .manual("Cargo Multiarch");
    let mut page = Vec::new();
    man.render(&mut page)?;
    let mut sections = Roff::new();
    exit_status(&mut sections);
    examples(&mut sections, command);
    see_also(&mut sections, command, program);
    sections.to_writer(&mut page)?;
    Ok(String::from_utf8(page)?)
}

fn exit_status(page: &mut Roff) {
    page.control("SH", ["EXIT STATUS"]);
    for ExitCodeEntry { code, meaning, .. } in EXIT_CODES {
        page.control("TP", []).text([bold(code.to_string())]).text([roman(meaning)]);
    }
}

fn examples(page: &mut Roff, command: &Command) {
    page.control("SH", ["EXAMPLES"]);
    for Example { purpose, command_line } in examples_of(command.get_name()) {
        page.control("PP", []).text([roman(format!("{purpose}:"))]);
        page.control("PP", []).control("RS", ["4"]).control("nf", []).text([roman(*command_line)]);
        page.control("fi", []).control("RE", []);
    }
}

/// Adds references to the other manual pages of this program, to cargo(1) and, where relevant, to docker-buildx(1).
fn see_also(page: &mut Roff, command: &Command, program: &Command) {
    let this_page = page_name(command);
    let pages = std::iter::once(program).chain(program.get_subcommands()).map(page_name);
    let mut pages: Vec<&str> = pages.filter(|other| *other != this_page).collect();
    pages.push("cargo");
    let runs_buildx = command.get_arguments().any(|arg| arg.get_long() == Some("builder"));
    if this_page == PROGRAM || runs_buildx {
        pages.push("docker-buildx");
    }
    let mut list: Vec<Inline> = Vec::new();
    for page in pages {
        let separator = if list.is_empty() { "" } else { ", " };
        list.extend([roman(separator), bold(page), roman("(1)")]);
    }
    page.control("SH", ["SEE ALSO"]).text(list);
}
