//! Can a program be loaded where it is? Its machine, its interpreter, and every library that it leads to with the
//! versions that are wanted of it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::dynamic_loader::{Found, Interpreter, Loader, Misfit, Object};
use super::exec_context::{EXECUTE, ExecContext, describe};
use crate::elf::{Elf, parse_version};
use crate::finding::{
    CPU_LEVEL, Finding, LIBRARY_MACHINE, LIBRARY_MISSING, LOADER_MISSING, LOADER_UNUSABLE, MIXED_LIBCS, NOT_EXECUTABLE,
    VERSION_MISSING, WRONG_FLOAT_ABI, WRONG_MACHINE,
};
use crate::oci::rootfs::{Content, File, parent};
use crate::platform::{FloatAbi, Libc};

/// What a program is and needs.
#[derive(Debug, Default)]
pub struct Loaded {
    /// `static`, `glibc 2.36`, `musl`: the C library that it finds in the image.
    pub libc: Option<String>,
    /// It asks for a loader or for libraries.
    pub is_dynamic: bool,
    /// The libraries that it leads to, by the names that are asked for, whether they are there or not.
    pub libraries: BTreeSet<String>,
    pub findings: Vec<Finding>,
}

/// More libraries than any program has.
const MOST_LIBRARIES: usize = 2000;

/// Checks the program at a real path.
pub fn check(root: &ExecContext<'_>, path: &str) -> Loaded {
    let mut loaded = Loaded::default();
    let Some((_, File { content: Content::Program(program), attributes, .. })) = root.file(path) else { return loaded };
    let Some(elf) = &program.elf else { return loaded };
    loaded.is_dynamic = elf.interpreter.is_some() || !elf.needed.is_empty();
    loaded.libraries.extend(elf.needed.iter().cloned());
    let shown = format!("/{path}");
    let wanted = root.platform.elf_identity();
    if !elf.identity.same_machine(&wanted) {
        let reason = format!("is for {}, wanted {wanted}", elf.identity);
        let fix = format!(
            "put the {} binary there: is it the target folder, or the base, of another platform?",
            root.platform
        );
        loaded.findings.push(WRONG_MACHINE.finding(reason, fix).in_file(shown));
        return loaded;
    }
    loaded.findings.extend(level(root, elf, &shown).or_else(|| float_abi(root, elf, &shown)));
    match &elf.interpreter {
        None => loaded.libc = Some("static".to_owned()),
        Some(asked) => match interpreter(root, asked, elf, &shown) {
            Ok(interpreter) => {
                let interpreter = Interpreter { secure: root.gains_rights(attributes), ..interpreter };
                libraries(root, path, elf, &interpreter, &mut loaded);
            }
            Err(finding) => loaded.findings.push(*finding),
        },
    }
    loaded
}

/// What its processor must have and the platform's need not.
fn level(root: &ExecContext<'_>, elf: &Elf, shown: &str) -> Option<Finding> {
    let (platform, family) = (root.platform, if root.platform.architecture() == "amd64" { "x86-64-v" } else { "ARMv" });
    if let (Some(needs), Some(has)) = (elf.cpu_level, platform.cpu_level())
        && needs > has
    {
        let reason = format!("needs {family}{needs}, and {platform} promises {family}{has} only");
        let fix = match platform.architecture() {
            "amd64" => format!("compile it without `-C target-cpu`, or publish it as linux/amd64/v{needs}"),
            _ => format!("compile it for {}, and link nothing that is for ARMv{needs}", platform.triple(Libc::Musl)),
        };
        return Some(CPU_LEVEL.finding(reason, fix).in_file(shown));
    }
    None
}

/// A platform without floating-point registers passes nothing in them.
fn float_abi(root: &ExecContext<'_>, elf: &Elf, shown: &str) -> Option<Finding> {
    let platform = root.platform;
    let hard =
        elf.identity.float_abi == Some(FloatAbi::Hard) && platform.elf_identity().float_abi == Some(FloatAbi::Soft);
    hard.then(|| {
        WRONG_FLOAT_ABI
            .finding(
                format!("has the hard float ABI, and {platform} the soft one"),
                format!("compile it for {}", platform.triple(Libc::Musl)),
            )
            .in_file(shown)
    })
}

