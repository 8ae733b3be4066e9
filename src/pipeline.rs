//! The story, on one screen: plan → artifacts → layouts → verified → published → report.

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use crate::cli::{BuildArgs, DockerfileArgs, MessageFormat, PlanArgs, PublishArgs, SettingsArgs};
use crate::compile::{self, Artifacts, Toolchain, tools};
use crate::error::{Class, Failure, nearest};
use crate::image::builder::{self, Builder};
use crate::image::buildx;
use crate::image::context::{self, Staged};
use crate::image::dockerfile::{HELPERS, VARIABLES};
use crate::image::layout::Layout;
use crate::image::{self, Bases, qemu};
use crate::plan::{self, Plan, Sources, Workspace};
use crate::publish::{self, registry::Registry};
use crate::report::{self, Report};
use crate::ui::Ui;
use crate::verify::{self, Verified};

/// `cargo multiarch publish`
pub fn publish(args: &PublishArgs, ui: &Ui) -> Result<()> {
    let plan = load(&args.settings, ui)?;
    let registry = publish::connect(&plan)?;
    check(&plan)?;
    [&args.refs_file, &args.digests_file].into_iter().flatten().try_for_each(|path| report::check_file(path))?;
    let builder = builder::preflight(&plan, ui)?;
    publish::preflight(&plan, &registry, ui)?;
    let made = make(plan, &registry, &builder, ui)?;

    upload(&made, &registry, ui)?;
    let published = push(&made, &registry, &builder, ui)?;
    let report = Report::new(&made.plan, &made.artifacts, &made.toolchain, &made.bases, &made.verified(), &published);
    report.write_files(args.refs_file.as_deref(), args.digests_file.as_deref())?;
    show(&report, args.output.message_format, ui)
}

/// `cargo multiarch build`
pub fn build(args: &BuildArgs, ui: &Ui) -> Result<()> {
    let plan = load(&args.settings, ui)?;
    let registry = publish::connect(&plan)?;
    check(&plan)?;
    let builder = builder::preflight(&plan, ui)?;
    let made = make(plan, &registry, &builder, ui)?;
    let digests: Vec<String> = made.images.iter().map(|built| built.verified.digest.clone()).collect();
    for (image, built) in made.plan.images.iter().zip(&made.images) {
        ui.status("Built", format!("{} in {}, verified", image.name, built.layout.dir));
    }
    let report = Report::new(&made.plan, &made.artifacts, &made.toolchain, &made.bases, &made.verified(), &digests);
    show(&report, args.output.message_format, ui)
}

/// `cargo multiarch plan`
pub fn plan(args: &PlanArgs, ui: &Ui) -> Result<()> {
    let plan = load(&args.settings, ui)?;
    let toolchain = Toolchain::choose(&plan, tools::probe(&plan)?)?;
    for (_, cmd) in toolchain.commands(&plan)? {
        ui.would_run(&cmd);
    }
    let current = Builder { name: plan.builder.clone(), driver: String::new() };
    for image in &plan.images {
        let dockerfile = image::render(&plan, image, &Bases::new())?;
        let staged = Staged { dir: context::dir(&plan, image), dockerfile };
        ui.would_run(&buildx::build_command(&plan, image, &staged, &current));
        if !image.repositories.is_empty() {
            ui.would_run(&buildx::push_command(&plan, image, &staged, &current));
        }
    }
    match args.output.message_format {
        MessageFormat::Human => ui.data(&report::plan_table(&plan, &toolchain))?,
        MessageFormat::Json => ui.data(&report::plan_json(&plan, &toolchain)?)?,
    }
    Ok(())
}

/// `cargo multiarch dockerfile`
pub fn dockerfile(args: &DockerfileArgs, ui: &Ui) -> Result<()> {
    if args.variables {
        for (name, kind, meaning) in VARIABLES {
            ui.data(&format!("{name:12} {kind:34} {meaning}"))?;
        }
        ui.data("")?;
        return HELPERS.iter().try_for_each(|(text, meaning)| Ok(ui.data(&format!("{text:28} {meaning}"))?));
    }
    let plan = load(&args.settings, ui)?;
    for image in &plan.images {
        ui.data(&format!("# {}", image.name))?;
        ui.data(image::render(&plan, image, &Bases::new())?.text.trim_end())?;
    }
    Ok(())
}

/// Sends the content of all images everywhere, where one push of buildx would move some tags before that.
fn upload(made: &Made, registry: &Registry, ui: &Ui) -> Result<()> {
    if made.plan.images.iter().map(|image| image.repositories.len()).sum::<usize>() == 1 {
        return Ok(());
    }
    for (image, built) in made.plan.images.iter().zip(&made.images) {
        for repository in &image.repositories {
            ui.status("Uploading", format!("{repository}, no tag yet"));
            publish::upload::upload(&built.layout, repository, registry)?;
        }
    }
    Ok(())
}

/// Pushes image after image, reads each back, and returns the digests.
fn push(made: &Made, registry: &Registry, builder: &Builder, ui: &Ui) -> Result<Vec<String>> {
    let mut published = Vec::new();
    for (image, built) in made.plan.images.iter().zip(&made.images) {
        let digest = buildx::push(&made.plan, image, &built.staged, builder, ui).and_then(|digest| {
            let mut repositories = image.repositories.iter();
            repositories.try_for_each(|name| verify::registry(image, name, &digest, &built.verified, registry))?;
            Ok(digest)
        });
        published.push(digest.map_err(|error| after(error, &made.plan.images[..published.len()]))?);
        ui.status("Published", format!("{} for {}, verified", image.name, count(image.platforms.len())));
    }
    Ok(published)
}

