//! Renders an image's Dockerfile: one stage per platform, and a final FROM that selects the target platform's stage.

use indexmap::IndexMap;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use super::instructions::instructions;
use super::pinned_bases::PinnedBases;
use super::required_copy::RequiredCopy;
use super::template::{TemplateText, json, quote};
use super::template_check;
use crate::config::FileEntry;
use crate::config::healthcheck::{Healthcheck, HealthcheckSetting};
use crate::error::{Class, Failure};
use crate::plan::{Binary, Image, ImagePlatform, Template};
use crate::platform::Platform;

/// A rendered Dockerfile, the build arguments that it requires, and the templates that it was rendered from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dockerfile {
    pub text: String,
    pub build_args: IndexMap<String, String>,
    /// Platforms whose stage contains a RUN instruction.
    pub run_platforms: Vec<Platform>,
    /// Templates that the stages were rendered from, in platform order.
    pub templates: Vec<TemplateText>,
}

impl Dockerfile {
    /// Returns the template that a line was rendered from, with the line number if it can be determined.
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

/// The name, type and description of each template variable. Printed by `cargo multiarch dockerfile --variables`.
pub(crate) const VARIABLES: &[(&str, &str, &str)] = &[
    ("stage", "string", "required name of the template's last stage: FROM … AS {{ stage }}"),
    ("base", "string", "base image, pinned by digest"),
    ("image", "string", "image name"),
    ("version", "string", "package version"),
    ("platform", "string", "platform, such as linux/arm/v7"),
    ("os", "string", "operating system, such as linux"),
    ("architecture", "string", "CPU architecture, such as arm"),
    ("variant", "string or none", "CPU variant, such as v7"),
    ("triple", "string", "target triple of the binaries"),
    (
        "binaries",
        "list of {name, source, target}",
        "binaries to copy, from source in the build context to target in the image",
    ),
    (
        "files",
        "list of {source, target, mode, owner}",
        "configured files; mode is octal, or none for a directory; owner is none for root",
    ),
    (
        "directories",
        "list of {source, target, mode, owner}",
        "configured directories and their parents; copy each source to its target in this order",
    ),
    (
        "system_files",
        "list of {source, target}",
        "CA certificates, time zones and libraries; copy each source to its target",
    ),
    (
        "args",
        "list of strings",
        "names of the build arguments that hold multi-line values of env and labels; declare each one with ARG",
    ),
    (
        "env",
        "list of {name, value, quoted}",
        "environment variables; quoted is the value in quotes, as in ENV {{ item.name }}={{ item.quoted }}",
    ),
    (
        "labels",
        "list of {name, value, quoted}",
        "labels; quoted is the value in quotes, as in LABEL {{ item.name | quote }}={{ item.quoted }}",
    ),
    ("expose", "list of strings", "exposed ports"),
    ("volumes", "list of strings", "volume paths"),
    ("user", "string or none", "user to run as, in the form user[:group]"),
    ("workdir", "string or none", "working directory"),
    ("stop_signal", "string or none", "stop signal, such as SIGTERM"),
    (
        "healthcheck",
        "{options, cmd} or none",
        "health check; options are HEALTHCHECK flags, such as --interval=30s, and an empty cmd means HEALTHCHECK NONE",
    ),
    ("entrypoint", "list of strings", "entrypoint in exec form"),
    ("cmd", "list of strings or none", "command in exec form"),
];

/// The filters and includes that templates can use, each with a description. Printed below [`VARIABLES`].
pub(crate) const HELPERS: &[(&str, &str)] = &[
    ("{% include \"contents\" %}", "copies the binaries, files, directories, CA certificates and time zones"),
    (
        "{% include \"config\" %}",
        "sets ENV, LABEL, EXPOSE, VOLUME, USER, WORKDIR, STOPSIGNAL, HEALTHCHECK, ENTRYPOINT and CMD",
    ),
    ("COPY rootfs/ /", "copies basic files into a scratch image: passwd, group and /tmp"),
    (
        "{{ text | quote }}",
        "quotes text for ENV, LABEL, WORKDIR and other instructions; variables in it are not expanded",
    ),
    ("{{ list | exec }}", "formats a list as a JSON array for ENTRYPOINT, CMD and RUN"),
    ("{{ list | paths }}", "formats a list as a JSON array for COPY and VOLUME; variables in paths are not expanded"),
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
    directories: Vec<CopiedFile>,
    system_files: Vec<CopiedFile>,
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

/// A binary, file or directory to copy into the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct CopiedFile {
    pub name: String,
    /// Path relative to the build context.
    pub source: String,
    target: String,
    mode: Option<String>,
    /// Owner as `user[:group]`. `None` means root.
    owner: Option<String>,
}

impl CopiedFile {
    /// Creates a copy of a file or directory in [`SYSTEM_DIR`] to the same path in the image.
    fn system_file(path: &str) -> CopiedFile {
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let source = format!("{SYSTEM_DIR}/{path}");
        CopiedFile { name, source, target: format!("/{path}"), mode: None, owner: None }
    }
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

/// Directory of the CA certificates and the time zones in the build context.
pub(crate) const SYSTEM_DIR: &str = "system";

/// Path of the CA certificates in images, without a leading slash. rustls and OpenSSL look for them there.
pub(crate) const CA_BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Directory of the time zone database in images, without a leading slash.
pub(crate) const ZONEINFO: &str = "usr/share/zoneinfo";

/// Returns the name of a platform's stage.
pub(crate) fn stage_name(platform: Platform) -> String {
    format!("platform-{}", platform.stage_suffix())
}

/// Returns a platform's binaries, with their paths in the build context and in the image.
pub(crate) fn copied_binaries(platform: &ImagePlatform) -> Vec<CopiedFile> {
    let staged = |name: &str| format!("{}/{name}", platform.platform);
    let copied = |binary: &Binary| CopiedFile {
        name: binary.name.clone(),
        source: staged(&binary.name),
        target: binary.path(),
        mode: Some("0755".to_owned()),
        owner: None,
    };
    platform.binaries.iter().map(copied).collect()
}

/// Returns the directories to copy in order to create a platform's configured directories.
///
/// Each source contains only the new directory, because COPY sets the mode and owner of what a source contains, but not
/// those of an existing target. Missing parents are copied from an empty directory first, so that they belong to root.
pub(crate) fn copied_directories(platform: &ImagePlatform) -> Vec<CopiedFile> {
    let mut copied: Vec<CopiedFile> = Vec::new();
    for (index, directory) in platform.directories.iter().enumerate() {
        let (parent, name) = directory.path.rsplit_once('/').unwrap_or_default();
        let source = format!("{}/directories/{index}", platform.platform);
        let target = format!("{parent}/");
        if !parent.is_empty() && !copied.iter().any(|other| other.target == target) {
            let (source, target) = (format!("{source}/parent"), target.clone());
            copied.push(CopiedFile { name: String::new(), source, target, mode: None, owner: None });
        }
        copied.push(CopiedFile {
            name: name.to_owned(),
            source: format!("{source}/content"),
            target,
            mode: Some(directory.mode.clone()),
            owner: Some(directory.owner.clone()),
        });
    }
    copied
}

/// Returns the files that a platform's configuration adds: CA certificates, time zones and libraries. All but the libraries
/// are in [`SYSTEM_DIR`].
pub(crate) fn system_files(platform: &ImagePlatform) -> Vec<CopiedFile> {
    let mut files = Vec::new();
    if !platform.ca_certificates.is_empty() {
        files.push(CopiedFile::system_file(CA_BUNDLE));
    }
    if platform.timezones {
        files.push(CopiedFile::system_file(ZONEINFO));
    }
    files.extend(copied_libraries(platform));
    files
}

/// Returns the directory of libraries to copy. It is filled when the binaries have been compiled.
pub(crate) fn copied_libraries(platform: &ImagePlatform) -> Option<CopiedFile> {
    let debian = platform.platform.debian().filter(|_| platform.copy_libraries)?;
    let (name, target) = ("libraries".to_owned(), format!("/usr/lib/{}/", debian.library_dir));
    Some(CopiedFile { source: format!("{}/{name}", platform.platform), name, target, mode: None, owner: None })
}

/// Returns the build-context paths of all binaries in an image.
pub(crate) fn staged_binaries(image: &Image) -> Vec<String> {
    image.platforms.iter().flat_map(copied_binaries).map(|copied| copied.source).collect()
}

/// Returns a platform's files, with their paths in the build context and in the image. `mode_of` returns the mode of a
/// file, or `None` for a directory.
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
            owner: file.owner.clone(),
        }
    };
    platform.files.iter().enumerate().map(copied).collect()
}