fn interpreter<'a>(
    root: &ExecContext<'a>,
    asked: &str,
    elf: &Elf,
    shown: &str,
) -> Result<Interpreter<'a>, Box<Finding>> {
    let asked_from_root = root.absolute(asked);
    let Some((path, file)) = root.file(&asked_from_root) else {
        let musl = asked.contains("ld-musl");
        let reason = format!("needs {asked}, which is not in the image");
        let fix = match (musl, elf.needed_glibc()) {
            (true, _) => "it is linked dynamically against musl: take a base that has it, such as alpine:3, or link it statically".to_owned(),
            (false, Some(glibc)) => format!(
                "it is linked against glibc {glibc}: take a base that has that, such as {}, or link it statically: libc = \"musl\"",
                base_with(&glibc)
            ),
            (false, None) => "take a base that has it, or link it statically: libc = \"musl\"".to_owned(),
        };
        return Err(Box::new(LOADER_MISSING.finding(reason, fix).in_file(shown)));
    };
    let unusable = |reason: String| {
        let fix = "take the base's own, or a base of this platform";
        Err(Box::new(LOADER_UNUSABLE.finding(format!("needs {asked}, and that {reason}"), fix).in_file(shown)))
    };
    let Content::Program(program) = &file.content else { return unusable("is no ELF file".to_owned()) };
    let Some(found) = &program.elf else { return unusable("is an ELF file that ends early".to_owned()) };
    if let Some(folder) = root.closed_folder(&asked_from_root) {
        return Err(Box::new(root.closed(&folder, &format!("/{path}"))));
    }
    match () {
        () if !found.is_complete => unusable("is an ELF file that ends early".to_owned()),
        () if !found.identity.same_machine(&elf.identity) => unusable(format!("is for {}", found.identity)),
        () if !found.executable => unusable("is no program".to_owned()),
        () if !root.may(&file.attributes, EXECUTE) => {
            let reason = format!(
                "may not be executed by {}, and is what starts {shown}: its mode is {}",
                root.who(),
                describe(&file.attributes)
            );
            Err(Box::new(
                NOT_EXECUTABLE.finding(reason, "copy it with its mode: `--chmod=0755`").in_file(format!("/{path}")),
            ))
        }
        () => Ok(Interpreter { asked: asked.to_owned(), path, elf: found, secure: false }),
    }
}

/// Loads all libraries as the loader would, and compares what is wanted of them with what they offer.
fn libraries<'a>(root: &ExecContext<'a>, path: &str, elf: &'a Elf, interpreter: &Interpreter<'a>, loaded: &mut Loaded) {
    let loader = Loader::of(&interpreter.path, interpreter.elf);
    if loader == Loader::Other {
        return;
    }
    let origin = format!("/{}", parent(path));
    let mut objects = vec![Object { path: path.to_owned(), origin, elf, name: path.to_owned(), by: None }];
    let preloaded = root.variable("LD_PRELOAD").filter(|_| !interpreter.secure).unwrap_or_default();
    for name in preloaded.split([' ', ':']).filter(|name| !name.is_empty()) {
        // What is not found is left out.
        if let Found::Library { path, origin, program } = loader.find(root, &objects, 0, name, interpreter)
            && let Some(elf) = &program.elf
        {
            objects.push(Object { path, origin, elf, name: name.to_owned(), by: Some(0) });
        }
    }
    let mut at = 0;
    while at < objects.len() && objects.len() < MOST_LIBRARIES {
        loaded.libraries.extend(objects[at].elf.needed.iter().cloned());
        for name in &objects[at].elf.needed {
            let is_loaded = |object: &Object<'_>| object.name == *name || object.elf.soname.as_ref() == Some(name);
            if loader.has(name, interpreter.elf) || objects.iter().skip(1).any(is_loaded) {
                continue;
            }
            match loader.find(root, &objects, at, name, interpreter) {
                Found::Library { path, origin, program } => {
                    let Some(elf) = &program.elf else { continue };
                    // The same file under another name is loaded once.
                    if objects.iter().all(|object| object.path != path) {
                        objects.push(Object { path, origin, elf, name: name.clone(), by: Some(at) });
                    }
                }
                Found::Nothing { misfit } => loaded.findings.push(not_found(root, &objects[at], name, misfit, loader)),
            }
        }
        at += 1;
    }
    loaded.findings.extend(other_float_abi(path, elf, &interpreter.path, interpreter.elf));
    for object in &objects {
        loaded.findings.extend(other_float_abi(path, elf, &object.path, object.elf));
        if object.path != path {
            loaded.findings.extend(level(root, object.elf, &format!("/{}", object.path)));
        }
        if loader == Loader::Glibc {
            loaded.findings.extend(versions(object, &objects, interpreter));
        }
        loaded.findings.extend(mixed(object, loader));
    }
    loaded.libraries.extend(objects.iter().skip(1).map(|object| object.name.clone()));
    loaded.libc = match loader {
        Loader::Musl => Some("musl".to_owned()),
        _ => objects
            .iter()
            .filter_map(|object| object.elf.defined_glibc())
            .max_by_key(|version| parse_version(version))
            .map(|version| format!("glibc {version}")),
    };
}

