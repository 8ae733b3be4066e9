//! `cargo multiarch init`: detects what a workspace needs, and writes a configuration, a copy of a template, or a CI
//! workflow. Parses and resolves the new configuration before writing any file.

pub(crate) mod ci_requirements;
pub(crate) mod config_location;
pub(crate) mod config_text;
pub(crate) mod default_images;
pub(crate) mod detect;
pub(crate) mod edit_toml;
pub(crate) mod guess_registry;
pub(crate) mod lock_file;
pub(crate) mod planned_file;
pub(crate) mod render;
pub(crate) mod template_copy;
pub(crate) mod workflow;

use anyhow::{Context, Result};
use camino::Utf8Path;

use self::ci_requirements::CiRequirements;
use self::config_location::ConfigLocation;
use self::default_images::default_images;
use self::detect::NativeDependencies;
use self::guess_registry::Registry;
use self::planned_file::{ManagedPart, PlannedFile};
use self::workflow::WorkflowOptions;
use crate::cli::InitArgs;
use crate::config::{Config, read};
use crate::plan::{
    self, BuiltInTemplate, Checkout, ConfigSources, Image, Plan, PlanRequest, Selection, Workspace, git,
};
use crate::platform::Libc;
use crate::ui::Ui;

/// Runs `cargo multiarch init`.
pub(crate) fn run(args: &InitArgs, ui: &Ui) -> Result<()> {
    let workspace = load_whole_workspace(args)?;
    let mut sources = ConfigSources::load(&workspace, Config::default())?;
    sources.notes.iter().for_each(|note| ui.note(note));
    let template = args.template.as_deref().map(plan::built_in_template).transpose()?;
    let location = ConfigLocation::find(&workspace, &sources, args.file)?;
    let only_adds = template.is_some() || args.ci.is_some() || args.registry.is_some();
    let is_new = !location.is_configured || (args.force && !only_adds);

    // Ignore the old configuration when generating a new one.
    if is_new {
        location.set_config(&mut sources, default_images(&workspace));
    }
    let initial_plan = resolve(&workspace, &sources, args)?;
    let needs_dependencies = is_new || args.ci.is_some();
    let dependencies =
        if needs_dependencies { detect::native_dependencies(&initial_plan, args.dry_run, ui)? } else { Vec::new() };
    let config_file = if is_new {
        warn_about_musl(template, &dependencies, ui);
        let registry = Registry::choose(args.registry.as_deref(), &workspace);
        new_config_file(&location, &initial_plan.images, &dependencies, registry, template)
    } else {
        let keys = requested_keys(args, template, &location.config(&sources));
        if keys.is_empty() {
            Ok(location.text.clone())
        } else {
            edit_toml::set_keys(&location.text, location.table, &keys, args.force)
        }
    };
    let config_file = config_file.with_context(|| format!("cannot write {}", location.path))?;
    // Parse the new text, so that the plan is the same as the one that the next command will load.
    let config = read::parse(&config_file, &location.path, location.table)?.unwrap_or_default();
    location.set_config(&mut sources, config);
    let plan = resolve(&workspace, &sources, args)?;

    let mut files = Vec::new();
    if let Some(template) = template {
        let path = workspace.root.join(template_copy::path(template));
        files.push(PlannedFile::new(path, template_copy::text(template), ManagedPart::WholeFile)?);
    }
    files.extend(workflow_file(args, &plan, &dependencies, ui)?);
    let section = ManagedPart::Section { name: location.description(), is_new: !location.exists };
    files.push(PlannedFile::new(location.path.clone(), config_file, section)?);
    if args.dry_run {
        return planned_file::print(&files, &workspace.root, ui);
    }
    planned_file::check(&files, &workspace.root, args.force)?;
    for file in &files {
        file.write(&workspace.root, ui)?;
    }
    print_next_steps(args, is_new, &files, &plan.images, ui);
    Ok(())
}

