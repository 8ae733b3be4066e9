//! Resolves build arguments: declared by ARG, passed to the build, or predefined by the builder (Dockerfile reference,
//! "ARG"; BuildKit's `dispatchArg`).

use indexmap::IndexMap;
use parse_dockerfile::ArgInstruction;

use super::error::StageError;
use super::expand::{Lookup, expand, split_words};
use super::render::Dockerfile;
use crate::plan::Image;
use crate::platform::Platform;

/// Arguments declared before the first FROM, with their values. Arguments declared without a value map to `None`.
pub(crate) type GlobalArgs = IndexMap<String, Option<String>>;

/// An argument declared by an ARG instruction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DeclaredArg {
    pub name: String,
    pub value: Option<String>,
}

/// Returns the arguments passed to a build. They come from the configuration, the rendered template, and buildx.
pub(crate) fn passed_args(image: &Image, dockerfile: &Dockerfile, source_date_epoch: u64) -> IndexMap<String, String> {
    let mut passed = dockerfile.build_args.clone();
    passed.insert("BUILDKIT_MULTI_PLATFORM".to_owned(), "1".to_owned());
    passed.extend(image.buildx.build_args.clone());
    passed.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert_with(|| source_date_epoch.to_string());
    passed
}

/// Returns the arguments that an ARG instruction declares. A passed value takes precedence over the default, which
/// takes precedence over global and predefined arguments.
pub(crate) fn declare(
    text: &str,
    passed: &IndexMap<String, String>,
    global: &GlobalArgs,
    platform: Platform,
    lookup: Lookup<'_>,
) -> Result<Vec<DeclaredArg>, StageError> {
    let mut declared = Vec::new();
    for word in split_words(text) {
        let (name, default) = match word.split_once('=') {
            Some((name, default)) => (name, Some(default)),
            None => (word.as_str(), None),
        };
        let value = if let Some(passed) = passed.get(name) {
            Some(passed.clone())
        } else if let Some(default) = default {
            Some(expand(default, lookup)?)
        } else if let Some(global) = global.get(name) {
            global.clone()
        } else {
            predefined(name, platform)?.map(str::to_owned)
        };
        declared.push(DeclaredArg { name: name.to_owned(), value });
    }
    Ok(declared)
}

/// Evaluates the ARG instructions before the first FROM.
pub(crate) fn global_args<'a, 'b: 'a>(
    instructions: impl IntoIterator<Item = &'a ArgInstruction<'b>>,
    passed: &IndexMap<String, String>,
    platform: Platform,
) -> Result<GlobalArgs, StageError> {
    let mut global = GlobalArgs::new();
    for word in instructions.into_iter().flat_map(|arg| split_words(&arg.arguments.value)) {
        let lookup = |name: &str| match global.get(name) {
            Some(value) => value.clone(),
            None => predefined(name, platform).ok().flatten().map(str::to_owned),
        };
        let declared = declare(&word, passed, &GlobalArgs::new(), platform, &lookup)?;
        if let Some(arg) = declared.iter().find(|arg| is_predefined(&arg.name)) {
            return Err(StageError::unsupported(format!("ARG {} before FROM", arg.name)));
        }
        global.extend(declared.into_iter().map(|arg| (arg.name, arg.value)));
    }
    Ok(global)
}

/// Reports whether BuildKit predefines an argument (Dockerfile reference, "Automatic platform ARGs in the global
/// scope").
fn is_predefined(name: &str) -> bool {
    let part = name.strip_prefix("TARGET").or_else(|| name.strip_prefix("BUILD"));
    part.is_some_and(|part| matches!(part, "PLATFORM" | "OS" | "OSVERSION" | "ARCH" | "VARIANT" | "STAGE"))
}

/// Returns the value of a predefined argument, or `None` if BuildKit does not predefine it. Fails if only a builder can
/// determine the value.
fn predefined(name: &str, platform: Platform) -> Result<Option<&'static str>, StageError> {
    Ok(match name {
        "TARGETPLATFORM" => Some(platform.name()),
        "TARGETOS" => Some(platform.os()),
        "TARGETARCH" => Some(platform.architecture()),
        "TARGETVARIANT" => Some(platform.variant().unwrap_or_default()),
        name if is_predefined(name) => {
            return Err(StageError::unsupported(format!("ARG {name}, which only a builder can set")));
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evaluates the ARG instruction `line` after the global ones, and returns its arguments as `NAME=VALUE`.
    fn declared(global: &str, line: &str) -> Result<String, StageError> {
        let text = format!("{global}\nFROM x\n");
        let dockerfile = parse_dockerfile::parse(&text).unwrap();
        let passed = IndexMap::from([("GIVEN".to_owned(), "g".to_owned())]);
        let platform = "linux/arm/v7".parse().unwrap();
        let global = global_args(dockerfile.global_args(), &passed, platform)?;
        let declared = declare(line, &passed, &global, platform, &|name| (name == "ENV").then(|| "e".to_owned()))?;
        Ok(declared.into_iter().map(|arg| format!("{}={}", arg.name, arg.value.unwrap_or("-".into()))).collect())
    }

    #[test]
    fn resolves_values_by_precedence() {
        for (global, line, expected) in [
            ("", "A=$ENV", "A=e"),
            ("", "GIVEN=d", "GIVEN=g"),
            ("", "A", "A=-"),
            ("", "TARGETPLATFORM TARGETVARIANT", "TARGETPLATFORM=linux/arm/v7TARGETVARIANT=v7"),
            ("", "TARGETOS=plan9", "TARGETOS=plan9"),
            ("", "BUILDARCH=mine", "BUILDARCH=mine"),
            ("ARG A=1 B=$A-$TARGETARCH", "A B", "A=1B=1-arm"),
            ("ARG A=1", "A=2", "A=2"),
            ("ARG A", "A", "A=-"),
            ("ARG GIVEN", "GIVEN", "GIVEN=g"),
        ] {
            assert_eq!(declared(global, line).as_deref(), Ok(expected), "{global} {line}");
        }
        for (global, line, feature) in [
            ("", "BUILDPLATFORM", "ARG BUILDPLATFORM, which only a builder can set"),
            ("", "TARGETSTAGE", "ARG TARGETSTAGE, which only a builder can set"),
            ("ARG TARGETARCH=x", "A", "ARG TARGETARCH before FROM"),
        ] {
            assert_eq!(declared(global, line), Err(StageError::unsupported(feature)), "{global} {line}");
        }
    }
}
