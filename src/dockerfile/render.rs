//! The Dockerfile of an image: a stage per platform, each rendered from a template, and a last line that picks one.

use indexmap::IndexMap;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use super::instructions::instructions;
use super::pinned_bases::PinnedBases;
use super::template::{TemplateText, json, quote};
use super::template_check;
use crate::config::{FileEntry, Healthcheck};
use crate::error::{Class, Failure};
use crate::plan::{Binary, Image, ImagePlatform, Template};
use crate::platform::Platform;

/// A Dockerfile, and the values that can only come in as build arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dockerfile {
    pub text: String,
    pub build_args: IndexMap<String, String>,
    /// The platforms whose stage has a RUN instruction.
    pub run_platforms: Vec<Platform>,
    /// What was rendered, in the platforms' order.
    pub templates: Vec<TemplateText>,
}

impl Dockerfile {
    /// Returns the template and line that a line was rendered from, as far as they can be found.
    pub(crate) fn locate(&self, stage: &str, line: &str) -> String {
        let template = self.templates.iter().find(|template| template.stage == stage).or(self.templates.first());
        template.map(|template| template.locate(line)).unwrap_or_default()
    }
}

const BUILT_IN: &[(&str, &str)] = &[
    ("scratch", include_str!("../../templates/dockerfile/scratch.j2")),
    ("distroless-static", include_str!("../../templates/dockerfile/distroless-static.j2")),
    ("distroless-cc", include_str!("../../templates/dockerfile/distroless-cc.j2")),
    ("debian", include_str!("../../templates/dockerfile/debian.j2")),
    ("alpine", include_str!("../../templates/dockerfile/alpine.j2")),
    ("contents", include_str!("../../templates/dockerfile/contents.j2")),
    ("config", include_str!("../../templates/dockerfile/config.j2")),
];

/// What a template can use: name, type, meaning. Printed by `cargo multiarch dockerfile --variables`.
pub(crate) const VARIABLES: &[(&str, &str, &str)] = &[
    ("stage", "string", "the name that the template's last stage must have: FROM … AS {{ stage }}"),
    ("base", "string", "the base, pinned to its digest"),
    ("image", "string", "the image's name"),
    ("version", "string", "the package's version"),
    ("platform", "string", "linux/arm/v7"),
    ("os", "string", "linux"),
    ("architecture", "string", "arm"),
    ("variant", "string or none", "v7"),
    ("triple", "string", "the target triple that was compiled for"),
    ("binaries", "list of {name, source, target}", "source is in the build context, target in the image"),
    ("files", "list of {source, target, mode}", "the configured files; mode is octal, or none for a folder"),
    (
        "args",
        "list of strings",
        "build arguments with those values of env and labels that have several lines: ARG each before",
    ),
    ("env", "list of {name, value, quoted}", "quoted is ready to stand after `ENV name=`"),
    ("labels", "list of {name, value, quoted}", "quoted is ready to stand after `LABEL name=`"),
    ("expose", "list of strings", "ports"),
    ("volumes", "list of strings", "paths"),
    ("user", "string or none", "user[:group]"),
    ("workdir", "string or none", "a path"),
    ("stop_signal", "string or none", "SIGTERM"),
    ("healthcheck", "{options, cmd} or none", "options are HEALTHCHECK's own flags"),
    ("entrypoint", "list of strings", "the exec form"),
    ("cmd", "list of strings or none", "the exec form"),
];

/// What a template can call on a value, and the parts it can include. Printed below [`VARIABLES`].
pub(crate) const HELPERS: &[(&str, &str)] = &[
    ("{% include \"contents\" %}", "COPY of the binaries and files"),
    ("{% include \"config\" %}", "ENV, LABEL, EXPOSE, VOLUME, USER, WORKDIR, STOPSIGNAL, HEALTHCHECK, ENTRYPOINT, CMD"),
    ("COPY rootfs/ /", "what a scratch image needs: passwd and group, /tmp, CA certificates"),
    ("{{ text | quote }}", "a word for ENV, LABEL, WORKDIR and the like, taken literally"),
    ("{{ list | exec }}", "the JSON form for ENTRYPOINT, CMD and RUN"),
    ("{{ list | paths }}", "the JSON form for COPY and VOLUME, `$` taken literally"),
];

#[derive(Serialize)]
struct TemplateVariables<'a> {
    stage: String,
    base: &'a str,
    image: &'a str,
    version: String,
    platform: &'static str,
    os: &'static str,
    architecture: &'static str,
    variant: Option<&'static str>,
    triple: &'a str,
    binaries: Vec<CopiedFile>,
    files: Vec<CopiedFile>,
    args: Vec<String>,
    env: Vec<NamedValue<'a>>,
    labels: Vec<NamedValue<'a>>,
    expose: &'a [String],
    volumes: &'a [String],
    user: Option<&'a str>,
    workdir: Option<&'a str>,
    stop_signal: Option<&'a str>,
    healthcheck: Option<HealthcheckVariables<'a>>,
    entrypoint: &'a [String],
    cmd: Option<&'a [String]>,
}

