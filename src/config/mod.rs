//! Configuration types, mainly a serde struct that is used for all sources and scopes. `read` parses configuration
//! files, and `plan::precedence` merges the sources.

pub(crate) mod ca_certificates;
pub(crate) mod choices;
pub(crate) mod healthcheck;
pub(crate) mod location;
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

use self::ca_certificates::CaCertificates;
use self::choices::{Auditable, EngineChoice, LinkerChoice};
use self::healthcheck::HealthcheckSetting;
use self::policy::{Glob, Policy, RequiredMetadata};
use crate::finding::CheckCode;
use crate::oci::compression::Compression;
use crate::platform::{Libc, Platform};

/// The keys of `multiarch.toml`, `[workspace.metadata.multiarch]`, `[package.metadata.multiarch]`, `images.NAME` and
/// `platform."os/architecture"`. All keys are optional.
///
/// The documentation of each field becomes the key's description in the JSON schema. Defaults are in `schema::defaults`
/// or, if they depend on something else, in `x-default`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(default = "crate::config::schema::defaults"))]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    /// Registries to push to. Each is a host with an optional path, such as `"ghcr.io/you"`. The image name is appended
    /// to it. A name without a dot or a port refers to Docker Hub.
    pub registry: Option<OneOrMany>,
    /// Platforms to build for.
    pub platforms: Option<Vec<Platform>>,
    /// Tags to publish. Tags are templates that can use `version`, `major`, `minor`, `patch`, `pre`, `git.sha`,
    /// `git.short`, `git.tag` and `git.branch`.
    pub tags: Option<Vec<String>>,
    /// Publish an index, which can contain several platforms. Without an index, the tags point to the manifest of the
    /// image's only platform, as AWS Lambda requires.
    pub index: Option<bool>,
    /// Tags that must not move to another image, as templates like those in `tags`. A leading `v` is ignored.
    /// Tags in loopback registries can always move.
    pub immutable_tags: Option<Vec<String>>,
    /// Allow publishing a commit whose git tag names another version than Cargo.toml.
    pub allow_tag_mismatch: Option<bool>,
    /// Images, by name.
    #[cfg_attr(test, schemars(extend("x-default" = "one image per binary")))]
    pub images: IndexMap<String, Config>,
    /// Settings for a single platform, at the top level or in an image.
    pub platform: IndexMap<Platform, Config>,

    /// Binaries to install in `/usr/local/bin`.
    #[cfg_attr(test, schemars(extend("x-default" = "all binaries in the image's package")))]
    pub bins: Option<Vec<String>>,
    /// Base image. It is pinned to its digest when the image is built.
    #[cfg_attr(test, schemars(extend("x-default" = "the template's base image, or `scratch` if it has none")))]
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub base: Option<String>,
    /// Dockerfile template: `scratch`, `alpine`, `debian`, `distroless-static`, `distroless-cc` or the path to a file.
    #[cfg_attr(test, schemars(extend("x-default" = "depends on `base`")))]
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub template: Option<String>,
    /// Files and directories to copy into the image.
    pub files: Option<Vec<FileEntry>>,
    /// Empty directories to create, owned by the image's user by default.
    pub directories: Option<Vec<DirectoryEntry>>,
    /// Linux capabilities of programs, by binary, such as `{ core = ["net_bind_service"] }`. Requires the
    /// embedded engine.
    pub capabilities: IndexMap<String, Vec<String>>,
    /// CA certificates to install in `/etc/ssl/certs/ca-certificates.crt`: a list of `"bundled"` (Mozilla's root
    /// certificates), `"host"` (those that the build machine trusts) and PEM files, or `false` for none. In images with
    /// a base, they replace the base's certificates in this file.
    #[cfg_attr(test, schemars(extend("x-default" = "`[\"bundled\"]` for images based on `scratch`")))]
    pub ca_certificates: Option<CaCertificates>,
    /// Install the IANA time zone database in `/usr/share/zoneinfo`.
    pub timezones: Option<bool>,
    /// Labels for the image, in addition to those derived from Cargo.toml and git.
    pub labels: IndexMap<String, String>,
    /// Annotations for the image index and the manifest of every platform, in addition to those derived from Cargo.toml
    /// and git. The prefix `index:` or `manifest:` limits an annotation to one of them.
    #[cfg_attr(test, schemars(extend("propertyNames" = crate::config::schema_fragments::annotation_names())))]
    pub annotations: IndexMap<String, String>,

    /// Environment variables for the container.
    pub env: IndexMap<String, String>,
    /// Program that the container runs, with its arguments. `[]` runs the program in `cmd`.
    #[cfg_attr(test, schemars(extend("x-default" = "the binary")))]
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments, which `docker run` can override. With `entrypoint = []`, the program and its arguments.
    pub cmd: Option<Vec<String>>,
    /// Ports that the container listens on, such as `8080` or `"53/udp"`.
    pub expose: Option<Vec<Port>>,
    /// Directories whose data outlives the container.
    pub volumes: Option<Vec<String>>,
    /// User the container runs as.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub user: Option<String>,
    /// Working directory of the container.
    #[cfg_attr(test, schemars(extend("x-default" = "inherited from the base image")))]
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub workdir: Option<String>,
    /// Signal that stops the container, by name or number, such as `"SIGINT"`.
    #[cfg_attr(test, schemars(extend("x-default" = "inherited from the base image")))]
    #[cfg_attr(test, schemars(regex(pattern = &crate::config::schema_fragments::signal_pattern())))]
    pub stop_signal: Option<String>,
    /// Command that checks whether the container is healthy, or `false` to disable the base's health check.
    #[cfg_attr(test, schemars(extend("x-default" = "inherited from the base image")))]
    pub healthcheck: Option<HealthcheckSetting>,

    /// Target triple to compile for.
    #[cfg_attr(test, schemars(extend("x-default" = "depends on the platform and `libc`")))]
    pub target: Option<String>,
    /// C library to link against.
    #[cfg_attr(test, schemars(extend("x-default" = "the template's libc, or `musl` if it sets none")))]
    pub libc: Option<Libc>,
    /// Cargo profile to compile with.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub profile: Option<String>,
    /// Features to activate.
    pub features: Option<Vec<String>>,
    /// Activate all available features.
    pub all_features: Option<bool>,
    /// Do not activate the `default` feature.
    pub no_default_features: Option<bool>,
    /// Flags for rustc, in addition to those in the cargo configuration.
    pub rustflags: Option<Vec<String>>,
    /// Environment variables for cargo and the programs it runs.
    pub build_env: IndexMap<String, String>,
    /// Debian packages to compile against, such as `libssl-dev`. Requires `libc = "gnu"`.
    pub sysroot_packages: Option<Vec<String>>,
    /// Copy the shared libraries from `sysroot-packages` that the binaries load and the base lacks into
    /// `/usr/lib/<architecture>-linux-gnu`, as in Debian.
    pub copy_libraries: Option<bool>,
    /// Linker to use.
    #[cfg_attr(test, schemars(extend("x-default" = "chosen automatically")))]
    pub linker: Option<LinkerChoice>,
    /// Highest glibc version that the binaries may require, such as `"2.28"`. Requires zig.
    #[cfg_attr(test, schemars(regex(pattern = r"^[0-9]+\.[0-9]+$")))]
    pub glibc: Option<String>,
    /// Compile the standard library too, for targets without a prebuilt one.
    pub build_std: Option<bool>,
    /// Embed the list of dependencies in binaries with cargo-auditable. `"auto"` does so only if cargo-auditable is
    /// installed.
    pub auditable: Option<Auditable>,
    /// Require Cargo.lock to be up to date.
    pub locked: Option<bool>,

    /// Engine that builds the images. `"auto"` selects an engine for each image: buildx if it can build the image on this
    /// machine, and the embedded engine otherwise.
    pub engine: Option<EngineChoice>,
    /// Registries (`HOST[:PORT]`) to access over plain HTTP. Loopback registries always use plain HTTP.
    pub insecure_registries: Option<Vec<String>>,
    /// Compression algorithm for layers.
    pub compression: Option<Compression>,
    /// Compression level: 1 to 9 for gzip, 1 to 22 for zstd.
    #[cfg_attr(test, schemars(extend("x-default" = "3, or BuildKit's default with buildx")))]
    #[cfg_attr(test, schemars(range(min = 1, max = 22)))]
    pub compression_level: Option<u32>,
    /// buildx builder to use.
    #[cfg_attr(test, schemars(extend("x-default" = "the current builder")))]
    pub builder: Option<String>,
    /// Build arguments for Dockerfile templates.
    pub build_args: IndexMap<String, String>,
    /// Caches for buildx to import, such as `"type=local,src=target/cache"`.
    pub cache_from: Option<Vec<String>>,
    /// Caches for buildx to export, such as `"type=local,dest=target/cache"`.
    pub cache_to: Option<Vec<String>>,
    /// Provenance attestation to attach: `"mode=min"` or `"mode=max"`. Digests then differ from build to build.
    /// Requires buildx.
    #[cfg_attr(test, schemars(extend("x-default" = "none")))]
    pub provenance: Option<String>,
    /// SBOM attestation to attach, such as `"true"`. Requires buildx.
    #[cfg_attr(test, schemars(extend("x-default" = "none")))]
    pub sbom: Option<String>,
    /// Secrets for `RUN` instructions in templates, such as `"id=token,src=token.txt"`. Requires buildx.
    pub secrets: Option<Vec<String>>,
    /// Additional arguments for `docker buildx build`.
    pub buildx_args: Option<Vec<String>>,

    /// Findings to ignore, by code or name, such as `"MA053"`.
    pub allow: Option<Vec<CheckCode>>,
    /// Shared libraries that programs must not load, directly or indirectly, such as `"libssl*"`.
    pub deny_needed: Option<Vec<Glob>>,
    /// Require programs to be statically linked.
    pub static_only: Option<bool>,
    /// Require a user other than root.
    pub non_root_only: Option<bool>,
    /// Maximum size of a platform's config and compressed layers, such as `"50MB"`.
    #[cfg_attr(test, schemars(with = "Option<crate::config::schema_fragments::Size>"))]
    pub max_size: Option<ByteSize>,
    /// Labels that the image must have, as `"NAME"` or `"NAME=PATTERN"`.
    pub require_labels: Option<Vec<RequiredMetadata>>,
    /// Annotations that the image index must have, or the manifest if `index = false`, as `"NAME"` or `"NAME=PATTERN"`.
    pub require_annotations: Option<Vec<RequiredMetadata>>,
    /// Arguments for smoke runs, such as `["--version"]`. The image is run on every platform before tags are moved.
    /// `[]` runs the image's default command.
    #[cfg_attr(test, schemars(extend("x-default" = "no smoke run")))]
    pub smoke: Option<Vec<String>>,
}

