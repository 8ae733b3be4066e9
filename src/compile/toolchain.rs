//! Determines how to compile each build: with which linker, and with or without cargo-auditable.

use std::collections::BTreeMap;
use std::num::NonZero;

use anyhow::Result;

use super::auditable::{self, AuditableDecision};
use super::c_env::{self, CEnv};
use super::cargo_command::{self, CargoCommands, CargoRun};
use super::expected_linking::{self, ExpectedLinking};
use super::facts::{Facts, HostTools};
use super::linker::types::{Linker, LinkerSelection};
use super::linker::{self, known_issue_check, system_library_check};
use super::memory::{self, MemoryUse};
use super::probe::{self, Probed};
use super::requirement::{Problem, Requirement};
use super::sysroot::apt;
use super::zig_program::ZigProgram;
use super::{CompileRequest, c_env_files, std_library, target_cpu};
use crate::elf::linking::SymbolKind;
use crate::plan::{Build, BuildSettings};
use crate::process::Cmd;
use crate::ui::Ui;

/// The linkers and other tools used to compile the requested builds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Toolchain {
    pub request: CompileRequest,
    pub facts: Facts,
    pub linkers: BTreeMap<BuildSettings, LinkerSelection>,
    /// Whether cargo runs through cargo-auditable.
    pub auditable: bool,
    /// Notes for the user about choices that were made automatically or that override the configuration.
    pub notes: Vec<String>,
}

/// A toolchain and the problems that prevent its use.
pub(crate) struct ToolchainCheck {
    pub toolchain: Toolchain,
    /// The problems, most fundamental first.
    pub problems: Vec<Problem>,
}

impl ToolchainCheck {
    /// Returns the toolchain, or the first problem as an error.
    pub(crate) fn into_result(self) -> Result<Toolchain> {
        match self.problems.into_iter().next() {
            Some(problem) => Err(problem.failure.into()),
            None => Ok(self.toolchain),
        }
    }
}

impl Toolchain {
    /// Determines how every build will be compiled, and fails if something is missing and cannot be installed. Does not
    /// change anything on the machine.
    pub(crate) fn find(request: CompileRequest) -> Result<Toolchain> {
        let toolchain = Toolchain::check(request)?.into_result()?;
        let missing = toolchain.missing_std();
        if !missing.is_empty() {
            std_library::find_rustup(&missing, toolchain.request.options.offline)?;
        }
        Ok(toolchain)
    }

    /// Determines how every build will be compiled, and collects all problems.
    pub(crate) fn check(request: CompileRequest) -> Result<ToolchainCheck> {
        let Probed { facts, problems } = probe::probe(&request)?;
        Ok(select(request, facts, problems))
    }

    /// Installs missing standard libraries and sysroots.
    pub(crate) fn install_missing(self, ui: &Ui) -> Result<Toolchain> {
        let toolchain = self.install_std(ui)?;
        toolchain.notes.iter().for_each(|note| ui.note(note));
        let CompileRequest { paths, options, .. } = &toolchain.request;
        apt::fetch(&toolchain.facts.sysroots, &paths.cache_dir, options.offline, ui)?;
        Ok(toolchain)
    }

    /// Installs missing standard libraries.
    pub(crate) fn install_std(self, ui: &Ui) -> Result<Toolchain> {
        let missing = self.missing_std();
        if missing.is_empty() {
            return Ok(self);
        }
        std_library::install(&missing, self.request.options.offline, ui)?;
        let toolchain = Toolchain::check(self.request)?.into_result()?;
        if !toolchain.missing_std().is_empty() {
            return Err(std_library::installed_elsewhere(&missing, &toolchain.facts.rust.rustc).into());
        }
        Ok(toolchain)
    }

    /// Returns the triples whose standard library [`Toolchain::install_missing`] would install.
    pub(crate) fn missing_std(&self) -> Vec<String> {
        std_library::missing(&self.request.builds, &self.facts.targets)
    }

    /// Reports whether a build that no installed linker can link could be linked with zig.
    pub(crate) fn needs_zig(&self) -> bool {
        let tools =
            HostTools { zig: Some(ZigProgram::pinned(&self.request.paths.cache_dir)), ..self.facts.tools.clone() };
        let could_use_zig = |build: &Build| {
            let selected = linker::select(&self.facts.build(&build.settings), &self.facts.rust, &tools);
            !self.linkers.contains_key(&build.settings)
                && selected.is_ok_and(|selection| selection.linker == Linker::Zig)
        };
        self.facts.tools.zig.is_none() && self.request.builds.iter().any(could_use_zig)
    }

    /// Returns advice about settings that the user may want to change.
    pub(crate) fn advice(&self) -> Option<String> {
        c_env::advice(self.linkers.keys().map(|settings| self.facts.build(settings)))
    }

    /// Returns the display name of a build's linker.
    pub(crate) fn linker_name(&self, settings: &BuildSettings) -> String {
        self.linkers.get(settings).map(|selection| selection.linker.to_string()).unwrap_or_default()
    }

