//! Configuration errors: exit code 3, a message that names the invalid setting, and a hint.

use crate::support::snapshot::snapshot;
use crate::support::{Fakes, Finished, Project, find};

/// Asserts that `plan` fails with a configuration error.
#[track_caller]
fn refused(project: &Project, args: &[&str]) -> Finished {
    project.run(&[&["plan"], args].concat()).fails(3).finish()
}

/// Asserts that `plan` rejects a configuration.
#[track_caller]
fn refused_config(config: &str) -> Finished {
    refused(&Project::with_config(config), &[])
}

#[test]
fn missing_manifest_is_reported() {
    snapshot!(
        refused(&Project::empty(), &[]),
        refused(&Project::empty(), &["--manifest-path", "x/Cargo.toml"]),
        refused(&Project::app(), &["--manifest-path", "."]),
        refused(&Project::app(), &["--manifest-path", "src"]),
    );
}

#[test]
fn invalid_manifest_is_reported_with_the_error_of_cargo() {
    let project = Project::app().file("Cargo.toml", "[package]\nname = 7\n");
    refused(&project, &[]).stderr_has(&["invalid type: integer `7`"]);
}

#[test]
fn workspace_without_a_binary_is_reported() {
    let project = Project::app().file("src/lib.rs", "");
    std::fs::remove_file(project.path().join("src/main.rs")).unwrap();
    snapshot!(refused(&project, &[]));
}

#[test]
fn unknown_binary_is_reported() {
    snapshot!(
        refused_config("[images.x]\nbins = ['ap']"),
        refused(&Project::app(), &["--bin", "other"]),
        refused_config("[images.x]"),
        refused(&Project::app(), &["-p", "apq"]),
    );
}

#[test]
fn names_of_missing_binaries_are_reported_with_their_line() {
    let in_manifest = "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2021\"\n\n\
        [package.metadata.multiarch]\nbins = [\"app\", \"appp\"]\n";
    let other_entry = "[images.x]\nbins = ['app']\nentrypoint = ['/usr/local/bin/entry']\n";
    snapshot!(
        refused_config("tags = ['1']\n[images.x]\nbins = [\n  'app',\n  'ap',\n]"),
        refused(&Project::app().file("Cargo.toml", in_manifest), &[]),
        refused_config("[images.x]\nbins = ['app']\ncapabilities = { ap = ['net_bind_service'] }"),
        refused_config("entrypoint = ['/usr/local/bin/ap', 'serve']\n"),
        refused_config(other_entry),
    );
}

#[test]
fn unknown_platform_is_reported() {
    snapshot!(
        Project::app().run(&["plan", "--platform", "linux/arm65"]).fails(2).finish(),
        refused_config("tags = ['a']\nplatforms = ['linux/arm65']"),
        refused_config("[platform.'linux/s390x']\nbase = 'x'"),
    );
}

#[test]
fn unknown_key_is_reported() {
    let manifest = "[package]\nname = 'app'\nversion = '1.2.3'\nedition = '2021'\n";
    let in_manifest = ["workspace", "package"].map(|table| {
        let text = format!("{manifest}[workspace]\n[{table}.metadata.multiarch]\ntgas = ['a']\n");
        refused(&Project::app().file("Cargo.toml", &text), &[])
    });
    snapshot!(refused_config("\nbse = 'x'"), in_manifest);
}

#[test]
fn unknown_environment_variable_is_reported() {
    let set = |name: &str| Project::app().run(&["plan"]).env(name, "x").fails(3).finish();
    snapshot!(set("MULTIARCH_REGISTY"), set("MULTIARCH_NONSENSE"));
}

#[test]
fn two_configurations_are_rejected() {
    let manifest = "[package]\nname = 'app'\nversion = '1.2.3'\n[workspace.metadata.multiarch]\ntags = ['a']\n";
    snapshot!(refused(&Project::with_config("").file("Cargo.toml", manifest), &[]));
}

#[test]
fn template_errors_are_reported() {
    let with = |template: &str| {
        refused(&Project::with_config("template = 'docker/app.j2'").file("docker/app.j2", template), &[])
    };
    snapshot!(
        with("FROM {{ base }} AS {{ stage }}\nRUN {{ triplet }}"),
        with("FROM {{ base }}"),
        with("{% if %}"),
        refused_config("template = 'docker/app.j2'"),
        refused_config("template = 'alpin'"),
    );
}

