//! Renders the report as a Markdown checklist for a release or a pull request.

use semver::Version;

use super::build_report::{BinaryReport, ImageReport, PlatformReport};
use super::{Report, TagOutcome};
use crate::config::ca_certificates::CaSource;
use crate::oci::digest::shorten_digest;
use crate::plan::Commit;
use crate::plan::tags::is_version;
use crate::publish::tag_decision::TagChange;
use crate::ui::size;
use crate::verify::smoke::SmokeMethod;

impl Report {
    /// Renders one section per image: a list of checkboxes, followed by a table of the image's platforms.
    pub(crate) fn checklist(&self) -> String {
        let sections: Vec<String> = self.images.iter().map(|image| self.section(image)).collect();
        format!("{}\n", sections.join("\n\n"))
    }

    fn section(&self, image: &ImageReport) -> String {
        let repository = image.repositories.first().unwrap_or(&image.name);
        let kind = if image.has_index { "" } else { ", a manifest without an index" };
        let mut lines = vec![
            format!("## {} {}", image.name, image.package_version),
            String::new(),
            format!("`{repository}@{}`{kind}", image.digest),
            String::new(),
        ];
        lines.extend(commit_items(self.commit.as_ref(), image));
        lines.push(verified_item(image));
        lines.push(smoke_item(&image.platforms));
        for tag in &image.moved {
            lines.push(checkbox(!tag.replaces_version(&image.package_version), &tag.description()));
        }
        lines.push(checkbox(true, &format!("compiled with rustc {} and {}", self.rust_version, self.tool)));
        lines.extend(self.bundled_item(image));
        lines.push(String::new());
        lines.push("| platform | digest | size | linker | executables | libc | base |".to_owned());
        lines.push("|---|---|---|---|---|---|---|".to_owned());
        lines.extend(image.platforms.iter().map(table_row));
        let findings = image.platforms.iter().flat_map(|platform| &platform.findings);
        let findings: Vec<String> =
            findings.map(|finding| format!("- {} {finding}: {}", finding.code, finding.fix)).collect();
        if !findings.is_empty() {
            lines.push(String::new());
            lines.extend(findings);
        }
        lines.join("\n")
    }

    /// Returns a checkbox that lists the bundled data in the image, with versions.
    fn bundled_item(&self, image: &ImageReport) -> Option<String> {
        let mut data = Vec::new();
        if image.platforms.iter().any(|platform| platform.ca_certificates.contains(&CaSource::Bundled)) {
            data.push(format!("CA certificates of Mozilla ({})", self.bundled.ca_certificates));
        }
        if image.platforms.iter().any(|platform| platform.timezones) {
            data.push(format!("time zones of IANA ({})", self.bundled.timezones));
        }
        (!data.is_empty()).then(|| checkbox(true, &format!("contains {}", data.join(" and "))))
    }
}

/// Returns checkboxes for a clean work tree and for a git tag that matches the version.
fn commit_items(commit: Option<&Commit>, image: &ImageReport) -> Vec<String> {
    let Some(commit) = commit else { return vec![checkbox(false, "built from a git commit")] };
    let clean = format!("clean work tree at commit `{}`", shorten_digest(&commit.sha));
    let tag_item = match &image.git_tag {
        Some(tag) => checkbox(image.version_is_tag == Some(true), &format!("git tag `{tag}` matches the version")),
        None => checkbox(false, "the commit has a git tag that matches the version"),
    };
    vec![checkbox(!commit.is_dirty(), &clean), tag_item]
}

/// Returns a checkbox that shows how many platforms have no findings and which checks were ignored.
fn verified_item(image: &ImageReport) -> String {
    let clean = image.platforms.iter().filter(|platform| platform.findings.is_empty()).count();
    let total = image.platforms.len();
    let mut text = format!("{clean} of {total} platforms verified without findings");
    if !image.allow.is_empty() {
        let codes: Vec<String> = image.allow.iter().map(ToString::to_string).collect();
        text.push_str(&format!("; ignored checks: {}", codes.join(", ")));
    }
    checkbox(clean == total, &text)
}

/// Returns a checkbox that shows whether and how the smoke run started the image on each platform.
fn smoke_item(platforms: &[PlatformReport]) -> String {
    if platforms.iter().all(|platform| platform.smoke.is_none()) {
        return checkbox(false, "started on every platform (no smoke run was requested)");
    }
    let mut all_started = true;
    let mut descriptions = Vec::new();
    for PlatformReport { platform, smoke, .. } in platforms {
        let method = smoke.as_ref().map_or(SmokeMethod::NotRun, |smoke| smoke.method);
        all_started &= method != SmokeMethod::NotRun;
        let reason = smoke.as_ref().and_then(|smoke| smoke.reason.as_ref());
        let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        descriptions.push(format!("{platform} {}{reason}", method.description()));
    }
    checkbox(all_started, &format!("started on every platform: {}", descriptions.join(", ")))
}

