//! Tests `sysroot-packages` with a fake apt on PATH, and with a fake Debian archive. The tests with the real apt are in `services::sysroot`.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::base_image::{Entry, tar_of};
use crate::support::fake_registry::{FakeRegistry, digest};
use crate::support::snapshot::{Show, snapshot};
use crate::support::{Fakes, Finished, Project, Run};

/// This machine's platform, Debian architecture and target triple, in that order. The standard library for this target
/// is always installed.
pub const NATIVE: [&str; 3] = if cfg!(target_arch = "x86_64") {
    ["linux/amd64", "amd64", "x86_64-unknown-linux-gnu"]
} else {
    ["linux/arm64", "arm64", "aarch64-unknown-linux-gnu"]
};

pub fn project() -> Project {
    let [platform, ..] = NATIVE;
    Project::with_config(&format!(
        "libc = 'gnu'\nbase = 'scratch'\nplatforms = ['{platform}']\nsysroot-packages = ['libssl-dev']\nengine = 'embedded'"
    ))
}

/// Replaces the names of this machine's platform, so that snapshots are the same on every machine.
fn without_platform(finished: &Finished) -> String {
    let [platform, architecture, triple] = NATIVE;
    let variable = triple.replace('-', "_");
    [
        (triple, "[triple]"),
        (&variable, "[triple]"),
        (&variable.to_uppercase(), "[TRIPLE]"),
        (platform, "[platform]"),
        (&format!("Debian architecture {architecture}"), "Debian architecture [architecture]"),
        (&format!("[arch={architecture}]"), "[arch=[architecture]]"),
        (&format!("/{architecture}/"), "/[architecture]/"),
    ]
    .iter()
    .fold(finished.show(), |shown, (text, name)| shown.replace(text, name))
}

/// Returns the error and its hints.
fn errors(finished: Finished) -> String {
    let shown = without_platform(&finished.stderr_lacks("Compiling"));
    shown[shown.find("error: ").unwrap()..].to_owned()
}

/// Creates fake apt programs that provide libssl-dev. `update` and `download` are the scripts that `apt-get update` and
/// `apt-get download` run.
pub fn apt(update: &str, download: &str) -> Fakes {
    let record = format!(
        "Package: libssl-dev\\nVersion: 3.0-1\\nSection: libdevel\\nDepends: libssl3 (= 3.0-1)\\nSHA256: {0}\\n\\n\
         Package: libssl3\\nVersion: 3.0-1\\nSection: libs\\nDepends: libc6\\nSHA256: {0}\\n\\n",
        digest(b"deb\n").trim_start_matches("sha256:")
    );
    let [_, architecture, _] = NATIVE;
    let get = format!(
        "echo \"$@\" >> \"$0.log\"\nroot=$(dirname \"$2\")\ncase \"$*\" in\n\
         *update) {update}\ntouch \"$root/lists/mirror_binary-{architecture}_Packages\" ;;\n*download*) {download} ;;\nesac"
    );
    Fakes::new()
        .program("apt-get", &get)
        .program(
            "apt-cache",
            &format!("case \"$*\" in *libssl-dev*|*libssl3*) printf '{record}' ;; *) exit 100 ;; esac"),
        )
        .program("dpkg-deb", "mkdir -p \"$3/usr/include/openssl\"")
}

/// Prepares a run of `build` with a separate cache directory.
pub fn build(project: &Project, apt: &Fakes, args: &[&str]) -> Run {
    project.run(&[&["build", "-v"], args].concat()).path_first(apt).env("XDG_CACHE_HOME", apt.path().join("cache"))
}

#[test]
fn sysroot_packages_are_rejected_for_other_platforms() {
    snapshot!(
        [
            "platforms = ['linux/arm64']\nsysroot-packages = ['libssl-dev']",
            "libc = 'gnu'\nbase = 'x'\nplatforms = ['linux/arm/v6']\nsysroot-packages = ['libssl-dev']",
            "libc = 'gnu'\nbase = 'x'\nsysroot-packages = ['libssl-dev:arm64']",
            "libc = 'gnu'\nbase = 'x'\nsysroot-packages = ['-oDir::Etc=/x']",
        ]
        .map(|config| Project::with_config(config).run(&["plan"]).fails(3).finish())
    );
}