/// A program and what is loaded with it pass floating-point numbers in the same places.
fn other_float_abi(program: &str, elf: &Elf, path: &str, other: &Elf) -> Option<Finding> {
    let (of_program, of_other) = (elf.identity.float_abi?, other.identity.float_abi?);
    let reason = format!("has the {of_other} float ABI, and /{program}, which loads it, the {of_program} one");
    let fix = "take both from one place: a base of this platform, and a binary for its triple";
    (of_program != of_other).then(|| WRONG_FLOAT_ABI.finding(reason, fix).in_file(format!("/{path}")))
}

fn not_found(
    root: &ExecContext<'_>,
    object: &Object<'_>,
    name: &str,
    misfit: Option<Misfit>,
    loader: Loader,
) -> Finding {
    let by = format!("/{}", object.path);
    let elsewhere =
        root.tree.below("").find(|(path, _)| path.rsplit('/').next() == Some(name)).map(|(path, _)| path.to_owned());
    match misfit {
        Some(Misfit { path, reason, other_machine: true }) => LIBRARY_MACHINE
            .finding(format!("needs {name}, and for {path} that is there: {reason}"), "copy the one of this platform")
            .in_file(by),
        Some(Misfit { path, reason, .. }) => LIBRARY_MISSING
            .finding(
                format!("needs {name}, and of {path} that is there: {reason}"),
                "copy the library itself, readable for all",
            )
            .in_file(by),
        None => {
            let reason = match &elsewhere {
                Some(path) => format!("needs {name}, and does not look where it is: /{path}"),
                None => format!("needs {name}, which is not in the image"),
            };
            let fix = match (name, &elsewhere, loader) {
                (_, Some(path), Loader::Glibc) => format!(
                    "let it look there: a `RUN ldconfig` where /etc/ld.so.conf names the folder, or LD_LIBRARY_PATH=/{} in env",
                    parent(path)
                ),
                (_, Some(path), _) => format!("let it look there: LD_LIBRARY_PATH=/{} in env", parent(path)),
                ("libgcc_s.so.1", None, Loader::Musl) => "take a base that has it (apk add libgcc), or link statically: target-feature=+crt-static".to_owned(),
                ("libgcc_s.so.1", None, _) => "take a base that has it, such as gcr.io/distroless/cc-debian12, or link it statically: libc = \"musl\"".to_owned(),
                (name, None, _) if name.starts_with("libc.musl") => "it is for musl, and the loader is glibc's: take the library of the base's own libc".to_owned(),
                (name, None, _) if name.starts_with("libssl") || name.starts_with("libcrypto") => "take a base with that OpenSSL, or link it in: the crate's feature `vendored`, or rustls".to_owned(),
                _ => "take a base that has it, copy it into the image, or link it statically".to_owned(),
            };
            LIBRARY_MISSING.finding(reason, fix).in_file(by)
        }
    }
}