fn count(platforms: usize) -> String {
    if platforms == 1 { "1 platform".to_owned() } else { format!("{platforms} platforms") }
}

/// What an error in the middle leaves behind must not be a surprise.
fn after(error: anyhow::Error, published: &[plan::Image]) -> anyhow::Error {
    let names: Vec<&str> = published.iter().map(|image| image.name.as_str()).collect();
    match names.is_empty() {
        true => error,
        false => error.context(format!("already published: {}; then", names.join(", "))),
    }
}

/// What is there before anything is pushed.
struct Made {
    plan: Plan,
    toolchain: Toolchain,
    bases: Bases,
    artifacts: Artifacts,
    /// In the plan's order.
    images: Vec<Built>,
}

struct Built {
    staged: Staged,
    layout: Layout,
    verified: Verified,
}

impl Made {
    fn verified(&self) -> Vec<&Verified> {
        self.images.iter().map(|built| &built.verified).collect()
    }
}

/// What the workspace must have: the files that images want, and templates that render.
fn check(plan: &Plan) -> Result<()> {
    context::check_files(plan)?;
    plan.images.iter().try_for_each(|image| image::render(plan, image, &Bases::new()).map(drop))
}

/// From the plan to verified layouts of all images. Whatever can be refused is refused before the compiler starts.
fn make(plan: Plan, registry: &Registry, builder: &Builder, ui: &Ui) -> Result<Made> {
    let bases = publish::resolve_bases(&plan, registry, ui)?;
    let plan = plan.with_bases(&bases);
    let mut tools = tools::probe(&plan)?;
    let dockerfiles =
        plan.images.iter().map(|image| image::render(&plan, image, &bases)).collect::<Result<Vec<_>>>()?;
    for (image, dockerfile) in plan.images.iter().zip(&dockerfiles) {
        qemu::check(&image.name, &dockerfile.run, &tools.host, builder, ui)?;
    }
    compile::install_targets(&plan, &mut tools, ui)?;
    let toolchain = Toolchain::choose(&plan, tools)?;

    let artifacts = compile::run(&plan, &toolchain, ui)?;
    let staged = plan
        .images
        .iter()
        .zip(dockerfiles)
        .map(|(image, dockerfile)| context::stage(&plan, image, &artifacts, dockerfile))
        .collect::<Result<Vec<_>>>()?;
    let mut images = Vec::new();
    for (image, staged) in plan.images.iter().zip(staged) {
        let layout = buildx::build(&plan, image, &staged, builder, ui)?;
        let verified = verify::layout(image, &layout, &artifacts)?;
        images.push(Built { staged, layout, verified });
    }
    Ok(Made { plan, toolchain, bases, artifacts, images })
}

/// Flags, environment and files become the plan; nothing reads them after this.
fn load(args: &SettingsArgs, ui: &Ui) -> Result<Plan> {
    check_variables()?;
    let current_dir =
        Utf8PathBuf::try_from(std::env::current_dir()?).context("the current folder's name is not UTF-8")?;
    let workspace = Workspace::load(&args.selection(), &current_dir)?;
    let sources = Sources::load(&workspace, args.config())?;
    let epoch = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => Some(text.parse().map_err(|_| {
            Failure::new(Class::Config, format!("SOURCE_DATE_EPOCH is '{text}', wanted seconds since 1970"))
                .hint("the commit's: `SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)`")
        })?),
        Err(_) => None,
    };
    let plan = plan::resolve(
        &workspace,
        &sources,
        plan::git::commit(&workspace.root, &workspace.target_dir)?,
        &args.request(epoch),
    )?;
    plan.notes.iter().for_each(|note| ui.note(note));
    Ok(plan)
}

/// A variable that nothing reads is a typo that nobody notices.
fn check_variables() -> Result<(), Failure> {
    use clap::CommandFactory;
    let cli = crate::cli::Cli::command();
    let publish = cli.get_subcommands().find(|command| command.get_name() == "publish");
    let known: Vec<String> = publish
        .into_iter()
        .flat_map(clap::Command::get_arguments)
        .filter_map(|arg| Some(arg.get_env()?.to_string_lossy().into_owned()))
        .filter(|name| name.starts_with("MULTIARCH_"))
        .collect();
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("MULTIARCH_") && !name.starts_with("MULTIARCH_TEST_") && !known.contains(&name) {
            let failure = Failure::new(Class::Config, format!("unknown variable {name}"));
            return Err(match nearest(&name, known.iter().map(String::as_str)) {
                Some(near) => failure.hint(format!("did you mean {near}?")),
                None => failure.hint(format!("the variables are: {}", known.join(", "))),
            });
        }
    }
    Ok(())
}

fn show(report: &Report, format: MessageFormat, ui: &Ui) -> Result<()> {
    match format {
        MessageFormat::Human => report.lines().try_for_each(|line| Ok(ui.data(&line)?)),
        MessageFormat::Json => Ok(ui.data(&serde_json::to_string_pretty(report)?)?),
    }
}
