//! Build arguments: what ARG declares, what is given from outside, and what the builder brings (Dockerfile reference,
//! "ARG"; BuildKit's `dispatchArg`). Pure.

use indexmap::IndexMap;
use parse_dockerfile::ArgInstruction;

use super::error::StageError;
use super::expand::{Lookup, expand, split};
use super::render::Dockerfile;
use crate::plan::Image;
use crate::platform::Platform;

/// By name; none was declared without a value.
pub type BuildArgs = IndexMap<String, Option<String>>;

/// What a build is given from outside: by the configuration, the template's own values, and buildx itself.
pub fn passed_args(image: &Image, dockerfile: &Dockerfile, source_date_epoch: u64) -> IndexMap<String, String> {
    let mut given = dockerfile.build_args.clone();
    given.insert("BUILDKIT_MULTI_PLATFORM".to_owned(), "1".to_owned());
    given.extend(image.buildx.build_args.clone());
    given.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert_with(|| source_date_epoch.to_string());
    given
}

/// The arguments of an ARG. A value that is given comes before the default, and that before what stands above the first
/// FROM or is the platform's.
pub fn declare(
    text: &str,
    given: &IndexMap<String, String>,
    outer: &BuildArgs,
    platform: Platform,
    lookup: Lookup<'_>,
) -> Result<Vec<(String, Option<String>)>, StageError> {
    let declared = split(text).into_iter().map(|word| {
        let (name, default) = word.split_once('=').map_or((word.as_str(), None), |(name, word)| (name, Some(word)));
        let value = match (given.get(name), default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => Some(expand(default, lookup)?),
            (None, None) => match outer.get(name) {
                Some(outer) => outer.clone(),
                None => automatic(name, platform)?.map(str::to_owned),
            },
        };
        Ok((name.to_owned(), value))
    });
    declared.collect()
}

/// The arguments above the first FROM.
pub fn outer<'a, 'b: 'a>(
    instructions: impl IntoIterator<Item = &'a ArgInstruction<'b>>,
    given: &IndexMap<String, String>,
    platform: Platform,
) -> Result<BuildArgs, StageError> {
    let mut outer = BuildArgs::new();
    for word in instructions.into_iter().flat_map(|arg| split(&arg.arguments.value)) {
        let lookup = |name: &str| match outer.get(name) {
            Some(value) => value.clone(),
            None => automatic(name, platform).ok().flatten().map(str::to_owned),
        };
        let declared = declare(&word, given, &BuildArgs::new(), platform, &lookup)?;
        if let Some((name, _)) = declared.iter().find(|(name, _)| is_automatic(name)) {
            return Err(StageError::unsupported(format!("ARG {name} before FROM")));
        }
        outer.extend(declared);
    }
    Ok(outer)
}

fn is_automatic(name: &str) -> bool {
    let part = name.strip_prefix("TARGET").or_else(|| name.strip_prefix("BUILD"));
    part.is_some_and(|part| matches!(part, "PLATFORM" | "OS" | "OSVERSION" | "ARCH" | "VARIANT" | "STAGE"))
}

/// What a platform says of itself. What the machine that builds would say is for that to say.
fn automatic(name: &str, platform: Platform) -> Result<Option<&'static str>, StageError> {
    Ok(match name {
        "TARGETPLATFORM" => Some(platform.name()),
        "TARGETOS" => Some(platform.os()),
        "TARGETARCH" => Some(platform.architecture()),
        "TARGETVARIANT" => Some(platform.variant().unwrap_or_default()),
        name if is_automatic(name) => {
            return Err(StageError::unsupported(format!("ARG {name}, which is the builder's own,")));
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arguments that a stage has after a line, below others.
    fn after(above: &str, line: &str) -> Result<String, StageError> {
        let text = format!("{above}\nFROM x\n");
        let dockerfile = parse_dockerfile::parse(&text).unwrap();
        let given = IndexMap::from([("GIVEN".to_owned(), "g".to_owned())]);
        let platform = "linux/arm/v7".parse().unwrap();
        let outer = outer(dockerfile.global_args(), &given, platform)?;
        let declared = declare(line, &given, &outer, platform, &|name| (name == "ENV").then(|| "e".to_owned()))?;
        Ok(declared.into_iter().map(|(name, value)| format!("{name}={}", value.unwrap_or("-".into()))).collect())
    }

    #[test]
    fn which_value_counts() {
        for (above, line, found) in [
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
            assert_eq!(after(above, line).as_deref(), Ok(found), "{above} {line}");
        }
        for (above, line, what) in [
            ("", "BUILDPLATFORM", "ARG BUILDPLATFORM, which is the builder's own,"),
            ("", "TARGETSTAGE", "ARG TARGETSTAGE, which is the builder's own,"),
            ("ARG TARGETARCH=x", "A", "ARG TARGETARCH before FROM"),
        ] {
            assert_eq!(after(above, line), Err(StageError::unsupported(what)), "{above} {line}");
        }
    }
}
