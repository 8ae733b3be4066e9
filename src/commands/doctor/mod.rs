//! `cargo multiarch doctor`: what `publish` would meet on this machine. Its own probes and choices, all of them, each with
//! what mends it; where `publish` ends at the first trouble, this goes on.

pub mod check;
pub mod compile;
pub mod engine;
pub mod fix;
pub mod machine;
pub mod print;
pub mod registries;

use anyhow::Result;
use camino::Utf8PathBuf;

use self::check::{Check, State};
use self::fix::{Done, Repair};
use super::build_images;
use crate::cli::{DoctorArgs, MessageFormat, environment};
use crate::config::Config;
use crate::error::{Class, Failure, class_of};
use crate::plan::{self, Checkout, ConfigSources, Plan, PlanRequest, Workspace};
use crate::platform::Libc;
use crate::ui::Ui;
use crate::ui::wrap::plural;

/// What was found, in the order in which it is told.
#[derive(Default)]
struct Findings {
    checks: Vec<Check>,
    repairs: Vec<Repair>,
}

impl Findings {
    fn add(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// Notes a failure, and returns one that is nobody's finding: Ctrl-C.
    fn fail(&mut self, subject: &'static str, error: impl Into<anyhow::Error>) -> Result<(), Failure> {
        let error = error.into();
        if class_of(&error) == Class::Interrupted {
            return Err(Failure::new(Class::Interrupted, "interrupted"));
        }
        self.add(Check::failed(subject, &error));
        Ok(())
    }

    fn number(&self, state: State) -> usize {
        self.checks.iter().filter(|check| check.state == state).count()
    }
}

/// `cargo multiarch doctor`
pub fn run(args: &DoctorArgs, ui: &Ui) -> Result<()> {
    let (mut workspace, mut findings) = examine(args, ui)?;
    let mut done = Vec::new();
    if args.fix {
        for repair in std::mem::take(&mut findings.repairs) {
            done.push(repair.run(ui)?);
        }
        if !done.is_empty() {
            (workspace, findings) = examine(args, ui)?;
        }
    }
    match args.output.message_format {
        MessageFormat::Human => print::lines(&findings.checks, ui).iter().try_for_each(|line| ui.data(line))?,
        MessageFormat::Json => ui.data(&print::json(workspace.as_deref(), &findings.checks, &done)?)?,
    }
    conclude(&findings, &done, args.output.message_format)
}

/// Fails with the class of what `publish` would fail with first, or with that of a repair which did.
fn conclude(findings: &Findings, done: &[Done], format: MessageFormat) -> Result<()> {
    let unmended = done.iter().find_map(|done| done.failed);
    let Some(class) = check::worst(&findings.checks).or(unmended) else { return Ok(()) };
    let mut found = plural(findings.number(State::Error), "error", "errors");
    if findings.number(State::Warning) > 0 {
        found.push_str(&format!(" and {}", plural(findings.number(State::Warning), "warning", "warnings")));
    }
    let failure = Failure::new(class, format!("doctor found {found}"));
    let commands: Vec<String> = findings.repairs.iter().map(|repair| format!("`{}`", repair.command())).collect();
    let failure = match format {
        MessageFormat::Human => failure.hint("what mends each is below it in the list"),
        MessageFormat::Json => failure.hint("what mends each is in its `fixes`"),
    };
    Err(match commands.is_empty() || !done.is_empty() {
        true => failure,
        false => failure.hint(format!("of these, `cargo multiarch doctor --fix` runs {}", commands.join(", "))),
    }
    .into())
}

/// Looks at everything; the workspace's root, where there is one.
fn examine(args: &DoctorArgs, ui: &Ui) -> Result<(Option<Utf8PathBuf>, Findings)> {
    let mut findings = Findings::default();
    let loaded = load(args, &mut findings)?;
    let workspace = loaded.as_ref().ok().map(|plan| plan.paths.root.clone());
    let plan = match loaded {
        Ok(plan) | Err(Some(plan)) => plan,
        Err(None) => return Ok((None, findings)),
    };
    ui.status("Checking", "the toolchain");
    compile::examine(&plan, &mut findings)?;
    ui.status("Checking", "Docker and QEMU");
    engine::examine(&plan, &mut findings, ui)?;
    let is_named = plan.images.iter().any(|image| !image.repositories.is_empty());
    if workspace.is_some() {
        ui.status("Checking", "registries");
        registries::examine(&plan, &mut findings, ui)?;
        findings.add(machine::disk("the target folder", &plan.paths.target_dir, "CARGO_TARGET_DIR"));
    } else if is_named {
        ui.status("Checking", "registries");
        registries::ping_all(&plan, &mut findings, ui)?;
    }
    findings.add(machine::disk("the cache folder", &plan.paths.cache_dir, "XDG_CACHE_HOME"));
    Ok((workspace, findings))
}

/// The plan of `publish`; where there is none, what stands for it while the machine is looked at.
fn load(args: &DoctorArgs, findings: &mut Findings) -> Result<Result<Plan, Option<Plan>>> {
    let request = args.smoke.add_to(args.settings.request());
    let current_dir = plan::current_dir()?;
    let manifest = |dir: &camino::Utf8Path| dir.join("Cargo.toml").is_file();
    let mut is_told = false;
    if args.settings.selection().manifest_path.is_some() || current_dir.ancestors().any(manifest) {
        match build_images::load(&args.settings, request.clone()) {
            Ok(plan) => {
                let images: Vec<&str> = plan.images.iter().map(|image| image.name.as_str()).collect();
                findings.add(Check::ok("workspace", format!("{}: {}", plan.paths.root, images.join(", "))));
                plan.notes.iter().for_each(|note| findings.add(Check::note("workspace", note)));
                return Ok(Ok(plan));
            }
            Err(error) => {
                findings.fail("workspace", error)?;
                is_told = true;
            }
        }
    } else {
        if !args.settings.selection().packages.is_empty() {
            let failure = Failure::new(Class::Config, "--package names a part of a workspace, and there is none here");
            findings
                .fail("workspace", failure.hint("run it in one, or name it: `--manifest-path FOLDER/Cargo.toml`"))?;
        }
        let found = "there is none here: this machine is looked at, and whether a registry that is named answers; no \
                     right to push, no bases and no templates";
        findings.add(Check::note("workspace", found));
    }
    let asked = args.settings.config();
    let wants_base = asked.libc == Some(Libc::Gnu) && asked.base.is_none();
    let command_line = Config {
        registry: asked.registry,
        insecure_registries: asked.insecure_registries,
        platforms: asked.platforms,
        base: asked.base.or(wants_base.then(|| "debian:trixie-slim".to_owned())),
        libc: asked.libc,
        linker: asked.linker,
        glibc: asked.glibc,
        engine: asked.engine,
        builder: asked.builder,
        locked: Some(false),
        ..Config::default()
    };
    let cache_dir = environment::cache_dir().unwrap_or_else(|| current_dir.join("target/cargo-multiarch"));
    let sources = ConfigSources { command_line, ..ConfigSources::default() };
    let request = PlanRequest { cache_dir, ..request };
    Ok(match plan::resolve(&Workspace::stand_in(&current_dir), &sources, &Checkout::None, &request) {
        Ok(plan) => Err(Some(plan)),
        Err(failure) => {
            if !is_told {
                findings.fail("workspace", failure)?;
            }
            Err(None)
        }
    })
}