#[test]
fn copied_libraries_need_packages_and_a_base() {
    const GNU: &str = "platforms = ['linux/arm64']\nlibc = 'gnu'\ncopy-libraries = true\n";
    let packages = format!("{GNU}sysroot-packages = ['libssl-dev']\n");
    let seen = [
        (format!("{GNU}base = 'x'"), &["plan"][..]),
        (format!("{packages}base = 'scratch'"), &["plan"]),
        (format!("{packages}base = 'x'"), &["publish", "--artifacts", "dist"]),
    ]
    .map(|(config, args)| Project::with_config(&config).run(args).fails(3).finish());
    let template = "FROM {{ base }} AS {{ stage }}\n{% include \"config\" %}\nCOPY linux/arm64/app /usr/local/bin/\n";
    let own = Project::with_config(&format!("{packages}base = 'x'\ntemplate = 't.j2'")).file("t.j2", template);
    snapshot!(seen, own.run(&["plan"]).fails(3).finish());
    let project = Project::with_config(&format!("{packages}base = 'x'"));
    let dockerfile = project.run(&["dockerfile"]).finish().stdout;
    assert!(dockerfile.contains("COPY [\"linux/arm64/libraries\",\"/usr/lib/aarch64-linux-gnu/\"]"), "{dockerfile}");
}

#[test]
fn plan_shows_sysroot_packages() {
    let tools = apt("", "").program("aarch64-linux-gnu-gcc", "exit 1");
    let config = "libc = 'gnu'\nbase = 'x'\nplatforms = ['linux/amd64', 'linux/arm64']\nlinker = 'gcc'\n\
        [platform.'linux/amd64']\nlinker = 'host'\n[platform.'linux/arm64']\nsysroot-packages = ['zlib1g-dev', 'libssl-dev']";
    let project = Project::with_config(config);
    let plan = project.run(&["plan", "-v"]).path_first(&tools).finish();
    assert!(plan.stdout.contains("\n  aarch64-unknown-linux-gnu  libssl-dev, zlib1g-dev\n"), "{plan}");
    let dir = project.path().canonicalize().unwrap().join("target/multiarch/+sysroot/aarch64-unknown-linux-gnu");
    let dir = dir.display();
    assert_eq!(tools.log("apt-get"), "", "plan must not run apt-get");
    let plan = plan.stderr_has(&[
        &format!("AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_DIR={dir}/usr "),
        &format!("PKG_CONFIG_SYSROOT_DIR_aarch64_unknown_linux_gnu={dir} "),
        &format!("\"-Lnative={dir}/usr/lib/aarch64-linux-gnu\""),
    ]);
    plan.stderr_lacks("X86_64_UNKNOWN_LINUX_GNU_OPENSSL");

    let own = project.run(&["plan", "-v"]).path_first(&tools).env("AARCH64_UNKNOWN_LINUX_GNU_OPENSSL_DIR", "/mine");
    own.finish().stderr_lacks("OPENSSL_DIR=");
    let project = project.file(".cargo/config.toml", "[env]\nAARCH64_UNKNOWN_LINUX_GNU_OPENSSL_DIR = '/mine'\n");
    project.run(&["plan", "-v"]).path_first(&tools).finish().stderr_lacks("OPENSSL_DIR=");
}

#[test]
fn sysroot_packages_need_apt() {
    let tools = Fakes::new().real("cargo").real("rustc").real("git").real("sh").program("apt-get", "exit 1");
    snapshot!(without_platform(&project().run(&["plan"]).path_only(&tools).fails(4).finish()));
}

#[test]
fn apt_errors_are_reported() {
    let no_network = "echo 'E: Failed to fetch x  Could not resolve the host' >&2; exit 100";
    let mismatch = "echo 'E: Failed to fetch y  Hash Sum mismatch' >&2; exit 100";
    let seen = [
        (no_network, "", true),
        ("exit 0", "", true),
        ("", "", true),
        ("", mismatch, false),
        ("", "echo other > a.deb", false),
    ]
    .map(|(update, download, unknown)| {
        let tools = apt(update, download);
        let tools = if unknown { tools.program("apt-cache", "exit 100") } else { tools };
        let project = project();
        let finished = build(&project, &tools, &[]).fails(4).finish();
        let left = std::fs::read_dir(project.path().join("target/multiarch/+sysroot")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "no incomplete sysroot may be left behind");
        errors(finished)
    });
    let tools = apt("", "echo deb > a.deb").program("dpkg-deb", "echo 'no space left' >&2; exit 2");
    let unpacked = build(&project(), &tools, &[]).fails(4).finish();
    let offline = build(&project(), &apt("exit 1", "exit 1"), &["--offline"]).fails(4).finish();
    snapshot!(seen, errors(unpacked), errors(offline));
}