#[test]
fn template_that_ignores_settings_is_rejected() {
    let template = "FROM {{ base }} AS {{ stage }}\n{% include \"contents\" %}\n";
    let with = |config: &str, lines: &str| {
        Project::with_config(&format!("template = 'app.j2'\n{config}")).file("app.j2", &format!("{template}{lines}\n"))
    };
    let refusals = [
        ("", "COPPY a b"),
        ("", "COPY nothere /x"),
        ("files = [{ from = 'src', to = '/s' }]", "COPY linux/amd64/files/0/src/no.rs /x"),
        ("", "user 1\nSTART x"),
        ("user = '1'", ""),
        ("env = { A = '1' }", "ENV B=1"),
        ("labels = { 'a.b' = '1' }", ""),
        ("[platform.'linux/arm64']\nentrypoint = ['/a']", ""),
        ("healthcheck = { cmd = ['a'] }", "CMD [\"a\"]"),
        ("", "COPY rootfs/etc/ssl /etc/ssl"),
        ("cmd = []", ""),
        ("timezones = true", "COPY system/usr/share/zoneinfo/Europe/Nowhere /z"),
    ]
    .map(|(config, lines)| refused(&with(config, lines), &[]));
    let above = "ARG BASE={{ base }}\nARG A=1\nFROM $BASE AS {{ stage }}\n{% include \"contents\" %}\n";
    let two = "template = 'app.j2'\nbase = 'one'\n[platform.'linux/arm64']\nbase = 'two'";
    let copies = "FROM {{ base }} AS {{ stage }}\nCOPY {{ platform }}/app /app\nCOPY rootfs/ /\n";
    let copies_little = |config: &str, lines: &str| {
        let config = format!("platforms = ['linux/amd64']\ntemplate = 'app.j2'\n{config}");
        refused(&Project::with_config(&config).file("app.j2", &format!("{copies}{lines}\n")), &[])
    };
    let system = "COPY system /";
    let incomplete = [
        copies_little("", ""),
        copies_little("ca-certificates = ['host']", "COPY rootfs/etc /etc"),
        copies_little("timezones = true\nca-certificates = false", ""),
        copies_little("directories = [{ path = '/data' }]", system),
        copies_little(
            "directories = [{ path = '/data' }]",
            &format!("{system}\nCOPY linux/amd64/directories/0/content /"),
        ),
        copies_little(
            "files = [{ from = 'src', to = '/s', owner = '7' }]",
            &format!("{system}\nCOPY linux/amd64/files/0/src /s"),
        ),
    ];
    snapshot!(refusals, incomplete, refused(&Project::with_config(two).file("app.j2", above), &[]));

    Project::with_config("template = 'app.j2'").file("app.j2", above).run(&["plan"]).finish();
    // A template may omit settings that have defaults, and may override configured values.
    with("", "RUN <<E\nanything\nE").run(&["dockerfile"]).finish();
    with("user = '1'\nenv = { A = '1' }", "USER 0\nENV A=2").run(&["plan"]).finish();
    let copies = "COPY rootfs/etc /x/\nCOPY linux/amd64/files/0/src/main.rs /m";
    with("files = [{ from = 'src', to = '/s' }]\nplatforms = ['linux/amd64']", copies).run(&["plan"]).finish();
    with("cmd = []", "CMD []").run(&["plan"]).finish();
    with("timezones = true", "COPY system/usr/share/zoneinfo/Europe /z").run(&["plan"]).finish();
    with("user = '1'\nlabels = { a = 'b' }", "{% include \"config\" %}").run(&["plan"]).finish();
}

#[test]
fn container_settings_are_validated() {
    snapshot!(
        [
            "stop-signal = 'SIGTREM'",
            "entrypoint = []",
            "entrypoint = []\ncmd = []",
            "build-env = { RUSTFLAGS = '-Cx' }",
            "build-env = { 'A B' = 'x' }",
            "healthcheck = { cmd = ['a'], interval = '5x' }",
        ]
        .map(refused_config)
    );
}