impl TagOutcome {
    /// Reports whether this run moved a full version's tag to another image. Users who pulled that version earlier have
    /// a different image.
    fn replaces_version(&self, version: &str) -> bool {
        let tag = self.reference.rsplit_once(':').map_or("", |(_, tag)| tag);
        let is_version = Version::parse(version).is_ok_and(|version| is_version(tag, &version));
        is_version && self.from.as_ref().is_some_and(|from| *from != self.to)
    }

    fn description(&self) -> String {
        let TagOutcome { reference, from, to, change } = self;
        let to = shorten_digest(to);
        match (change, from) {
            (TagChange::Kept, _) => format!("`{reference}` stays at `{to}`, which has a higher version"),
            (TagChange::Moved, Some(from)) => format!("`{reference}` moved from `{}` to `{to}`", shorten_digest(from)),
            (TagChange::Created | TagChange::Moved, _) => format!("`{reference}` created at `{to}`"),
            (TagChange::Unchanged, _) => format!("`{reference}` stays at `{to}`"),
        }
    }
}

fn checkbox(is_checked: bool, text: &str) -> String {
    format!("- [{}] {text}", if is_checked { "x" } else { " " })
}

fn table_row(report: &PlatformReport) -> String {
    let mut libc = report.facts.libc.clone().unwrap_or_else(|| "-".to_owned());
    if let Some(required) = &report.facts.glibc {
        libc.push_str(&format!(", needs {required}"));
    }
    if let Some(floor) = &report.glibc_floor {
        libc.push_str(&format!(" (floor {floor})"));
    }
    let size = report.size.map_or("-".to_owned(), size::format_bytes);
    let base = match report.base.split_once('@') {
        Some((name, digest)) => format!("{name} `{}`", shorten_digest(digest)),
        None => report.base.clone(),
    };
    let digest = shorten_digest(&report.digest);
    let executables = executables(&report.binaries);
    format!("| {} | `{digest}` | {size} | {} | {executables} | {libc} | {base} |", report.platform, report.linker)
}