#[test]
fn ctrl_c_stops_apt() {
    let tools = apt("echo x > \"$0.started\"; sleep 60", "");
    let project = project();
    let (mut command, _dirs) = build(&project, &tools, &[]).into_command();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
    let start = Instant::now();
    while !tools.path().join("apt-get.started").exists() {
        assert!(start.elapsed() < Duration::from_secs(30), "apt-get was not run");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(start.elapsed() < Duration::from_secs(30));
}

/// A Debian archive with libssl-dev, and a change to one of its responses.
fn mirror(change: impl Fn(&str) -> Option<(u16, Vec<u8>)> + Send + 'static) -> FakeRegistry {
    let files = archive();
    FakeRegistry::start(move |request| {
        let found = || files.get(&request.path).map_or((404, Vec::new()), |content| (200, content.clone()));
        let (status, content) = change(&request.path).unwrap_or_else(found);
        (status, Vec::new(), content)
    })
}

/// Returns the files of an archive with the suite `trixie`, by path.
fn archive() -> BTreeMap<String, Vec<u8>> {
    let [_, architecture, _] = NATIVE;
    let sha256 = |content: &[u8]| digest(content).trim_start_matches("sha256:").to_owned();
    let deb = deb();
    let packages = format!(
        "Package: libssl-dev\nVersion: 3.0-1\nSection: libdevel\nFilename: pool/ssl.deb\nSHA256: {}\n",
        sha256(&deb)
    );
    let packages = gzip(packages.as_bytes());
    let release = format!(
        "Suite: stable\nCodename: trixie\nAcquire-By-Hash: yes\nSHA256:\n {} {} main/binary-{architecture}/Packages.gz\n",
        sha256(&packages),
        packages.len()
    );
    let by_hash = format!("/debian/dists/trixie/main/binary-{architecture}/by-hash/SHA256/{}", sha256(&packages));
    BTreeMap::from([
        ("/debian/dists/trixie/InRelease".to_owned(), signed(&release)),
        (by_hash, packages),
        ("/debian/pool/ssl.deb".to_owned(), deb),
    ])
}

/// Returns a file with a cleartext signature, which the fake gpgv accepts or rejects.
fn signed(text: &str) -> Vec<u8> {
    let signature = "-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n";
    format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{text}{signature}").into_bytes()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Returns a Debian package: an `ar` archive (deb(5)).
fn deb() -> Vec<u8> {
    let header = Entry::File(b"header\n", 0o644);
    let data = gzip(&tar_of(&[("./usr/include/openssl/ssl.h", header)]));
    let mut deb = b"!<arch>\n".to_vec();
    for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("data.tar.gz", &data)] {
        deb.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len()).bytes());
        deb.extend(content);
        deb.extend(if content.len() % 2 == 1 { &b"\n"[..] } else { &[] });
    }
    deb
}

/// Programs for a machine without apt. `gpgv` is the script that verifies signatures.
fn without_apt(gpgv: &str) -> Fakes {
    let tools = ["cargo", "rustc", "git", "sh", "cc", "ld", "as"].into_iter().fold(Fakes::new(), Fakes::real);
    tools.program("gpgv", gpgv)
}

const GOOD: &str = "echo '[GNUPG:] GOODSIG 1 Debian'; echo '[GNUPG:] VALIDSIG 1 2026-01-01 1 0 4 0 1 10 00 1'";

/// Prepares a run on a machine without apt that fetches packages from a mirror.
fn compile_with_mirror(project: &Project, tools: &Fakes, mirror: &FakeRegistry, args: &[&str]) -> Run {
    let url = format!("http://{}/debian trixie", mirror.host);
    let args = [&["compile", "--out", "dist"], args].concat();
    let run = project.run(&args).path_only(tools).env("XDG_CACHE_HOME", tools.path().join("cache"));
    run.env("MULTIARCH_DEBIAN_MIRROR", url).env("MULTIARCH_TEST_OS_RELEASE", "ID=alpine")
}