#[test]
fn names_and_tags_are_validated() {
    let with_credentials = [
        ["--registry", "bob:S3cret@r.example"],
        ["--registry", "https://bob:S3cret@r.example"],
        ["--registry", "bob:S3/cr@et@r.example:5000/x"],
        ["--registry", "S3cret@r.example"],
        ["--base", "bob:S3cret@r.example/x"],
        ["--insecure-registry", "bob:S3cret@r.example"],
    ]
    .map(|args| refused(&Project::app(), &args).stderr_lacks("S3"));
    // Compare only stderr, because the command lines contain the passwords.
    let with_credentials = with_credentials.map(|finished| finished.stderr);
    snapshot!(
        refused_config("[images.Web]\nbins = ['app']"),
        refused(&Project::app(), &["--tag", "a b"]),
        refused(&Project::app(), &["--tag", "{{git.tag}}"]),
        refused(&Project::app(), &["--tag", "v{{version}}-{{git.short}}"]),
        refused(&Project::app(), &["--registry", "https://ghcr.io/you"]),
        with_credentials,
        refused_config(
            "registry = 'r.example'\ntags = ['a']\n[images.a]\nbins = ['app']\n[images.b]\nbins = ['app', 'app']",
        ),
    );
}

#[test]
fn image_contents_are_validated() {
    snapshot!(
        [
            "libc = 'gnu'",
            "target = 'aarch64-unknown-linux-musl'",
            "libc = 'gnu'\nbase = 'x'\nglibc = 'new'",
            "expose = ['80/http']",
            "env = { 'A B' = '1' }",
            "user = ''",
            "files = [{ from = 'Cargo.toml', to = 'etc/x' }]",
            "files = [{ from = 'Cargo.toml', to = '/x', mode = '9' }]",
            "files = [{ from = 'Cargo.toml', to = '/usr/local/bin/app' }]",
            "files = [{ from = 'Cargo.toml', to = '/x' }, { from = 'Cargo.lock', to = '/x' }]",
        ]
        .map(refused_config)
    );
}

#[test]
fn unknown_packages_and_features_are_reported() {
    let manifest = "[package]\nname = 'app'\nversion = '1.2.3'\nedition = '2021'\n[features]\ntls = []\n[profile.dist]\ninherits = 'release'\n";
    let project = Project::app()
        .file("Cargo.toml", manifest)
        .file(".cargo/config.toml", "[profile.in-config]\ninherits = 'dev'\n");
    snapshot!(
        refused(&Project::app(), &["-F", "nofeat"]),
        refused(&Project::app(), &["--profile", "relase"]),
        refused(&project, &["-F", "tsl"]),
    );
    for profile in ["dist", "in-config", "dev"] {
        project.run(&["plan", "-F", "tls,app/any", "--profile", profile]).finish();
    }
    project.run(&["plan", "--profile", "my-own"]).env("CARGO_PROFILE_MY_OWN_INHERITS", "release").finish();
}

#[test]
fn missing_or_outdated_cargo_lock_is_reported() {
    let project = Project::app();
    std::fs::remove_file(project.path().join("Cargo.lock")).unwrap();
    let missing = refused(&project, &[]);
    let project = project.file("Cargo.lock", "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"1.2.2\"\n");
    snapshot!(missing, refused(&project, &[]));
}

#[test]
fn status_lines_of_cargo_are_not_part_of_errors() {
    const STATUS: &str = "    Blocking waiting for file lock on package cache\n    Updating crates.io index\n";
    let cargo = |error: &str, when: &str| {
        let real = find("cargo").unwrap().display().to_string();
        let fail = format!("printf '%s' '{STATUS}{error}' >&2; exit 101");
        Fakes::new().program("cargo", &format!("case \"$*\" in {when}) {fail} ;; *) exec {real} \"$@\" ;; esac"))
    };
    let run = |cargo: Fakes| Project::app().run(&["plan"]).path_first(&cargo).fails(3).finish();
    let locked = "error: cannot update the lock file /x/Cargo.lock because --locked was passed to prevent this\n";
    snapshot!(
        run(cargo(locked, "*--locked*")).stderr_has(&["out of date: cannot update the lock file"]),
        run(cargo("error: failed to parse manifest at `/x/Cargo.toml`\n\nCaused by:\n  no targets\n", "*--no-deps*")),
        run(cargo("error: could not find `Cargo.toml` in `/x` or any parent directory\n", "*--no-deps*")),
    );
}

#[test]
fn source_date_epoch_is_validated() {
    let run = Project::app().run(&["plan"]).env("SOURCE_DATE_EPOCH", "yesterday").fails(3);
    snapshot!(run.finish());
}