/// Renders an image's Dockerfile. `mode_of` returns the mode of a file, or `None` for a directory.
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
        let required = required_copies(&variables);
        let template = TemplateText { stage: variables.stage, name, text: source };
        template_check::check(&template, &text, platform, &required)?;
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

/// Returns what a template has to copy. It may leave out files, but not copy them without their owner.
fn required_copies(variables: &TemplateVariables<'_>) -> Vec<RequiredCopy> {
    let mut required = Vec::new();
    for file in &variables.system_files {
        let key = match &file.source {
            source if source.ends_with(CA_BUNDLE) => "ca-certificates",
            source if source.ends_with(ZONEINFO) => "timezones",
            _ => "copy-libraries",
        };
        required.push(RequiredCopy { key, ..RequiredCopy::new(file) });
    }
    // Parents of directories have no owner.
    for directory in variables.directories.iter().filter(|directory| directory.owner.is_some()) {
        required.push(RequiredCopy { key: "directories", ..RequiredCopy::new(directory) });
    }
    for file in variables.files.iter().filter(|file| file.owner.is_some()) {
        required.push(RequiredCopy { is_optional: true, ..RequiredCopy::new(file) });
    }
    required
}

impl RequiredCopy {
    fn new(file: &CopiedFile) -> RequiredCopy {
        let CopiedFile { source, target, owner, .. } = file.clone();
        RequiredCopy { key: "files", source, target, owner, is_optional: false }
    }
}