/// Something that is copied into the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct CopiedFile {
    name: String,
    /// Relative to the build context.
    pub source: String,
    target: String,
    mode: Option<String>,
}

#[derive(Serialize)]
struct NamedValue<'a> {
    name: &'a str,
    value: &'a str,
    quoted: String,
}

#[derive(Serialize)]
struct HealthcheckVariables<'a> {
    options: Vec<String>,
    cmd: &'a [String],
}

/// The name of a platform's stage.
pub(crate) fn stage_name(platform: Platform) -> String {
    format!("platform-{}", platform.stage_suffix())
}

/// The binaries of a platform, as they are staged and copied.
pub(crate) fn copied_binaries(platform: &ImagePlatform) -> Vec<CopiedFile> {
    let staged = |name: &str| format!("{}/{name}", platform.platform);
    let copied = |binary: &Binary| CopiedFile {
        name: binary.name.clone(),
        source: staged(&binary.name),
        target: binary.path(),
        mode: Some("0755".to_owned()),
    };
    platform.binaries.iter().map(copied).collect()
}

/// Where the binaries of all platforms are staged.
pub(crate) fn staged_binaries(image: &Image) -> Vec<String> {
    image.platforms.iter().flat_map(copied_binaries).map(|copied| copied.source).collect()
}

/// The files of a platform, as they are staged and copied; `mode_of` is that of a single file, none for a folder.
pub(crate) fn copied_files(platform: &ImagePlatform, mode_of: &dyn Fn(&str) -> Option<String>) -> Vec<CopiedFile> {
    let copied = |(index, file): (usize, &FileEntry)| {
        let name = file.from.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
        CopiedFile {
            source: format!("{}/files/{index}/{name}", platform.platform),
            name,
            target: file.to.clone(),
            mode: mode_of(&file.from).map(|mode| file.mode.clone().unwrap_or(mode)),
        }
    };
    platform.files.iter().enumerate().map(copied).collect()
}

/// Renders an image's Dockerfile. `mode_of` returns the mode of a single file of the workspace, `None` for a directory.
pub(crate) fn render(
    image: &Image,
    bases: &PinnedBases,
    read_template: &dyn Fn(&camino::Utf8Path) -> anyhow::Result<String>,
    mode_of: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<Dockerfile> {
    let mut result = Dockerfile {
        text: String::new(),
        build_args: IndexMap::new(),
        run_platforms: Vec::new(),
        templates: Vec::new(),
    };
    let mut first_args = None;
    for platform in &image.platforms {
        let base = bases.reference(&platform.base);
        let variables = variables(image, platform, base, mode_of, &mut result.build_args);
        let (name, source) = match &platform.template {
            Template::BuiltIn(name) => (format!("template {name}"), built_in(name).to_owned()),
            Template::File(path) => (path.to_string(), read_template(path)?),
        };
        let text = render_template(&name, &source, &variables)?;
        let template = TemplateText { stage: variables.stage, name, text: source };
        template_check::check(&template, &text, platform)?;
        let args = template_check::args_before_from(&text);
        template_check::check_args_before_from(&template.name, first_args.get_or_insert_with(|| args.clone()), &args)?;
        if instructions(&text).iter().any(|instruction| instruction.is("RUN")) {
            result.run_platforms.push(platform.platform);
        }
        result.templates.push(template);
        result.text.push_str(text.trim_end());
        result.text.push_str("\n\n");
    }
    template_check::check_unique_stages(&result.text)?;
    result.text.push_str("FROM platform-${TARGETOS}-${TARGETARCH}${TARGETVARIANT}\n");
    Ok(result)
}

/// The text of a built-in template.
pub(crate) fn built_in(name: &str) -> &'static str {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text).unwrap_or_default()
}