/// The table in a file that contains the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConfigTable {
    /// The top level of multiarch.toml.
    Root,
    /// `[workspace.metadata.multiarch]`
    Workspace,
    /// `[package.metadata.multiarch]`
    Package,
}

impl ConfigTable {
    /// Returns the keys that lead to the table from the top level of its file.
    pub(crate) fn path(self) -> &'static [&'static str] {
        match self {
            ConfigTable::Root => &[],
            ConfigTable::Workspace => &["workspace", "metadata", "multiarch"],
            ConfigTable::Package => &["package", "metadata", "multiarch"],
        }
    }
}

/// A string or a list of strings: `"a"` or `["a", "b"]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a string or a list of strings")]
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

/// A file or directory to copy into the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct FileEntry {
    /// Path of the file or directory, relative to the workspace directory.
    pub from: String,
    /// Absolute path in the image.
    #[cfg_attr(test, schemars(regex(pattern = "^/.*[^/]$")))]
    pub to: String,
    /// Octal permissions for a single file, such as `"0755"`.
    #[cfg_attr(test, schemars(extend("x-default" = "`0755` for executable files, `0644` for others")))]
    #[cfg_attr(test, schemars(regex(pattern = "^[0-7]{1,4}$")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Owner as `user[:group]`, by name or number.
    #[cfg_attr(test, schemars(extend("default" = "0:0"), regex(pattern = crate::config::schema_fragments::OWNER)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// An empty directory to create in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct DirectoryEntry {
    /// Absolute path in the image.
    #[cfg_attr(test, schemars(regex(pattern = "^/.*[^/]$")))]
    pub path: String,
    /// Octal permissions.
    #[cfg_attr(test, schemars(extend("default" = "0755"), regex(pattern = "^[0-7]{1,4}$")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Owner as `user[:group]`, by name or number.
    #[cfg_attr(test, schemars(extend("x-default" = "the image's `user`")))]
    #[cfg_attr(test, schemars(regex(pattern = crate::config::schema_fragments::OWNER)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A port, with an optional protocol: `8080` or `"53/udp"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected a port, such as 8080 or \"53/udp\"")]
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

