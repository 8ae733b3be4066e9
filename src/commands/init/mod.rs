//! `cargo multiarch init`: looks at the workspace, and writes what `plan` reads: a configuration, a template to edit, a
//! workflow. What is written is decided first, read as `plan` will read it, and then written file by file.

pub mod config_location;
pub mod detect;
pub mod edit_toml;
pub mod guess_registry;
pub mod render;
pub mod workflow;
pub mod write;

use anyhow::{Context, Result};
use camino::Utf8Path;

use self::config_location::Place;
use self::detect::Found;
use self::guess_registry::Origin;
use self::write::{Kind, Write};
use crate::cli::InitArgs;
use crate::config::{Config, ConfigTable, read};
use crate::dockerfile::render::built_in;
use crate::plan::{self, BuiltInTemplate, Checkout, CiService, ConfigSources, Plan, PlanRequest, Selection, Workspace};
use crate::ui::Ui;

/// `cargo multiarch init`
pub fn run(args: &InitArgs, ui: &Ui) -> Result<()> {
    let workspace = whole_workspace(args)?;
    let mut sources = ConfigSources::load(&workspace, Config::default())?;
    sources.notes.iter().for_each(|note| ui.note(note));
    let template = args.template.as_deref().map(plan::built_in_template).transpose()?;
    let place = Place::find(&workspace, &sources, args.file)?;
    let is_new = !place.is_configured() || (args.force && template.is_none() && args.ci.is_none());
    let request = PlanRequest { offline: args.offline, ..PlanRequest::default() };
    let origin = Origin::find(&workspace);

    if is_new {
        place.put(&mut sources, Config::default());
    }
    let asked = resolve(&workspace, &sources, &request)?;
    let found = match is_new || args.ci.is_some() {
        true => Found::look(&asked, ui)?,
        false => Found::default(),
    };
    let config = match (is_new, template) {
        (true, _) => {
            found.advise(template, ui);
            let text = found.config(&asked, &place, &origin, template)?;
            edit_toml::with_table(&place.text, place.table, &text)
        }
        (false, Some(template)) => {
            let keys = template_keys(template, &place.table_in(&sources));
            edit_toml::with_keys(&place.text, place.table, &keys, args.force)
        }
        (false, None) => Ok(place.text.clone()),
    };
    let config = config.with_context(|| format!("cannot write {}", place.path))?;
    place.put(&mut sources, read::parse(&config, &place.path, place.table)?.unwrap_or_default());
    // As the next command will read it.
    let plan = resolve(&workspace, &sources, &request)?;

    let mut writes = Vec::new();
    if let Some(template) = template {
        let path = workspace.root.join(template_path(template));
        writes.push(Write::find(path, template_text(template), Kind::Whole)?);
    }
    if let Some(forge) = args.ci {
        writes.push(workflow_of(forge, args.ci_native, &plan, &found)?);
    }
    writes.push(Write::find(place.path.clone(), config, Kind::Part(place.name(), !place.is_there()))?);
    if args.dry_run {
        return write::print(&writes, &workspace.root, ui);
    }
    write::check(&writes, &workspace.root, args)?;
    for write in &writes {
        write.perform(&workspace.root, ui)?;
    }
    if is_new {
        ui.note("where to push to is a comment in it: `registry`, which `publish` wants there or as `--registry`");
    } else if writes.iter().all(Write::is_there) {
        ui.note("nothing has changed; `cargo multiarch init --force` writes the configuration anew");
    }
    if let (Some(_), Some(image)) = (args.ci, plan.images.first()) {
        let version = &image.version;
        ui.note(format!(
            "the workflow runs for a tag of a commit that has it: `git tag v{version} && git push origin v{version}`"
        ));
    }
    ui.status("Next", "`cargo multiarch plan` shows what will be made");
    Ok(())
}

/// All of the workspace, from whichever folder of it this runs in.
fn whole_workspace(args: &InitArgs) -> Result<Workspace> {
    let current_dir = plan::current_dir()?;
    let selection =
        Selection { manifest_path: args.manifest_path.clone(), offline: args.offline, ..Selection::default() };
    let here = Workspace::load(&selection, &current_dir)?;
    if !here.has_explicit_selection {
        return Ok(here);
    }
    let root = here.root.clone();
    Workspace::load(&Selection { offline: args.offline, ..Selection::default() }, &root)
}

fn resolve(workspace: &Workspace, sources: &ConfigSources, request: &PlanRequest) -> Result<Plan> {
    Ok(plan::resolve(workspace, sources, &Checkout::None, request)?)
}

/// Where a copy of a built-in template goes, below the workspace's root.
fn template_path(template: BuiltInTemplate) -> String {
    format!("docker/{}.Dockerfile.j2", template.name)
}

fn template_text(template: BuiltInTemplate) -> String {
    format!("# `cargo multiarch dockerfile --variables` lists what can stand here.\n{}", built_in(template.name))
}

/// The keys that a copy of a template wants; its base and libc come by no name, and are left where they are set.
fn template_keys(template: BuiltInTemplate, set: &Config) -> Vec<(&'static str, String)> {
    let mut keys = vec![("template", template_path(template))];
    if set.base.is_none() {
        keys.push(("base", template.base.to_owned()));
    }
    if set.libc.is_none() {
        keys.push(("libc", detect::word(template.libc)));
    }
    keys
}

fn workflow_of(forge: CiService, is_native: bool, plan: &Plan, found: &Found) -> Result<Write> {
    let root = guess_registry::repository_root(&plan.paths.root);
    let folder = plan.paths.root.strip_prefix(&root).unwrap_or(Utf8Path::new(""));
    let text = workflow::text(forge, is_native, plan, folder, found.compiles_c())?;
    Write::find(root.join(workflow::path(forge)), text, Kind::Whole)
}

/// The table's name, as it stands in a manifest; none in multiarch.toml.
fn table_name(table: ConfigTable) -> Option<&'static str> {
    match table {
        ConfigTable::Root => None,
        ConfigTable::Workspace => Some("workspace.metadata.multiarch"),
        ConfigTable::Package => Some("package.metadata.multiarch"),
    }
}
