//! What asks for the impossible is refused before anything runs: exit code 3, the thing named, a hint.

use crate::support::Project;

/// Runs `plan` in a project and checks the failure.
#[track_caller]
fn refused(project: &Project, args: &[&str], says: &[&str]) {
    project.run(&[&["plan"], args].concat()).fails(3).finish().says(says);
}

#[test]
fn no_manifest() {
    refused(
        &Project::empty(),
        &[],
        &["could not find `Cargo.toml`", "hint: run it inside a Rust package, or give `--manifest-path"],
    );
    refused(
        &Project::empty(),
        &["--manifest-path", "x/Cargo.toml"],
        &["--manifest-path x/Cargo.toml: there is no such file", "hint: name the manifest"],
    );
    refused(
        &Project::app(),
        &["--manifest-path", "."],
        &["a folder, and its manifest", "`--manifest-path ./Cargo.toml`"],
    );
    refused(&Project::app(), &["--manifest-path", "src"], &["src: a folder without a Cargo.toml"]);
}

#[test]
fn a_broken_manifest_is_shown_in_cargos_own_words() {
    let project = Project::app().file("Cargo.toml", "[package]\nname = 7\n");
    refused(&project, &[], &["invalid type: integer `7`"]);
}

#[test]
fn no_binary() {
    let project = Project::app().file("src/lib.rs", "");
    std::fs::remove_file(project.path().join("src/main.rs")).unwrap();
    refused(&project, &[], &["no binary target in app", "hint: an image needs a program"]);
}

#[test]
fn a_binary_that_does_not_exist() {
    let project = Project::with_config("[images.x]\nbins = ['ap']");
    refused(&project, &[], &["the workspace has no binary 'ap'", "hint: did you mean 'app'?"]);
    refused(
        &Project::app(),
        &["--bin", "other"],
        &["the workspace has no binary 'other'", "hint: its binaries are: app"],
    );
    refused(&Project::with_config("[images.x]"), &[], &["image 'x' has no binaries", "hint: say which: bins"]);
    refused(&Project::app(), &["-p", "apq"], &["the workspace has no package 'apq'", "did you mean 'app'?"]);
}

#[test]
fn an_unknown_platform() {
    let run = Project::app().run(&["plan", "--platform", "linux/arm65"]).fails(2);
    run.finish().says(&["unknown platform 'linux/arm65' (did you mean 'linux/arm64'?)"]);
    let config = Project::with_config("tags = ['a']\nplatforms = ['linux/arm65']");
    refused(&config, &[], &["multiarch.toml:2: unknown platform 'linux/arm65' (did you mean 'linux/arm64'?)"]);
    refused(
        &Project::with_config("[platform.'linux/s390x']\nbase = 'x'"),
        &[],
        &["image 'app' has keys for linux/s390x but does not build it", "add \"linux/s390x\" to `platforms`"],
    );
}

#[test]
fn an_unknown_key() {
    refused(
        &Project::with_config("\nbse = 'x'"),
        &[],
        &["multiarch.toml:2: unknown key 'bse'", "did you mean 'base'?"],
    );
    let manifest = "[package]\nname = 'app'\nversion = '1.2.3'\nedition = '2021'\n";
    for table in ["workspace", "package"] {
        let text = format!("{manifest}[workspace]\n[{table}.metadata.multiarch]\ntgas = ['a']\n");
        refused(
            &Project::app().file("Cargo.toml", &text),
            &[],
            &["Cargo.toml:7: unknown key 'tgas'", "did you mean 'tags'?"],
        );
    }
}

#[test]
fn an_unknown_variable() {
    let run = Project::app().run(&["plan"]).env("MULTIARCH_REGISTY", "x").fails(3);
    run.finish().says(&["unknown variable MULTIARCH_REGISTY", "did you mean MULTIARCH_REGISTRY?"]);
    let run = Project::app().run(&["plan"]).env("MULTIARCH_NONSENSE", "x").fails(3);
    run.finish().says(&["unknown variable MULTIARCH_NONSENSE", "the variables are: MULTIARCH_"]);
}

#[test]
fn two_configurations() {
    let manifest = "[package]\nname = 'app'\nversion = '1.2.3'\n[workspace.metadata.multiarch]\ntags = ['a']\n";
    refused(&Project::with_config("").file("Cargo.toml", manifest), &[], &["are there", "hint: keep one of them"]);
}

