//! The plan, as a table for people and as JSON. Pure.

use anyhow::Result;
use indexmap::{IndexMap, IndexSet};

use super::{VERSION, table};
use crate::compile::toolchain::Toolchain;
use crate::image::buildx::builder::Builder;
use crate::image::engine::{Engine, EngineSelection};
use crate::plan::{Image, ImagePlatform, Plan, Template};
use crate::platform::Platform;
use crate::ui::wrap;

/// The plan as a table: a block per image, a row per platform.
pub fn table(plan: &Plan, toolchain: &Toolchain, chosen: &EngineSelection, width: Option<usize>) -> String {
    let mut blocks = Vec::new();
    for image in &plan.images {
        let mut lines = vec![format!("{} {}", image.name, image.version)];
        lines.extend(references(image).into_iter().map(|reference| format!("  → {reference}")));
        let mut rows = vec![["PLATFORM", "TARGET", "LINKER", "BASE", "TEMPLATE", "BINARIES"].map(str::to_owned)];
        rows.extend(image.platforms.iter().map(|platform| row(platform, toolchain, plan)));
        lines.extend(table::rows(&rows, width));
        blocks.push(lines.join("\n"));
    }
    let mut text = blocks.join("\n\n");
    let line = |start: &str, text: &str| format!("{start}{}", wrap::hanging(text, start.len(), width));
    text.push_str("\n\n");
    text.push_str(&line("Engine: ", &format!("{} ({})", chosen.name(), chosen.why)));
    if let Engine::Buildx(Builder { name: Some(name), missing, .. }) = &chosen.engine {
        let made = missing.as_ref().map(|missing| format!(", made first: {}", missing.why)).unwrap_or_default();
        text.push('\n');
        text.push_str(&line("Builder: ", &format!("{name}{made}")));
    }
    text.push_str("\n\nLinkers:");
    for line in table::listed(&linkers(plan, toolchain), width) {
        text.push('\n');
        text.push_str(&line);
    }
    let with_sysroot: Vec<_> = toolchain.linkers.keys().filter(|build| !build.sysroot_packages.is_empty()).collect();
    if !with_sysroot.is_empty() {
        text.push_str("\n\nSysroots, of Debian's packages:");
        for build in with_sysroot {
            text.push('\n');
            text.push_str(&line(&format!("  {}  ", build.triple), &build.sysroot_packages.join(", ")));
        }
    }
    let missing = toolchain.missing_std();
    if !missing.is_empty() {
        let (start, command) =
            ("To install first, which `publish` does:", format!("rustup target add {}", missing.join(" ")));
        // A command is copied as it stands.
        let is_beside = width.is_none_or(|width| start.len() + 1 + command.len() <= width);
        text.push_str(&format!("\n\n{start}{}{command}", if is_beside { " " } else { "\n  " }));
    }
    text
}

/// Platforms, in the plan's order, and the linker that they share with the reason for it.
fn linkers(plan: &Plan, toolchain: &Toolchain) -> Vec<(String, String)> {
    let mut by_choice: IndexMap<String, IndexSet<Platform>> = IndexMap::new();
    for platform in plan.platforms() {
        if let Some(choice) = toolchain.linkers.get(&platform.build) {
            by_choice.entry(format!("{}: {}", choice.linker, choice.why)).or_default().insert(platform.platform);
        }
    }
    let names =
        |platforms: IndexSet<Platform>| platforms.iter().map(Platform::to_string).collect::<Vec<_>>().join(", ");
    by_choice.into_iter().map(|(choice, platforms)| (names(platforms), choice)).collect()
}

pub(super) fn references(image: &Image) -> Vec<String> {
    match image.repositories.is_empty() {
        true => image.tags.iter().map(|tag| format!("{}:{tag} (no registry)", image.name)).collect(),
        false => image.references().collect(),
    }
}

pub(super) fn template(platform: &ImagePlatform, plan: &Plan) -> String {
    match &platform.template {
        Template::BuiltIn(name) => (*name).to_owned(),
        Template::File(path) => path.strip_prefix(&plan.paths.root).unwrap_or(path).to_string(),
    }
}

fn row(platform: &ImagePlatform, toolchain: &Toolchain, plan: &Plan) -> [String; 6] {
    let binaries: Vec<&str> = platform.binaries.iter().map(|binary| binary.name.as_str()).collect();
    [
        platform.platform.to_string(),
        platform.build.triple.clone(),
        toolchain.linker_name(&platform.build),
        platform.base.clone(),
        template(platform, plan),
        binaries.join(", "),
    ]
}

/// The same with the choice of linkers and of the engine, as JSON.
pub fn json(plan: &Plan, toolchain: &Toolchain, chosen: &EngineSelection) -> Result<String> {
    let mut json = serde_json::to_value(plan)?;
    for (image, in_plan) in plan.images.iter().enumerate() {
        for (platform, in_image) in in_plan.platforms.iter().enumerate() {
            let choice = toolchain.linkers.get(&in_image.build);
            json["images"][image]["platforms"][platform]["linker"] = serde_json::to_value(choice)?;
        }
    }
    json["version"] = VERSION.into();
    json["auditable"] = toolchain.auditable.into();
    json["engine"] = chosen.name().into();
    json["engine_why"] = chosen.why.as_str().into();
    if let Engine::Buildx(builder) = &chosen.engine {
        json["builder"] = builder.name.as_deref().into();
    }
    Ok(serde_json::to_string_pretty(&json)?)
}