    /// Predicts how a build's executables will be linked. `in_profile` is what its cargo profile leaves in them.
    pub(crate) fn expected_linking(&self, settings: &BuildSettings, in_profile: SymbolKind) -> ExpectedLinking {
        expected_linking::predict(&self.facts.build(settings), &self.facts.rust, in_profile)
    }

    /// Returns the cargo processes that will run.
    pub(crate) fn cargo_runs(&self) -> Vec<CargoRun> {
        cargo_command::group_runs(&self.request, &self.facts, &self.linkers)
    }

    /// Returns the command line for a cargo process. `c_env` contains the variables for C code.
    pub(crate) fn cargo_command(&self, run: &CargoRun, c_env: &CEnv) -> Cmd {
        let Toolchain { request, facts, linkers, auditable, .. } = self;
        CargoCommands { request, facts, linkers, auditable: *auditable, c_env }.command(run)
    }

    /// Returns the command lines of all cargo processes without writing the scripts and files that they refer to.
    pub(crate) fn preview(&self) -> Vec<Cmd> {
        let c_env = c_env::preview(&self.linkers, &self.facts);
        self.cargo_runs().iter().map(|run| self.cargo_command(run, &c_env)).collect()
    }

    /// Writes the scripts and files that the cargo commands refer to, and returns the variables for C code.
    pub(crate) fn write_c_env(&self) -> Result<CEnv> {
        if let (true, Some(cross)) = (uses_cross(&self.linkers), &self.facts.tools.cross) {
            cross.write_rustup_wrapper(&self.request.paths)?;
        }
        c_env_files::write(&self.linkers, &self.facts, &self.request.paths.cache_dir)
    }
}

/// Returns a note if memory may be too short to compile for all targets at the same time.
fn memory_note(request: &CompileRequest, facts: &Facts) -> Option<String> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let requested = request.options.jobs.and_then(|jobs| i32::try_from(jobs).ok()).or(facts.env.jobs);
    let mut summaries = facts.dependencies.values();
    memory::note(&MemoryUse {
        available: facts.tools.available_memory?,
        targets: request.triples().len(),
        packages: facts.dependencies.values().map(|summary| summary.packages).max().unwrap_or_default(),
        huge_crate: summaries.find_map(|summary| summary.huge_crate.as_deref()),
        jobs: memory::jobs(requested, cores),
    })
}

fn uses_cross(linkers: &BTreeMap<BuildSettings, LinkerSelection>) -> bool {
    linkers.values().any(|selection| selection.linker == Linker::Cross)
}

/// Selects a linker for every build, decides whether to use cargo-auditable, and appends any failures to `problems`.
fn select(request: CompileRequest, facts: Facts, mut problems: Vec<Problem>) -> ToolchainCheck {
    for build in &request.builds {
        if let Err(failure) = target_cpu::check(&facts.build(&build.settings), &build.name()) {
            problems.push(Problem::for_target(Requirement::TargetCpu, &build.settings.triple, failure));
        }
    }
    for build in &request.builds {
        if let Err(failure) = known_issue_check::check(&facts.build(&build.settings), &build.name()) {
            problems.push(Problem::for_target(Requirement::SupportedCrates, &build.settings.triple, failure));
        }
    }
    for build in &request.builds {
        let is_known = build.settings.build_std || facts.targets.contains_key(&build.settings.triple);
        let checked = std_library::check(&facts.build(&build.settings), &facts.rust);
        if let (true, Err(failure)) = (is_known, checked) {
            problems.push(Problem::for_target(Requirement::Std, &build.settings.triple, failure));
        }
    }
    let mut linkers = BTreeMap::new();
    for Build { settings, .. } in &request.builds {
        match linker::select(&facts.build(settings), &facts.rust, &facts.tools) {
            Ok(selection) => drop(linkers.insert(settings.clone(), selection)),
            Err(failure) => problems.push(Problem::for_target(Requirement::Linker, &settings.triple, failure)),
        }
    }
    let mut notes = Vec::new();
    let mut c_notes = Vec::new();
    for build in request.sorted_builds() {
        let Some(selection) = linkers.get(&build.settings) else { continue };
        let (facts, platforms) = (facts.build(&build.settings), build.name());
        if let Err(failure) = known_issue_check::check_zig(&facts, &selection.linker, &platforms) {
            problems.push(Problem::for_target(Requirement::SupportedCrates, &build.settings.triple, failure));
        }
        if let Err(failure) = system_library_check::check(&facts, &selection.linker, &platforms) {
            problems.push(Problem::for_target(Requirement::SystemLibraries, &build.settings.triple, failure));
        }
        notes.extend(linker::note(&facts, &selection.linker, &platforms));
        c_notes.extend(c_env::note(&facts));
    }
    let decision = auditable::decide(request.options.auditable, &facts.rust, &facts.env, uses_cross(&linkers));
    let auditable = decision.unwrap_or_else(|failure| {
        problems.push(Problem::for_all(Requirement::Auditable, failure));
        AuditableDecision::default()
    });
    notes.extend(c_notes.into_iter().chain(auditable.note));
    notes.extend(memory_note(&request, &facts));
    notes.dedup();
    ToolchainCheck { toolchain: Toolchain { request, facts, linkers, auditable: auditable.is_used, notes }, problems }
}
