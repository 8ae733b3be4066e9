//! The types of the configuration: one serde struct for every source and every scope. `read` reads them from files,
//! `plan::precedence` decides which source wins.

pub(crate) mod choices;
pub(crate) mod metadata_typo;
pub(crate) mod parse_errors;
pub(crate) mod policy;
pub(crate) mod read;
#[cfg(test)]
pub(crate) mod schema;
#[cfg(test)]
pub(crate) mod schema_fragments;
pub(crate) mod scope;
pub(crate) mod value_syntax;

use bytesize::ByteSize;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use self::choices::{Auditable, EngineChoice, LinkerChoice};
use self::policy::{Glob, Policy, RequiredMetadata};
use crate::finding::CheckCode;
use crate::oci::compression::Compression;
use crate::platform::{Libc, Platform};

/// The keys, all of them optional, in `multiarch.toml`, `[workspace.metadata.multiarch]`,
/// `[package.metadata.multiarch]`, `images.NAME` and `platform."os/architecture"`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    /// Where to push: a host and perhaps a path, to which the image's name is added. Every image goes to each of a list. As
    /// for Docker, what has no dot and no port is on Docker Hub.
    pub registry: Option<OneOrMany>,
    /// What the image is built for. Without it linux/amd64 and linux/arm64.
    pub platforms: Option<Vec<Platform>>,
    /// The tags, as templates over `version`, `major`, `minor`, `patch`, `pre`, `git.sha`, `git.short`, `git.tag` and
    /// `git.branch`. Without it `{{version}}` and `latest`.
    pub tags: Option<Vec<String>>,
    /// The images by name. Without it one for each binary.
    pub images: IndexMap<String, Config>,
    /// Keys for one platform alone, at the top or in an image.
    pub platform: IndexMap<Platform, Config>,

    /// The binaries of the image, in /usr/local/bin. Without it those of its package.
    pub bins: Option<Vec<String>>,
    /// The base image, which is pinned to its digest. Without it `scratch`.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub base: Option<String>,
    /// A built-in template (`scratch`, `alpine`, `debian`, `distroless-static`, `distroless-cc`) or the path of your own.
    /// Without it the one of the base, `debian` for those that have none.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub template: Option<String>,
    /// Files and folders of the workspace that go into the image.
    pub files: Option<Vec<FileEntry>>,
    /// Variables of the container, by name.
    pub env: IndexMap<String, String>,
    /// Labels of the image, beside those from Cargo.toml and git.
    pub labels: IndexMap<String, String>,
    /// Annotations of the index, beside those from Cargo.toml and git.
    pub annotations: IndexMap<String, String>,
    /// The program that a container runs, and its arguments. Without it the binary.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub entrypoint: Option<Vec<String>>,
    /// The arguments that whoever starts a container can replace.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub cmd: Option<Vec<String>>,
    /// The ports that it listens on: `8080` or `"53/udp"`.
    pub expose: Option<Vec<Port>>,
    /// Folders for data that outlives a container.
    pub volumes: Option<Vec<String>>,
    /// Whom it runs as. Without it 65532.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub user: Option<String>,
    /// The folder that it runs in.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub workdir: Option<String>,
    /// The signal that ends it, by name or number: `"SIGINT"`.
    #[cfg_attr(test, schemars(regex(pattern = &crate::config::schema_fragments::signal_pattern())))]
    pub stop_signal: Option<String>,
    /// The command by which Docker sees whether it is well.
    pub healthcheck: Option<Healthcheck>,

    /// The target triple, where it is not that of the platform and `libc`.
    pub target: Option<String>,
    /// The C library to link. Without it musl, statically.
    pub libc: Option<Libc>,
    /// cargo's profile. Without it release.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub profile: Option<String>,
    /// Features to turn on.
    pub features: Option<Vec<String>>,
    /// Turn all features on.
    pub all_features: Option<bool>,
    /// Leave the default features off.
    pub no_default_features: Option<bool>,
    /// Flags for rustc, beside those of cargo's configuration.
    pub rustflags: Option<Vec<String>>,
    /// Variables for cargo, by name.
    pub build_env: IndexMap<String, String>,
    /// Debian packages of the target's architecture to compile against, such as `libssl-dev` (glibc only).
    pub sysroot_packages: Option<Vec<String>>,
    /// The linker. Without it the first that serves.
    pub linker: Option<LinkerChoice>,
    /// The highest glibc that the binaries may ask for, such as `"2.28"`.
    #[cfg_attr(test, schemars(regex(pattern = r"^[0-9]+\.[0-9]+$")))]
    pub glibc: Option<String>,
    /// Compile the standard library as well, for targets that have none. Without it false.
    pub build_std: Option<bool>,
    /// List the dependencies in binaries, by cargo-auditable. Without it where that is installed.
    pub auditable: Option<Auditable>,
    /// Insist on Cargo.lock as it is. Without it true.
    pub locked: Option<bool>,

    /// What makes the images. Without it buildx where it can do the job, else this program itself.
    pub engine: Option<EngineChoice>,
    /// Registries (`HOST[:PORT]`) that are spoken to by plain HTTP, beside those on loopback.
    pub insecure_registries: Option<Vec<String>>,
    /// How layers are compressed. Without it gzip.
    pub compression: Option<Compression>,
    /// 1 to 9 for gzip, 1 to 22 for zstd. Without it 3.
    #[cfg_attr(test, schemars(range(min = 1, max = 22)))]
    pub compression_level: Option<u32>,
    /// The builder of buildx. Without it the current one.
    pub builder: Option<String>,
    /// Build arguments for a template of your own, by name.
    pub build_args: IndexMap<String, String>,
    /// Caches for buildx to read: `"type=local,src=target/cache"`.
    pub cache_from: Option<Vec<String>>,
    /// Caches for buildx to write: `"type=local,dest=target/cache"`.
    pub cache_to: Option<Vec<String>>,
    /// Attach provenance, by buildx: `"mode=min"` or `"mode=max"`. The digest then differs from run to run. Without it none.
    pub provenance: Option<String>,
    /// Attach an SBOM, by buildx. Without it none.
    pub sbom: Option<String>,
    /// Secrets for a template's RUN: `"id=token,src=token.txt"`.
    pub secrets: Option<Vec<String>>,
    /// Other arguments for `docker buildx build`.
    pub buildx_args: Option<Vec<String>>,

    /// Checks that do not count, by code or name, such as `"MA053"`. Without it none.
    pub allow: Option<Vec<CheckCode>>,
    /// Libraries that no program may lead to, such as `"libssl*"`.
    pub deny_needed: Option<Vec<Glob>>,
    /// Programs must be linked statically.
    pub static_only: Option<bool>,
    /// The user must not be root.
    pub non_root_only: Option<bool>,
    /// The most that a platform's config and layers may have, such as `"50MB"`.
    #[cfg_attr(test, schemars(with = "Option<crate::config::schema_fragments::Size>"))]
    pub max_size: Option<ByteSize>,
    /// Labels that must be there (`"NAME"`), or match (`"NAME=PATTERN"`).
    pub require_labels: Option<Vec<RequiredMetadata>>,
    /// Annotations of the index that must be there, or match.
    pub require_annotations: Option<Vec<RequiredMetadata>>,
    /// The words after the entrypoint with which every platform is run before a tag moves, such as `["--version"]`; `[]`
    /// runs it as it is. Without it nothing is run.
    pub smoke: Option<Vec<String>>,
}