#[test]
fn packages_are_fetched_without_apt() {
    let [platform, _, triple] = NATIVE;
    let (project, tools, mirror) = (project(), without_apt(GOOD), mirror(|_| None));
    let compile = |args: &[&str]| compile_with_mirror(&project, &tools, &mirror, args).finish();
    compile(&[]).stderr_has(&[&format!("Fetched libssl-dev 3.0-1 for {platform}")]);
    let dir = project.path().join("target/multiarch/+sysroot").join(triple);
    assert_eq!(std::fs::read_to_string(dir.join("usr/include/openssl/ssl.h")).unwrap(), "header\n");
    assert_eq!(mirror.requests().len(), 3);
    // The cache is enough to create the sysroot again.
    std::fs::remove_dir_all(&dir).unwrap();
    compile(&["--offline"]).stderr_has(&["Fetched libssl-dev"]);
    assert_eq!(mirror.requests().len(), 3);
    // A mirror is used even if apt is installed.
    let with_apt = apt("", "").program("gpgv", GOOD);
    std::fs::remove_dir_all(&dir).unwrap();
    let url = format!("http://{}/debian trixie", mirror.host);
    let run = build(&project, &with_apt, &["--debian-mirror", &url]);
    run.fails(8).finish().stderr_has(&["Fetched libssl-dev"]);
    assert_eq!(with_apt.log("apt-get"), "");
}

#[test]
fn files_of_a_mirror_are_verified() {
    let bad = "echo '[GNUPG:] BADSIG 1 Debian'; echo 'gpgv: BAD signature from \"Debian\"' >&2; exit 1";
    let unknown = "echo '[GNUPG:] NO_PUBKEY 1'; echo 'gpgv: Can'\\''t check signature: No public key' >&2; exit 2";
    let release = |fields: &'static str| move |path: &str| path.ends_with("/InRelease").then(|| (200, signed(fields)));
    let run = |gpgv: &str, mirror: FakeRegistry, args: &[&str]| {
        let project = project();
        let run = compile_with_mirror(&project, &without_apt(gpgv), &mirror, args);
        let finished = run.env("MULTIARCH_DEBIAN_KEYRING", "Cargo.toml").fails(4).finish();
        assert!(!project.path().join("target/multiarch/+sysroot").join(NATIVE[2]).exists());
        errors(finished)
            .replace(&mirror.host, "[mirror]")
            .replace(&format!("binary-{}", NATIVE[1]), "binary-[architecture]")
    };
    let replaced = |name: &'static str| mirror(move |path| path.contains(name).then(|| (200, b"other".to_vec())));
    snapshot!(
        run(bad, mirror(|_| None), &[]),
        run(unknown, mirror(|_| None), &[]),
        run(GOOD, mirror(release("Suite: stable\nCodename: forky\n")), &[]),
        run(GOOD, mirror(release("Codename: trixie\nValid-Until: Thu, 01 Jan 2026 00:00:00 UTC\n")), &[]),
        run(GOOD, mirror(release("Codename: trixie\n")), &[]),
        run(GOOD, replaced("/InRelease"), &[]),
        run(GOOD, mirror(|_| Some((404, Vec::new()))), &[]),
        run(GOOD, mirror(|_| Some((403, Vec::new()))), &[]),
        run(GOOD, replaced("by-hash"), &[]),
        run(GOOD, replaced("/pool/"), &[]),
        run(GOOD, mirror(|_| None), &["--offline"]),
    );
}

#[test]
fn missing_mirror_or_verifier_is_reported() {
    let tools = without_apt(GOOD);
    let seen = ["ID=alpine", "ID=fedora", "ID=debian", "macos"].map(|os| {
        let run = project().run(&["plan"]).path_only(&tools).env("MULTIARCH_TEST_OS_RELEASE", os);
        without_platform(&run.fails(4).finish())
    });
    let none = ["cargo", "rustc", "git", "sh"].into_iter().fold(Fakes::new(), Fakes::real);
    let without_verifier = ["ID=alpine", "ID=fedora", "macos"].map(|os| {
        let run = project().run(&["plan", "--debian-mirror", "https://mirror.example/debian trixie"]);
        without_platform(&run.path_only(&none).env("MULTIARCH_TEST_OS_RELEASE", os).fails(4).finish())
    });
    let invalid = ["trixie", "https://mirror.example/debian"]
        .map(|mirror| without_platform(&project().run(&["plan", "--debian-mirror", mirror]).fails(3).finish()));
    snapshot!(seen, without_verifier, invalid);
}
