//! The versioned JSON output of `plan`, which contains the plan and the selected linkers and engine.

use anyhow::Result;

use super::schema::SCHEMA_VERSION;
use crate::compile::toolchain::Toolchain;
use crate::image::engine::{Engine, EngineSelection};
use crate::plan::Plan;

/// Renders the plan as JSON.
pub(crate) fn to_json(plan: &Plan, toolchain: &Toolchain, selection: &EngineSelection) -> Result<String> {
    let mut json = serde_json::to_value(plan)?;
    for (image, json) in plan.images.iter().zip(array(&mut json["images"])) {
        for (platform, json) in image.platforms.iter().zip(array(&mut json["platforms"])) {
            json["linker"] = serde_json::to_value(toolchain.linkers.get(&platform.build))?;
        }
    }
    json["version"] = SCHEMA_VERSION.into();
    json["auditable"] = toolchain.auditable.into();
    json["engine"] = selection.name().into();
    json["engine_why"] = selection.why.as_str().into();
    if let Engine::Buildx(builder) = &selection.engine {
        json["builder"] = builder.name.as_deref().into();
    }
    Ok(serde_json::to_string_pretty(&json)?)
}

fn array(json: &mut serde_json::Value) -> impl Iterator<Item = &mut serde_json::Value> {
    json.as_array_mut().into_iter().flatten()
}