fn variables<'a>(
    image: &'a Image,
    platform: &'a ImagePlatform,
    base: &'a str,
    mode_of: &dyn Fn(&str) -> Option<String>,
    build_args: &mut IndexMap<String, String>,
) -> TemplateVariables<'a> {
    let config = &platform.container;
    let mut args = Vec::new();
    let mut items = |map: &'a IndexMap<String, String>| -> Vec<NamedValue<'a>> {
        map.iter()
            .map(|(name, value)| {
                // An instruction ends at the line's end, whatever the quotes: such a value comes in from outside.
                let quoted = if value.contains(['\n', '\r']) {
                    let arg = format!("MULTIARCH_VALUE_{}", build_args.len());
                    build_args.insert(arg.clone(), value.clone());
                    let quoted = format!("\"${arg}\"");
                    args.push(arg);
                    quoted
                } else {
                    quote(value)
                };
                NamedValue { name, value, quoted }
            })
            .collect()
    };
    let env = items(&config.env);
    let labels = items(&config.labels);
    TemplateVariables {
        stage: stage_name(platform.platform),
        base,
        image: &image.name,
        version: image.version.to_string(),
        platform: platform.platform.name(),
        os: platform.platform.os(),
        architecture: platform.platform.architecture(),
        variant: platform.platform.variant(),
        triple: &platform.build.triple,
        binaries: copied_binaries(platform),
        files: copied_files(platform, mode_of),
        args,
        env,
        labels,
        expose: &config.expose,
        volumes: &config.volumes,
        user: config.user.as_deref(),
        workdir: config.workdir.as_deref(),
        stop_signal: config.stop_signal.as_deref(),
        healthcheck: config
            .healthcheck
            .as_ref()
            .map(|check| HealthcheckVariables { options: healthcheck_options(check), cmd: &check.cmd }),
        entrypoint: &config.entrypoint,
        cmd: config.cmd.as_deref(),
    }
}

fn healthcheck_options(check: &Healthcheck) -> Vec<String> {
    let retries = check.retries.map(|retries| retries.to_string());
    [
        ("interval", &check.interval),
        ("timeout", &check.timeout),
        ("start-period", &check.start_period),
        ("retries", &retries),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?)))
    .collect()
}

fn render_template(name: &str, source: &str, variables: &TemplateVariables<'_>) -> anyhow::Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_debug(true);
    environment.add_filter("quote", |text: String| quote(&text));
    environment.add_filter("exec", |list: Value| json(&list, str::to_owned));
    environment.add_filter("paths", |list: Value| json(&list, |path| path.replace('\\', "\\\\").replace('$', "\\$")));
    for part in ["contents", "config"] {
        environment.add_template(part, built_in(part))?;
    }
    environment.add_template(name, source).map_err(|error| explain(&error, name, source))?;
    let rendered = environment.get_template(name)?.render(Value::from(Serde(variables)));
    Ok(rendered.map_err(|error| explain(&error, name, source))?)
}

/// Names the template, the line and, for an unknown variable, the nearest that there is.
fn explain(error: &minijinja::Error, name: &str, source: &str) -> Failure {
    let template = error.name().unwrap_or(name);
    let line = error.line().map(|line| format!(":{line}")).unwrap_or_default();
    let code = error.range().and_then(|range| source.get(range)).filter(|_| template == name).unwrap_or_default();
    if error.kind() != ErrorKind::UndefinedError {
        let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        return Failure::new(Class::Config, format!("{template}{line}: {}{detail}", error.kind()))
            .hint("the template language is Jinja's: https://docs.rs/minijinja/latest/minijinja/syntax/");
    }
    Failure::new(Class::Config, format!("{template}{line}: unknown variable '{code}'"))
        .did_you_mean(code, VARIABLES.iter().map(|(name, _, _)| *name))
        .hint("see them all with `cargo multiarch dockerfile --variables`")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A Dockerfile that is its one template.
    pub(crate) fn from_text(text: &str, stage: &str) -> Dockerfile {
        let template = TemplateText { stage: stage.to_owned(), name: "my.j2".to_owned(), text: text.to_owned() };
        Dockerfile {
            text: text.to_owned(),
            build_args: IndexMap::new(),
            run_platforms: Vec::new(),
            templates: vec![template],
        }
    }

    #[test]
    fn quoting() {
        for (text, quoted) in [
            ("plain", r#""plain""#),
            (r#"say "hi""#, r#""say \"hi\"""#),
            ("$HOME ${x}", r#""\$HOME \${x}""#),
            (r"back\slash\", r#""back\\slash\\""#),
            ("", r#""""#),
        ] {
            assert_eq!(quote(text), quoted);
        }
        assert_eq!(json(&Value::from(vec!["a b", "q\"$x"]), str::to_owned).unwrap(), r#"["a b","q\"$x"]"#);
    }

    #[test]
    fn lines_are_found_in_their_template() {
        let text = "FROM {{ base }} AS {{ stage }}\nRUN a\n RUN b\nUSER {{ user }}\nRUN a\n".to_owned();
        let template = TemplateText { stage: "s".to_owned(), name: "my.j2".to_owned(), text };
        for (line, location) in [
            ("RUN b", "my.j2:3"),
            ("RUN a", "my.j2:2"),
            ("RUN c", "my.j2"),
            ("USER 1", "my.j2:4"),
            ("FROM x AS s", "my.j2:1"),
            ("ENV A=1", "my.j2"),
            ("", "my.j2"),
        ] {
            assert_eq!(template.locate(line), location, "{line}");
        }
    }
}
