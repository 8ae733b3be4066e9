//! The table that `plan` prints.

use camino::Utf8Path;
use indexmap::{IndexMap, IndexSet};

use crate::compile::expected_linking::ExpectedLinking;
use crate::compile::toolchain::Toolchain;
use crate::elf::linking::SymbolKind;
use crate::image::buildx::builder::Builder;
use crate::image::engine::{self, Engine, EngineGroup, EngineSelection};
use crate::plan::{Image, ImagePlatform, Plan, Template};
use crate::platform::Platform;
use crate::ui::table::{self, ListItem};
use crate::ui::wrap;

/// Renders one block per image with a row per platform, followed by the engines, linkers, executables, sysroots, and missing
/// targets.
pub(crate) fn render(
    plan: &Plan,
    toolchain: &Toolchain,
    selections: &[EngineSelection],
    width: Option<usize>,
) -> String {
    let images: Vec<String> = plan.images.iter().map(|image| image_block(image, plan, toolchain, width)).collect();
    let mut sections = vec![
        images.join("\n\n"),
        engine_section(&plan.images, selections, width),
        linkers_section(plan, toolchain, width),
        executables_section(plan, toolchain, width),
    ];
    sections.extend(sysroots_section(toolchain, width));
    sections.extend(missing_std_section(toolchain, width));
    sections.join("\n\n")
}

fn image_block(image: &Image, plan: &Plan, toolchain: &Toolchain, width: Option<usize>) -> String {
    let kind = if image.has_index { "" } else { ", without an index" };
    let mut lines = vec![format!("{} {}{kind}", image.name, image.version)];
    lines.extend(references(image).into_iter().map(|reference| format!("  → {reference}")));
    let mut rows = vec![["PLATFORM", "TARGET", "LINKER", "BASE", "TEMPLATE", "BINARIES"].map(str::to_owned)];
    rows.extend(image.platforms.iter().map(|platform| row(platform, toolchain, plan)));
    lines.extend(table::render_rows(&rows, width));
    lines.join("\n")
}

fn row(platform: &ImagePlatform, toolchain: &Toolchain, plan: &Plan) -> [String; 6] {
    let binaries: Vec<&str> = platform.binaries.iter().map(|binary| binary.name.as_str()).collect();
    [
        platform.platform.to_string(),
        platform.build.triple.clone(),
        toolchain.linker_name(&platform.build),
        platform.base.clone(),
        template_name(&platform.template, &plan.paths.root),
        binaries.join(", "),
    ]
}

/// Names the engine and its builder, or lists them with their images if the images are built in different ways.
fn engine_section(images: &[Image], selections: &[EngineSelection], width: Option<usize>) -> String {
    let groups = engine::group(images.iter().zip(selections));
    if let [EngineGroup { selection, .. }] = groups.as_slice() {
        let mut section = wrapped("Engine: ", &format!("{} ({})", selection.name(), selection.why), width);
        if let Some(builder) = builder_description(selection) {
            section.push('\n');
            section.push_str(&wrapped("Builder: ", &builder, width));
        }
        return section;
    }
    let mut items = Vec::new();
    for group in groups {
        let EngineGroup { selection, images } = &group;
        let builder = builder_description(selection).map(|builder| format!("; builder {builder}"));
        let description =
            format!("{}: {}{}", selection.name(), group.why_for_listed_images(), builder.unwrap_or_default());
        items.push(ListItem { names: images.join(", "), description });
    }
    let mut lines = vec!["Engines:".to_owned()];
    lines.extend(table::render_list(&items, width));
    lines.join("\n")
}

/// Returns the name of the builder that an engine uses, and whether it will be created. Returns `None` for the current
/// builder.
fn builder_description(selection: &EngineSelection) -> Option<String> {
    let Engine::Buildx(builder @ Builder { name: Some(name), .. }) = &selection.engine else { return None };
    Some(match builder.to_create() {
        Some(to_create) => format!("{name}, will be created: {}", to_create.why),
        None => name.clone(),
    })
}

/// Lists the linkers in the plan's order, each with the reason for its choice and the platforms that use it.
fn linkers_section(plan: &Plan, toolchain: &Toolchain, width: Option<usize>) -> String {
    let describe = |platform: &ImagePlatform| {
        let choice = toolchain.linkers.get(&platform.build)?;
        Some(format!("{}: {}", choice.linker, choice.why))
    };
    let mut lines = vec!["Linkers:".to_owned()];
    lines.extend(list_by_platforms(&plan.images, describe, width));
    lines.join("\n")
}

