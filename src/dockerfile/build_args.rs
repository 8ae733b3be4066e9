//! Build arguments: what ARG declares, what is passed from outside, and what the builder brings (Dockerfile reference,
//! "ARG"; BuildKit's `dispatchArg`).

use indexmap::IndexMap;
use parse_dockerfile::ArgInstruction;

use super::error::StageError;
use super::expand::{Lookup, expand, split_words};
use super::render::Dockerfile;
use crate::plan::Image;
use crate::platform::Platform;

/// The arguments declared before the first FROM, by name. `None` for one without a value.
pub(crate) type GlobalArgs = IndexMap<String, Option<String>>;

/// What an ARG instruction declares.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DeclaredArg {
    pub name: String,
    pub value: Option<String>,
}

/// Returns the arguments that are passed to a build: by the configuration, the template's own values, and buildx itself.
pub(crate) fn passed_args(image: &Image, dockerfile: &Dockerfile, source_date_epoch: u64) -> IndexMap<String, String> {
    let mut passed = dockerfile.build_args.clone();
    passed.insert("BUILDKIT_MULTI_PLATFORM".to_owned(), "1".to_owned());
    passed.extend(image.buildx.build_args.clone());
    passed.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert_with(|| source_date_epoch.to_string());
    passed
}

/// The arguments of an ARG instruction. A passed value precedes the default, which precedes the global argument or the
/// platform's value.
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

/// Whether BuildKit sets an argument by itself (Dockerfile reference, "Automatic platform ARGs in the global scope").
fn is_predefined(name: &str) -> bool {
    let part = name.strip_prefix("TARGET").or_else(|| name.strip_prefix("BUILD"));
    part.is_some_and(|part| matches!(part, "PLATFORM" | "OS" | "OSVERSION" | "ARCH" | "VARIANT" | "STAGE"))
}

/// The value of an argument that BuildKit sets by itself. Only the builder knows those of the machine that builds.
fn predefined(name: &str, platform: Platform) -> Result<Option<&'static str>, StageError> {
    Ok(match name {
        "TARGETPLATFORM" => Some(platform.name()),
        "TARGETOS" => Some(platform.os()),
        "TARGETARCH" => Some(platform.architecture()),
        "TARGETVARIANT" => Some(platform.variant().unwrap_or_default()),
        name if is_predefined(name) => {
            return Err(StageError::unsupported(format!("ARG {name}, which is the builder's own,")));
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arguments that a stage has after a line, below others.
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
    fn which_value_counts() {
        for (global, line, found) in [
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
            assert_eq!(declared(global, line).as_deref(), Ok(found), "{global} {line}");
        }
        for (global, line, feature) in [
            ("", "BUILDPLATFORM", "ARG BUILDPLATFORM, which is the builder's own,"),
            ("", "TARGETSTAGE", "ARG TARGETSTAGE, which is the builder's own,"),
            ("ARG TARGETARCH=x", "A", "ARG TARGETARCH before FROM"),
        ] {
            assert_eq!(declared(global, line), Err(StageError::unsupported(feature)), "{global} {line}");
        }
    }
}