#[test]
fn templates() {
    let with = |template: &str| Project::with_config("template = 'docker/app.j2'").file("docker/app.j2", template);
    refused(
        &with("FROM {{ base }} AS {{ stage }}\nRUN {{ triplet }}"),
        &[],
        &[
            "docker/app.j2:2: unknown variable 'triplet'",
            "did you mean 'triple'?",
            "cargo multiarch dockerfile --variables",
        ],
    );
    refused(
        &with("FROM {{ base }}"),
        &[],
        &["its last stage is not named 'platform-linux-amd64'", "FROM {{ base }} AS {{ stage }}"],
    );
    refused(&with("{% if %}"), &[], &["docker/app.j2:1: syntax error"]);
    refused(&Project::with_config("template = 'docker/app.j2'"), &[], &["image 'app': its template cannot be read"]);
    refused(&Project::with_config("template = 'alpin'"), &[], &["unknown template 'alpin'", "did you mean 'alpine'?"]);
}

#[test]
fn what_a_template_leaves_out_or_makes_up() {
    let template = "FROM {{ base }} AS {{ stage }}\n{% include \"contents\" %}\n";
    let with = |config: &str, lines: &str| {
        Project::with_config(&format!("template = 'app.j2'\n{config}")).file("app.j2", &format!("{template}{lines}\n"))
    };
    for (config, lines, says) in [
        ("", "COPPY a b", &["app.j2:3: unknown instruction 'COPPY'", "did you mean 'COPY'?"][..]),
        ("", "COPY nothere /x", &["app.j2:3: 'nothere' is not in the build context: COPY nothere /x", "files = [{"]),
        ("files = [{ from = 'src', to = '/s' }]", "COPY linux/amd64/files/0/src/no.rs /x", &["app.j2:3: 'linux/"]),
        ("", "user 1\nSTART x", &["app.j2:4: unknown instruction 'START'", "the instructions are: ADD, ARG,"]),
        ("user = '1'", "", &["app.j2: the configuration sets user, and the template has no USER"]),
        ("env = { A = '1' }", "ENV B=1", &["sets env.A, and the template has no ENV", "{% include \"config\" %}"]),
        ("labels = { 'a.b' = '1' }", "", &["sets labels.a.b, and the template has no LABEL"]),
        ("[platform.'linux/arm64']\nentrypoint = ['/a']", "", &["sets entrypoint, and the template has no ENTRYPOINT"]),
        ("healthcheck = { cmd = ['a'] }", "CMD [\"a\"]", &["sets healthcheck, and the template has no HEALTHCHECK"]),
    ] {
        refused(&with(config, lines), &[], says);
    }
    let above = "ARG BASE={{ base }}\nARG A=1\nFROM $BASE AS {{ stage }}\n{% include \"contents\" %}\n";
    let two = "template = 'app.j2'\nbase = 'one'\n[platform.'linux/arm64']\nbase = 'two'";
    let says = "app.j2: 'ARG BASE=two' stands before FROM, and is not the same for all platforms";
    refused(&Project::with_config(two).file("app.j2", above), &[], &[says]);
    Project::with_config("template = 'app.j2'").file("app.j2", above).run(&["plan"]).finish();
    // What has a default is the template's to leave out; what is said there may be said in its own words.
    with("", "RUN <<E\nanything\nE").run(&["dockerfile"]).finish();
    with("user = '1'\nenv = { A = '1' }", "USER 0\nENV A=2").run(&["plan"]).finish();
    let copies = "COPY rootfs/etc /x/\nCOPY linux/amd64/files/0/src/main.rs /m";
    with("files = [{ from = 'src', to = '/s' }]\nplatforms = ['linux/amd64']", copies).run(&["plan"]).finish();
    with("user = '1'\nlabels = { a = 'b' }", "{% include \"config\" %}").run(&["plan"]).finish();
}

#[test]
fn values_of_a_containers_config() {
    for (config, says) in [
        ("stop-signal = 'SIGTREM'", &["image 'app': stop-signal 'SIGTREM' is not valid", "did you mean 'TERM'?"][..]),
        ("entrypoint = []", &["image 'app': entrypoint is an empty list", "leave it out"]),
        ("cmd = []", &["image 'app': cmd is an empty list"]),
        ("build-env = { RUSTFLAGS = '-Cx' }", &["build-env 'RUSTFLAGS' is not valid", "rustflags = "]),
        ("build-env = { 'A B' = 'x' }", &["build-env 'A B' is not valid"]),
        ("healthcheck = { cmd = ['a'], interval = '5x' }", &["image 'app': healthcheck.interval '5x' is not valid"]),
    ] {
        refused(&Project::with_config(config), &[], says);
    }
}