/// Lists how the executables will be linked, and the symbols that they will contain.
fn executables_section(plan: &Plan, toolchain: &Toolchain, width: Option<usize>) -> String {
    let describe = |platform: &ImagePlatform| {
        let ExpectedLinking { executable, symbols } = toolchain.expected_linking(&platform.build, platform.symbols);
        let contents = match symbols {
            SymbolKind::Stripped => "stripped: no function names in backtraces",
            SymbolKind::Symbols => "symbols",
            SymbolKind::DebugInfo => "debug information",
        };
        let executable = executable.map(|kind| format!("{kind}, ")).unwrap_or_default();
        Some(format!("{executable}{contents} (profile {})", platform.build.profile))
    };
    let mut lines = vec!["Executables:".to_owned()];
    lines.extend(list_by_platforms(&plan.images, describe, width));
    lines.join("\n")
}

/// Lists each description once, with the platforms that it applies to. Names the images as well if a platform has different
/// descriptions in different images.
fn list_by_platforms(
    images: &[Image],
    describe: impl Fn(&ImagePlatform) -> Option<String>,
    width: Option<usize>,
) -> Vec<String> {
    let mut by_description: IndexMap<String, IndexMap<&str, IndexSet<Platform>>> = IndexMap::new();
    let mut by_platform: IndexMap<Platform, IndexSet<String>> = IndexMap::new();
    for image in images {
        for platform in &image.platforms {
            let Some(description) = describe(platform) else { continue };
            by_platform.entry(platform.platform).or_default().insert(description.clone());
            let platforms = by_description.entry(description).or_default().entry(&image.name).or_default();
            platforms.insert(platform.platform);
        }
    }
    let names_images = by_platform.values().any(|descriptions| descriptions.len() > 1);
    let item = |(description, by_image): (String, IndexMap<&str, IndexSet<Platform>>)| ListItem {
        names: if names_images { images_and_platforms(&by_image) } else { platform_names(by_image.values().flatten()) },
        description,
    };
    table::render_list(&by_description.into_iter().map(item).collect::<Vec<_>>(), width)
}

/// Names images with their platforms, as in `core, worker (linux/amd64, linux/arm64); ctl (linux/amd64)`.
fn images_and_platforms(by_image: &IndexMap<&str, IndexSet<Platform>>) -> String {
    let mut by_platforms: IndexMap<String, Vec<&str>> = IndexMap::new();
    for (image, platforms) in by_image {
        by_platforms.entry(platform_names(platforms)).or_default().push(image);
    }
    let name = |(platforms, images): (String, Vec<&str>)| format!("{} ({platforms})", images.join(", "));
    by_platforms.into_iter().map(name).collect::<Vec<_>>().join("; ")
}

fn platform_names<'a>(platforms: impl IntoIterator<Item = &'a Platform>) -> String {
    let unique: IndexSet<&Platform> = platforms.into_iter().collect();
    unique.into_iter().map(Platform::to_string).collect::<Vec<_>>().join(", ")
}

fn sysroots_section(toolchain: &Toolchain, width: Option<usize>) -> Option<String> {
    let mut lines = vec!["Sysroots from Debian packages:".to_owned()];
    for build in toolchain.linkers.keys().filter(|build| !build.sysroot_packages.is_empty()) {
        lines.push(wrapped(&format!("  {}  ", build.triple), &build.sysroot_packages.join(", "), width));
    }
    (lines.len() > 1).then(|| lines.join("\n"))
}

fn missing_std_section(toolchain: &Toolchain, width: Option<usize>) -> Option<String> {
    let missing = toolchain.missing_std();
    if missing.is_empty() {
        return None;
    }
    let start = "Missing targets that `publish` will install:";
    let command = format!("rustup target add {}", missing.join(" "));
    // Do not break the command across lines, because users may copy it.
    let fits_on_one_line = width.is_none_or(|width| start.len() + 1 + command.len() <= width);
    let separator = if fits_on_one_line { " " } else { "\n  " };
    Some(format!("{start}{separator}{command}"))
}

fn wrapped(start: &str, text: &str, width: Option<usize>) -> String {
    format!("{start}{}", wrap::wrap_at(text, start.len(), width))
}

/// Returns the references that an image is pushed to, or its name with each tag if it has no repository.
pub(super) fn references(image: &Image) -> Vec<String> {
    if image.repositories.is_empty() {
        image.tags.iter().map(|tag| format!("{}:{tag} (no registry)", image.name)).collect()
    } else {
        image.references().collect()
    }
}

/// Returns the name of a built-in template, or the path of a user's template relative to the workspace root.
pub(super) fn template_name(template: &Template, root: &Utf8Path) -> String {
    match template {
        Template::BuiltIn(name) => (*name).to_owned(),
        Template::File(path) => path.strip_prefix(root).unwrap_or(path).to_string(),
    }
}