/// Returns the text of a built-in template.
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
                // Quoted values cannot span lines in a Dockerfile, so multi-line values are passed as build arguments.
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
        directories: copied_directories(platform),
        system_files: system_files(platform),
        args,
        env,
        labels,
        expose: &config.expose,
        volumes: &config.volumes,
        user: config.user.as_deref(),
        workdir: config.workdir.as_deref(),
        stop_signal: config.stop_signal.as_deref(),
        healthcheck: config.healthcheck.as_ref().map(|setting| match setting {
            HealthcheckSetting::Off => HealthcheckVariables { options: Vec::new(), cmd: &[] },
            HealthcheckSetting::Command(check) => {
                HealthcheckVariables { options: healthcheck_options(check), cmd: &check.cmd }
            }
        }),
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

/// Converts a template error into a message with its location. If a variable is unknown, adds a hint that suggests a
/// similar name.
fn explain(error: &minijinja::Error, name: &str, source: &str) -> Failure {
    let template = error.name().unwrap_or(name);
    let line = error.line().map(|line| format!(":{line}")).unwrap_or_default();
    let code = error.range().and_then(|range| source.get(range)).filter(|_| template == name).unwrap_or_default();
    if error.kind() != ErrorKind::UndefinedError {
        let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        return Failure::new(Class::Config, format!("{template}{line}: {}{detail}", error.kind()))
            .hint("see the template syntax: https://docs.rs/minijinja/latest/minijinja/syntax/");
    }
    Failure::new(Class::Config, format!("{template}{line}: unknown variable '{code}'"))
        .did_you_mean(code, VARIABLES.iter().map(|(name, _, _)| *name))
        .hint("list all variables with `cargo multiarch dockerfile --variables`")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Creates a Dockerfile whose template and rendered text are both `text`.
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
    fn quotes_words() {
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
    fn locates_lines_in_templates() {
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
