//! How each build of a plan is compiled.

use std::collections::BTreeMap;

use anyhow::Result;
use indexmap::IndexSet;

use super::c_env::{self, CEnv};
use super::cargo_command::{self, CargoRun};
use super::facts::Tools;
use super::linker::choice::{Choice, Linker};
use super::linker::{self, known_issue_check};
use super::requirement::{OnProblem, Requirement};
use super::sysroot::apt;
use super::{auditable, c_env_files, probe, std_library};
use crate::error::Failure;
use crate::plan::{BuildSettings, Plan};
use crate::process::Cmd;
use crate::ui::Ui;

/// How everything in a plan will be compiled.
pub struct Toolchain {
    pub tools: Tools,
    pub choices: BTreeMap<BuildSettings, Choice>,
    /// cargo runs by way of cargo-auditable.
    pub auditable: bool,
    /// What is done that nobody asked for in so many words.
    pub notes: Vec<String>,
}

impl Toolchain {
    /// Finds out how everything will be compiled, and whether what is missing can be had. Changes nothing.
    pub fn find(plan: &Plan) -> Result<Toolchain> {
        let toolchain = Toolchain::choose(plan, probe::probe(plan)?)?;
        std_library::installer(plan, &toolchain.tools)?;
        Ok(toolchain)
    }

    /// Brings what is missing: standard libraries, sysroots.
    pub fn complete(mut self, plan: &Plan, ui: &Ui) -> Result<Toolchain> {
        let toolchain = match std_library::install(plan, &mut self.tools, ui)? {
            true => Toolchain::choose(plan, self.tools)?,
            false => self,
        };
        toolchain.notes.iter().for_each(|note| ui.note(note));
        apt::fetch(plan, &toolchain.tools.sysroots, ui)?;
        Ok(toolchain)
    }

    /// Chooses a linker for every build of the plan.
    pub fn choose(plan: &Plan, tools: Tools) -> Result<Toolchain> {
        Ok(Toolchain::choose_with(plan, tools, &mut |_, _, failure| Err(failure))?)
    }

    /// The same; whoever is told of what is in the way decides whether to go on without.
    pub fn choose_with(plan: &Plan, tools: Tools, in_the_way: OnProblem<'_>) -> Result<Toolchain, Failure> {
        let builds: IndexSet<&BuildSettings> = plan.builds().collect();
        for build in &builds {
            known_issue_check::check(plan, build, &tools)
                .or_else(|failure| in_the_way(Requirement::Crates, Some(&build.triple), failure))?;
        }
        for build in &builds {
            std_library::check(build, &tools)
                .or_else(|failure| in_the_way(Requirement::Std, Some(&build.triple), failure))?;
        }
        let mut choices = BTreeMap::new();
        for build in builds {
            match linker::choose(build, &tools) {
                Ok(choice) => drop(choices.insert(build.clone(), choice)),
                Err(failure) => in_the_way(Requirement::Linker, Some(&build.triple), failure)?,
            }
        }
        for (build, choice) in &choices {
            known_issue_check::check_zig(plan, build, choice, &tools)
                .or_else(|failure| in_the_way(Requirement::Crates, Some(&build.triple), failure))?;
        }
        let by_cross = choices.values().any(|choice| choice.linker == Linker::Cross);
        let auditable = auditable::decide(plan.cargo.auditable, &tools, by_cross).or_else(|failure| {
            in_the_way(Requirement::Auditable, None, failure)?;
            Ok(auditable::Decision::default())
        })?;
        let linkers = choices.iter().filter_map(|(build, choice)| linker::note(build, choice, &plan.name_of(build)));
        let natives = choices.keys().filter_map(|build| c_env::note(build, &tools));
        let mut notes: Vec<String> = linkers.chain(natives).chain(auditable.note).collect();
        notes.dedup();
        Ok(Toolchain { tools, choices, auditable: auditable.on, notes })
    }

    /// The triples whose standard library `complete` would install.
    pub fn missing_std(&self, plan: &Plan) -> Vec<String> {
        std_library::missing(plan, &self.tools)
    }

    /// What the user may want to change.
    pub fn advice(&self) -> Option<String> {
        c_env::advice(&self.choices.keys().collect::<Vec<_>>(), &self.tools)
    }

    /// What links a build, as people know it.
    pub fn linker(&self, build: &BuildSettings) -> String {
        self.choices.get(build).map(|choice| choice.linker.to_string()).unwrap_or_default()
    }

    /// The cargo commands of a plan, without what is written before they run.
    pub fn preview(&self, plan: &Plan) -> Vec<Cmd> {
        let commands = self.commands(plan, &c_env::unwritten(&self.choices, &self.tools));
        commands.into_iter().map(|(_, cmd)| cmd).collect()
    }

    /// Writes the programs that the cargo commands of a plan name.
    pub fn write_programs(&self, plan: &Plan) -> Result<CEnv> {
        let by_cross = self.choices.values().any(|choice| choice.linker == Linker::Cross);
        if let Some(cross) = self.tools.cross.as_ref().filter(|_| by_cross) {
            cross.write_programs(plan)?;
        }
        c_env_files::write(&self.choices, &self.tools)
    }

    pub fn commands(&self, plan: &Plan, native: &CEnv) -> Vec<(CargoRun, Cmd)> {
        let runs = cargo_command::group_runs(plan, &self.tools, &self.choices);
        let command = |run: CargoRun| {
            let cmd = cargo_command::command(&run, plan, self, native);
            (run, cmd)
        };
        runs.into_iter().map(command).collect()
    }
}