#[test]
fn names_and_tags() {
    refused(
        &Project::with_config("[images.Web]\nbins = ['app']"),
        &[],
        &["'Web' is not a name for an image", "images.web = { bins = "],
    );
    refused(&Project::app(), &["--tag", "a b"], &["'a b' is not a tag"]);
    refused(&Project::app(), &["--tag", "{{git.tag}}"], &["no tag is left of", "hint: give one with `--tag NAME`"]);
    let says = ["git.short is empty here: this is no git work tree", "hint: leave it out"];
    refused(&Project::app(), &["--tag", "v{{version}}-{{git.short}}"], &says);
    refused(&Project::app(), &["--registry", "https://ghcr.io/you"], &["registry 'https://ghcr.io/you' has a scheme"]);
    for args in [
        ["--registry", "bob:S3cret@r.example"],
        ["--registry", "https://bob:S3cret@r.example"],
        ["--registry", "bob:S3/cr@et@r.example:5000/x"],
        ["--registry", "S3cret@r.example"],
        ["--base", "bob:S3cret@r.example/x"],
        ["--insecure-registry", "bob:S3cret@r.example"],
    ] {
        let run = Project::app().run(&[&["plan"], &args[..]].concat()).fails(3);
        run.finish().says(&["…@r.example", "has credentials in it", "docker login r.example"]).keeps_quiet_about("S3");
    }
    refused(
        &Project::with_config(
            "registry = 'r.example'\ntags = ['a']\n[images.a]\nbins = ['app']\n[images.b]\nbins = ['app', 'app']",
        ),
        &[],
        &["image 'b' has two binaries at /usr/local/bin/app"],
    );
}

#[test]
fn contents() {
    for (config, says) in [
        ("libc = 'gnu'", "image 'app': libc \"gnu\" needs a base that has glibc"),
        ("target = 'aarch64-unknown-linux-musl'", "target 'aarch64-unknown-linux-musl' is not for linux/amd64"),
        ("libc = 'gnu'\nbase = 'x'\nglibc = 'new'", "glibc 'new' is not a version"),
        ("expose = ['80/http']", "expose '80/http' is not valid"),
        ("env = { 'A B' = '1' }", "env 'A B' is not valid"),
        ("user = ''", "user '' is not valid"),
        ("files = [{ from = 'Cargo.toml', to = 'etc/x' }]", "files.to 'etc/x' is not a full path"),
        ("files = [{ from = 'Cargo.toml', to = '/x', mode = '9' }]", "mode '9' of /x is not octal"),
        (
            "files = [{ from = 'Cargo.toml', to = '/usr/local/bin/app' }]",
            "a file and a binary are both /usr/local/bin/app",
        ),
        ("files = [{ from = 'Cargo.toml', to = '/x' }, { from = 'Cargo.lock', to = '/x' }]", "two files are both /x"),
    ] {
        refused(&Project::with_config(config), &[], &[says]);
    }
}

#[test]
fn what_cargo_does_not_know() {
    refused(&Project::app(), &["-F", "nofeat"], &["app has no feature 'nofeat'", "it has no features at all"]);
    refused(&Project::app(), &["--profile", "relase"], &["has no profile 'relase'", "did you mean 'release'?"]);
    let manifest = "[package]\nname = 'app'\nversion = '1.2.3'\nedition = '2021'\n[features]\ntls = []\n[profile.dist]\ninherits = 'release'\n";
    let project = Project::app()
        .file("Cargo.toml", manifest)
        .file(".cargo/config.toml", "[profile.in-config]\ninherits = 'dev'\n");
    refused(&project, &["-F", "tsl"], &["app has no feature 'tsl'", "did you mean 'tls'?"]);
    for profile in ["dist", "in-config", "dev"] {
        project.run(&["plan", "-F", "tls,app/any", "--profile", profile]).finish();
    }
    project.run(&["plan", "--profile", "my-own"]).env("CARGO_PROFILE_MY_OWN_INHERITS", "release").finish();
}

#[test]
fn cargo_lock_is_missing_or_old() {
    let project = Project::app();
    std::fs::remove_file(project.path().join("Cargo.lock")).unwrap();
    refused(&project, &[], &["Cargo.lock is missing: ", "--locked", "hint: `cargo generate-lockfile`", "--no-locked"]);
    let project = project.file("Cargo.lock", "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"1.2.2\"\n");
    let says = ["Cargo.lock does not fit the manifests: ", "hint: `cargo update --workspace`", "--no-locked"];
    project.run(&["plan"]).fails(3).finish().says(&says).keeps_quiet_about("generate-lockfile");
}

#[test]
fn source_date_epoch() {
    let run = Project::app().run(&["plan"]).env("SOURCE_DATE_EPOCH", "yesterday").fails(3);
    run.finish().says(&["SOURCE_DATE_EPOCH is 'yesterday'", "git log -1 --format=%ct"]);
}