/// The table of a file that holds a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConfigTable {
    /// The top level of the file, multiarch.toml.
    Root,
    /// `[workspace.metadata.multiarch]`
    Workspace,
    /// `[package.metadata.multiarch]`
    Package,
}

/// `"a"` or `["a", "b"]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "wanted a string or a list of strings")]
pub(crate) enum OneOrMany {
    One(#[cfg_attr(test, schemars(regex(pattern = crate::config::schema_fragments::REGISTRY)))] String),
    Many(#[cfg_attr(test, schemars(inner(regex(pattern = crate::config::schema_fragments::REGISTRY))))] Vec<String>),
}

impl OneOrMany {
    pub(crate) fn into_vec(self) -> Vec<String> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

/// A file or folder of the workspace that goes into the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct FileEntry {
    /// Relative to the folder of the manifest or configuration file's workspace.
    pub from: String,
    /// An absolute path in the image.
    #[cfg_attr(test, schemars(regex(pattern = "^/.*[^/]$")))]
    pub to: String,
    /// Octal, for a single file; otherwise 0755 when the source is executable and 0644 when not.
    #[cfg_attr(test, schemars(regex(pattern = "^[0-7]{1,4}$")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// `8080` or `"53/udp"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "wanted a port: 8080 or \"53/udp\"")]
pub(crate) enum Port {
    Number(u16),
    WithProtocol(#[cfg_attr(test, schemars(regex(pattern = "^[0-9]{1,5}(/(tcp|udp|sctp))?$")))] String),
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Port::Number(number) => write!(f, "{number}"),
            Port::WithProtocol(text) => f.write_str(text),
        }
    }
}

/// Docker's HEALTHCHECK: an exec-form command, and durations as in `30s`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Healthcheck {
    /// The program and its arguments.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub cmd: Vec<String>,
    /// From one check to the next.
    #[cfg_attr(test, schemars(regex(pattern = crate::config::schema_fragments::DURATION)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// A check that takes longer has failed.
    #[cfg_attr(test, schemars(regex(pattern = crate::config::schema_fragments::DURATION)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// For so long after the start failures do not count.
    #[cfg_attr(test, schemars(regex(pattern = crate::config::schema_fragments::DURATION)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<String>,
    /// So many failures in a row are one too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
}

impl Config {
    /// Returns the rules that the image must follow.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            allow: self.allow.clone().unwrap_or_default(),
            deny_needed: self.deny_needed.clone().unwrap_or_default(),
            static_only: self.static_only.unwrap_or_default(),
            non_root_only: self.non_root_only.unwrap_or_default(),
            max_size: self.max_size,
            require_labels: self.require_labels.clone().unwrap_or_default(),
            require_annotations: self.require_annotations.clone().unwrap_or_default(),
        }
    }

    /// Applies another configuration on top: its values replace those here, its maps are merged key by key.
    pub(crate) fn update(&mut self, over: Config) {
        macro_rules! fields {
            (replace: $($replace:ident)*; merge: $($merge:ident)*; nest: $($nest:ident)*) => {
                // Names every field, so that a new one cannot be forgotten here.
                let Config { $($replace,)* $($merge,)* $($nest,)* } = over;
                $(if $replace.is_some() { self.$replace = $replace; })*
                $(self.$merge.extend($merge);)*
                $(for (name, config) in $nest { self.$nest.entry(name).or_default().update(config); })*
            };
        }
        fields! {
            replace: registry platforms tags bins base template files entrypoint cmd expose volumes user workdir stop_signal
                healthcheck target libc profile features all_features no_default_features rustflags sysroot_packages linker glibc build_std auditable locked
                engine insecure_registries compression compression_level builder cache_from cache_to provenance sbom secrets buildx_args
                allow deny_needed static_only non_root_only max_size require_labels require_annotations smoke;
            merge: env labels annotations build_env build_args;
            nest: images platform
        }
    }
}