/// The versions that an object wants of libraries which do not offer them; of each library the highest.
fn versions(object: &Object<'_>, objects: &[Object<'_>], interpreter: &Interpreter<'_>) -> Vec<Finding> {
    let mut lacking: BTreeMap<&str, (Vec<&str>, String, &Elf)> = BTreeMap::new();
    for want in object.elf.needed_versions.iter().filter(|want| !want.weak) {
        let named =
            |other: &&Object<'_>| other.name == want.library || other.elf.soname.as_ref() == Some(&want.library);
        let (path, elf) = match objects.iter().skip(1).find(named) {
            Some(library) => (format!("/{}", library.path), library.elf),
            None if interpreter.elf.soname.as_ref() == Some(&want.library) => {
                (interpreter.asked.clone(), interpreter.elf)
            }
            // It is missing as a whole, which is said already.
            None => continue,
        };
        // Of a library without versions the loader takes any symbol.
        if !elf.defined_versions.is_empty() && !elf.defined_versions.contains(&want.version) {
            lacking.entry(&want.library).or_insert_with(|| (Vec::new(), path, elf)).0.push(&want.version);
        }
    }
    let finding = |(library, (mut wanted, path, elf)): (&str, (Vec<&str>, String, &Elf))| {
        wanted.sort_by_key(|version| version.rsplit_once('_').and_then(|(_, number)| parse_version(number)));
        let highest = wanted.last().copied().unwrap_or_default();
        let family = highest.split('_').next().unwrap_or_default();
        let offered = elf.defined_versions.iter().filter(|version| version.split('_').next() == Some(family));
        let offered = offered.filter_map(|version| parse_version(version.rsplit_once('_')?.1)).max();
        let offered = offered.map(|numbers| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join("."));
        let has = match &offered {
            Some(offered) => format!("{path} has {family}_{offered} at most"),
            None => format!("{path} has none of those"),
        };
        let reason = format!("wants {highest} of {library}, and {has}");
        let fix = match (family, highest.split_once('_').map(|(_, number)| number)) {
            ("GLIBC", Some(number)) if parse_version(number).is_some() => format!(
                "link it for the base's glibc: glibc = \"{}\"; or take a base that has {number}: {}",
                offered.unwrap_or_default(),
                base_with(number)
            ),
            _ => "compile it on, or for, what the base has, or take a newer base".to_owned(),
        };
        VERSION_MISSING.finding(reason, fix).in_file(format!("/{}", object.path))
    };
    lacking.into_iter().map(finding).collect()
}

/// Two C libraries in one process.
fn mixed(object: &Object<'_>, loader: Loader) -> Option<Finding> {
    let other = match loader {
        Loader::Musl => {
            object.elf.needed_glibc().map(|version| format!("is made for glibc {version}, and musl's loader loads it"))
        }
        _ => {
            let musl = object.elf.needed.iter().any(|name| name.starts_with("libc.musl") || name == "libc.so");
            musl.then(|| "is made for musl, and glibc's loader loads it".to_owned())
        }
    }?;
    let fix = "take programs and libraries of one libc: the base's";
    Some(MIXED_LIBCS.finding(other, fix).in_file(format!("/{}", object.path)))
}

/// A well-known base that has a version of glibc.
fn base_with(version: &str) -> &'static str {
    const BASES: &[(&str, &str)] = &[
        ("2.28", "debian:buster-slim"),
        ("2.31", "debian:bullseye-slim"),
        ("2.36", "debian:bookworm-slim"),
        ("2.41", "debian:trixie-slim"),
    ];
    let has = |(has, _): &&(&str, &str)| parse_version(version) <= parse_version(has);
    BASES.iter().find(has).map_or("debian:sid-slim", |(_, base)| base)
}