/// Describes how the executables were linked, with their names if there are several.
fn executables(binaries: &[BinaryReport]) -> String {
    let described: Vec<String> = binaries.iter().map(|binary| binary.artifact.describe_linking()).collect();
    if let [description] = described.as_slice() {
        return description.clone();
    }
    let named = binaries.iter().zip(&described).map(|(binary, description)| format!("{}: {description}", binary.name));
    named.collect::<Vec<_>>().join("<br>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::Artifact;
    use crate::elf::Elf;
    use crate::elf::linking::{ExecutableKind, Linking, SymbolKind};
    use crate::platform::Platform;
    use crate::report::build_report::BundledVersions;
    use crate::verify::PlatformFacts;
    use crate::verify::smoke::SmokeResult;

    fn platform(name: &str, facts: PlatformFacts) -> PlatformReport {
        PlatformReport {
            platform: name.to_owned(),
            digest: format!("sha256:{}", "ab".repeat(32)),
            triple: String::new(),
            linker: "zig".to_owned(),
            base: format!("debian:trixie-slim@sha256:{}", "cd".repeat(32)),
            ca_certificates: Vec::new(),
            timezones: false,
            size: Some(5 << 20),
            glibc_floor: facts.glibc.as_ref().map(|_| "2.28".to_owned()),
            facts,
            findings: Vec::new(),
            smoke: None,
            binaries: vec![binary("app", SymbolKind::Symbols)],
        }
    }

    fn binary(name: &str, symbols: SymbolKind) -> BinaryReport {
        let identity = "linux/amd64".parse::<Platform>().unwrap().elf_identity();
        let linking =
            Linking { executable: ExecutableKind::StaticPie, symbols, symbols_size: 2000, debug_info_size: 0 };
        let artifact =
            Artifact { path: "app".into(), size: 0, sha256: String::new(), elf: Elf::with_identity(identity), linking };
        BinaryReport { name: name.to_owned(), path: format!("/usr/local/bin/{name}"), artifact }
    }

    #[test]
    fn several_executables_are_described_by_name() {
        let both = [binary("app", SymbolKind::Symbols), binary("tool", SymbolKind::Stripped)];
        assert_eq!(executables(&both), "app: static-pie, symbols (2.0 kB)<br>tool: static-pie, stripped");
    }

    fn smoke(method: SmokeMethod, reason: Option<&str>) -> SmokeResult {
        SmokeResult { method, command: vec!["app".to_owned()], first_line: None, reason: reason.map(str::to_owned) }
    }

    #[test]
    fn smoke_item_is_unchecked_without_a_run() {
        let item = |runs: [Option<SmokeResult>; 2]| {
            let platforms = ["linux/amd64", "linux/arm64"].into_iter().zip(runs);
            let platforms =
                platforms.map(|(name, smoke)| PlatformReport { smoke, ..platform(name, PlatformFacts::default()) });
            smoke_item(&platforms.collect::<Vec<_>>())
        };
        let not_requested = "- [ ] started on every platform (no smoke run was requested)";
        assert_eq!(item([None, None]), not_requested);
        let reason = "no QEMU for arm64: `sudo apt install qemu-user-static`";
        assert_eq!(
            item([Some(smoke(SmokeMethod::Docker, None)), Some(smoke(SmokeMethod::NotRun, Some(reason)))]),
            format!("- [ ] started on every platform: linux/amd64 in Docker, linux/arm64 not at all ({reason})")
        );
    }

    #[test]
    fn moved_version_tags_are_detected() {
        let moved = |tag: &str, from: Option<&str>| TagOutcome {
            reference: format!("r.example:5000/app:{tag}"),
            from: from.map(str::to_owned),
            to: "sha256:b".to_owned(),
            change: TagChange::Moved,
        };
        for (tag, from, expected) in [
            ("1.2.3", Some("sha256:a"), true),
            ("v1.2.3", Some("sha256:a"), true),
            ("1.2.3", Some("sha256:b"), false),
            ("1.2.3", None, false),
            ("1.2", Some("sha256:a"), false),
            ("latest", Some("sha256:a"), false),
        ] {
            assert_eq!(moved(tag, from).replaces_version("1.2.3"), expected, "{tag} {from:?}");
        }
    }

    #[test]
    fn checklist_shows_a_complete_report() {
        let facts = PlatformFacts {
            libc: Some("glibc 2.41".to_owned()),
            glibc: Some("2.17".to_owned()),
            ..PlatformFacts::default()
        };
        let image = ImageReport {
            name: "app".to_owned(),
            package: "app".to_owned(),
            package_version: "1.2.3".to_owned(),
            repositories: vec!["r.example/app".to_owned()],
            tags: vec!["1.2.3".to_owned()],
            digest: format!("sha256:{}", "12".repeat(32)),
            has_index: true,
            version_is_tag: Some(true),
            git_tag: Some("v1.2.3".to_owned()),
            moved: vec![
                TagOutcome {
                    reference: "r.example/app:1.2.3".to_owned(),
                    from: None,
                    to: format!("sha256:{}", "12".repeat(32)),
                    change: TagChange::Created,
                },
                TagOutcome {
                    reference: "r.example/app:latest".to_owned(),
                    from: Some(format!("sha256:{}", "34".repeat(32))),
                    to: format!("sha256:{}", "12".repeat(32)),
                    change: TagChange::Moved,
                },
            ],
            allow: vec!["MA053".parse().unwrap()],
            platforms: vec![
                PlatformReport {
                    smoke: Some(smoke(SmokeMethod::Native, None)),
                    ..platform("linux/amd64", facts.clone())
                },
                PlatformReport {
                    smoke: Some(smoke(SmokeMethod::Qemu, None)),
                    ..platform(
                        "linux/arm64",
                        PlatformFacts { libc: Some("static".to_owned()), ..PlatformFacts::default() },
                    )
                },
            ],
        };
        let commit = Commit {
            sha: "0123456789abcdef".to_owned(),
            time: 0,
            tag: Some("v1.2.3".to_owned()),
            tags: vec!["v1.2.3".to_owned()],
            ..Commit::default()
        };
        let report = Report {
            version: 1,
            tool: "cargo-multiarch 0.1.0",
            rust_version: "1.95.0".to_owned(),
            bundled: BundledVersions { ca_certificates: "webpki-root-certs 1.0.11", timezones: "2026f" },
            auditable: false,
            commit: Some(commit),
            images: vec![image],
            only_loaded: false,
        };
        let expected = "\
## app 1.2.3

`r.example/app@sha256:1212121212121212121212121212121212121212121212121212121212121212`

- [x] clean work tree at commit `0123456789ab`
- [x] git tag `v1.2.3` matches the version
- [x] 2 of 2 platforms verified without findings; ignored checks: MA053
- [x] started on every platform: linux/amd64 natively, linux/arm64 under QEMU
- [x] `r.example/app:1.2.3` created at `sha256:121212121212`
- [x] `r.example/app:latest` moved from `sha256:343434343434` to `sha256:121212121212`
- [x] compiled with rustc 1.95.0 and cargo-multiarch 0.1.0

| platform | digest | size | linker | executables | libc | base |
|---|---|---|---|---|---|---|
| linux/amd64 | `sha256:abababababab` | 5.2 MB | zig | static-pie, symbols (2.0 kB) | glibc 2.41, needs 2.17 (floor 2.28) | debian:trixie-slim `sha256:cdcdcdcdcdcd` |
| linux/arm64 | `sha256:abababababab` | 5.2 MB | zig | static-pie, symbols (2.0 kB) | static | debian:trixie-slim `sha256:cdcdcdcdcdcd` |
";
        assert_eq!(report.checklist(), expected);
    }
}
