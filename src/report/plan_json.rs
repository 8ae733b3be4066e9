//! The versioned JSON output of `plan`, which contains the plan and the selected linkers and engine.

use anyhow::Result;

use super::schema::SCHEMA_VERSION;
use crate::compile::toolchain::Toolchain;
use crate::image::engine::{Engine, EngineSelection};
use crate::plan::Plan;

/// Renders the plan as JSON.
pub(crate) fn to_json(plan: &Plan, toolchain: &Toolchain, selections: &[EngineSelection]) -> Result<String> {
    let mut json = serde_json::to_value(plan)?;
    for ((image, selection), json) in plan.images.iter().zip(selections).zip(array(&mut json["images"])) {
        add_engine(json, Some(selection));
        for (platform, json) in image.platforms.iter().zip(array(&mut json["platforms"])) {
            json["linker"] = serde_json::to_value(toolchain.linkers.get(&platform.build))?;
            let expected = toolchain.expected_linking(&platform.build, platform.symbols);
            json["executable"] = expected.executable.map(|kind| kind.replace(' ', "-")).into();
            json["symbols"] = serde_json::to_value(expected.symbols)?;
        }
    }
    json["version"] = SCHEMA_VERSION.into();
    json["auditable"] = toolchain.auditable.into();
    // These are null if they differ between the images.
    let first = selections.first();
    add_engine(&mut json, first.filter(|first| selections.iter().all(|other| other.engine == first.engine)));
    if selections.iter().any(|other| Some(&other.why) != first.map(|first| &first.why)) {
        json["engine_why"] = serde_json::Value::Null;
    }
    Ok(serde_json::to_string_pretty(&json)?)
}

fn add_engine(json: &mut serde_json::Value, selection: Option<&EngineSelection>) {
    json["engine"] = selection.map(EngineSelection::name).into();
    json["engine_why"] = selection.map(|selection| selection.why.as_str()).into();
    json["builder"] = match selection.map(|selection| &selection.engine) {
        Some(Engine::Buildx(builder)) => builder.name.as_deref().into(),
        Some(Engine::Embedded) | None => serde_json::Value::Null,
    };
}

fn array(json: &mut serde_json::Value) -> impl Iterator<Item = &mut serde_json::Value> {
    json.as_array_mut().into_iter().flatten()
}