/// Loads all packages of the workspace, even if the current directory belongs to a single package.
fn load_whole_workspace(args: &InitArgs) -> Result<Workspace> {
    let selection =
        Selection { manifest_path: args.manifest_path.clone(), offline: args.offline, ..Selection::default() };
    let workspace = Workspace::load(&selection, &plan::current_dir()?)?;
    if !workspace.has_explicit_selection {
        return Ok(workspace);
    }
    Workspace::load(&Selection { offline: args.offline, ..Selection::default() }, &workspace.root)
}

fn resolve(workspace: &Workspace, sources: &ConfigSources, args: &InitArgs) -> Result<Plan> {
    let request = PlanRequest { offline: args.offline, ..PlanRequest::default() };
    Ok(plan::resolve(workspace, sources, &Checkout::None, &request)?)
}

/// Warns if the requested template is for musl but a dependency links against a system library.
fn warn_about_musl(template: Option<BuiltInTemplate>, dependencies: &[NativeDependencies], ui: &Ui) {
    let Some(template) = template.filter(|template| template.libc == Libc::Musl) else { return };
    let mut libraries = dependencies.iter().flat_map(|dependencies| &dependencies.libraries);
    if let Some(library) = libraries.next() {
        let alternative = config_text::glibc_template().map_or("debian", |template| template.name);
        ui.warning(format!(
            "{} links against a system library that the musl template '{}' does not contain; try `--template \
             {alternative}`",
            library.package, template.name
        ));
    }
}

/// Returns the keys to set in an existing configuration, depending on the options.
fn requested_keys(args: &InitArgs, template: Option<BuiltInTemplate>, config: &Config) -> Vec<(&'static str, String)> {
    let registry = args.registry.iter().map(|registry| ("registry", registry.clone()));
    registry.chain(template.into_iter().flat_map(|template| template_copy::config_keys(template, config))).collect()
}

/// Returns the text of the configuration file, with a newly generated configuration in it.
fn new_config_file(
    location: &ConfigLocation,
    images: &[Image],
    dependencies: &[NativeDependencies],
    registry: Registry,
    template: Option<BuiltInTemplate>,
) -> Result<String> {
    let text = config_text::config_text(location.table, images, dependencies, registry, template)?;
    edit_toml::replace_table(&location.text, location.table, &text)
}

/// Returns the workflow file requested with `--ci`, if any.
fn workflow_file(
    args: &InitArgs,
    plan: &Plan,
    dependencies: &[NativeDependencies],
    ui: &Ui,
) -> Result<Option<PlannedFile>> {
    let Some(service) = args.ci else { return Ok(None) };
    let root = guess_registry::repository_root(&plan.paths.root);
    let compiles_c = dependencies.iter().any(|dependencies| dependencies.compiles_c);
    let requirements = CiRequirements::detect(plan, args.ci_native, compiles_c);
    let options = WorkflowOptions {
        service,
        is_native: args.ci_native,
        requirements: &requirements,
        default_branch: git::default_branch(&root),
        workspace_dir: plan.paths.root.strip_prefix(&root).unwrap_or(Utf8Path::new("")),
    };
    let workflow = workflow::workflow(plan, options)?;
    workflow.notes.iter().for_each(|note| ui.note(note));
    Ok(Some(PlannedFile::new(root.join(workflow::path(service)), workflow.text, ManagedPart::WholeFile)?))
}

fn print_next_steps(args: &InitArgs, is_new: bool, files: &[PlannedFile], images: &[Image], ui: &Ui) {
    if is_new && args.registry.is_none() {
        ui.note("to choose where to push, uncomment `registry` in the configuration or pass `--registry` to `publish`");
    } else if !is_new && files.iter().all(PlannedFile::is_unchanged) {
        ui.note("nothing to change; to regenerate the configuration, run `cargo multiarch init --force`");
    }
    if let (Some(_), Some(image)) = (args.ci, images.first()) {
        let version = &image.version;
        ui.note(format!(
            "to run the workflow, commit it and push a tag: `git tag v{version} && git push origin v{version}`"
        ));
    }
    ui.status(
        "Next",
        "run `cargo multiarch doctor` to check this machine, and `cargo multiarch plan` to see what `publish` would do",
    );
}