impl Config {
    /// Returns the verification policy of the image.
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

    /// Applies another configuration on top of this one. Values are replaced, and maps are merged key by key.
    pub(crate) fn update(&mut self, over: Config) {
        self.remove_overridden_annotations(&over);
        macro_rules! fields {
            (replace: $($replace:ident)*; merge: $($merge:ident)*; nest: $($nest:ident)*) => {
                // Destructuring names every field, so the code does not compile if a new field is missing here.
                let Config { $($replace,)* $($merge,)* $($nest,)* } = over;
                $(if $replace.is_some() { self.$replace = $replace; })*
                $(self.$merge.extend($merge);)*
                $(for (name, config) in $nest { self.$nest.entry(name).or_default().update(config); })*
            };
        }
        fields! {
            replace: registry platforms tags index immutable_tags allow_tag_mismatch bins base template files directories ca_certificates timezones entrypoint cmd expose volumes user workdir stop_signal
                healthcheck target libc profile features all_features no_default_features rustflags sysroot_packages copy_libraries linker glibc build_std auditable locked
                engine insecure_registries compression compression_level builder cache_from cache_to provenance sbom secrets buildx_args
                allow deny_needed static_only non_root_only max_size require_labels require_annotations smoke;
            merge: capabilities env labels annotations build_env build_args;
            nest: images platform
        }
    }

    /// Removes the annotations of the index or the manifests that `over` sets for both.
    fn remove_overridden_annotations(&mut self, over: &Config) {
        for name in over.annotations.keys() {
            for prefix in ["index", "manifest"] {
                self.annotations.shift_remove(&format!("{prefix}:{name}"));
            }
        }
    }
}
