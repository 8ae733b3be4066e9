//! Checks whether a program can be loaded: its machine, its interpreter, and every library that it needs, with the symbol
//! versions that are needed of it.

use std::collections::{BTreeMap, BTreeSet};

use super::dynamic_loader::{DynamicLoader, ElfInterpreter, LibrarySearch, LoadedObject, UnusableLibrary};
use super::exec_context::{EXECUTE, ExecContext, format_mode};
use crate::elf::{Elf, parse_version};
use crate::finding::{
    CPU_LEVEL, Finding, LIBRARY_MACHINE, LIBRARY_MISSING, LOADER_MISSING, LOADER_UNUSABLE, MIXED_LIBCS, NOT_EXECUTABLE,
    VERSION_MISSING, WRONG_FLOAT_ABI, WRONG_MACHINE,
};
use crate::oci::rootfs::{FileContent, RegularFile, file_name, parent};
use crate::platform::{FloatAbi, Libc};

/// What a program needs to be loaded, and whether the image has it.
#[derive(Debug, Default)]
pub(crate) struct ProgramLinkage {
    /// Real path of the program, without a leading slash.
    pub path: String,
    /// The C library that the program finds in the image: `static`, `glibc 2.36` or `musl`.
    pub libc: Option<String>,
    /// The program needs an interpreter or libraries.
    pub is_dynamic: bool,
    /// The libraries that the program needs, also indirectly, by the requested names, whether they exist or not.
    pub libraries: BTreeSet<String>,
    pub findings: Vec<Finding>,
}

/// More libraries than any program needs.
const MAX_LIBRARIES: usize = 2000;

/// Checks the program at a real path.
pub(crate) fn check(context: &ExecContext<'_>, path: &str) -> ProgramLinkage {
    let mut linkage = ProgramLinkage { path: path.to_owned(), ..ProgramLinkage::default() };
    let Some((_, RegularFile { content: FileContent::Program(program), attributes, .. })) = context.file(path) else {
        return linkage;
    };
    let Some(elf) = &program.elf else { return linkage };
    linkage.is_dynamic = elf.interpreter.is_some() || !elf.needed.is_empty();
    linkage.libraries.extend(elf.needed.iter().cloned());
    let shown_path = format!("/{path}");
    let wanted = context.platform.elf_identity();
    if !elf.identity.same_machine(&wanted) {
        let reason = format!("is for {}, wanted {wanted}", elf.identity);
        let fix = format!(
            "put the {} binary there: is it the target folder, or the base, of another platform?",
            context.platform
        );
        linkage.findings.push(WRONG_MACHINE.finding(reason, fix).in_file(shown_path));
        return linkage;
    }
    let cpu_finding = check_cpu_level(context, elf, &shown_path);
    linkage.findings.extend(cpu_finding.or_else(|| check_float_abi(context, elf, &shown_path)));
    let Some(requested) = &elf.interpreter else {
        linkage.libc = Some("static".to_owned());
        return linkage;
    };
    match find_interpreter(context, requested, elf, &shown_path) {
        Ok(interpreter) => {
            let interpreter = ElfInterpreter { secure_execution: context.gains_privileges(attributes), ..interpreter };
            check_libraries(context, path, elf, &interpreter, &mut linkage);
        }
        Err(finding) => linkage.findings.push(*finding),
    }
    linkage
}

/// Finds a program that needs a newer processor than the platform guarantees.
fn check_cpu_level(context: &ExecContext<'_>, elf: &Elf, shown_path: &str) -> Option<Finding> {
    let platform = context.platform;
    let (needed, guaranteed) = (elf.cpu_level?, platform.cpu_level()?);
    if needed <= guaranteed {
        return None;
    }
    let (family, fix) = if platform.architecture() == "amd64" {
        ("x86-64-v", format!("compile it without `-C target-cpu`, or publish it as linux/amd64/v{needed}"))
    } else {
        let triple = platform.triple(Libc::Musl);
        ("ARMv", format!("compile it for {triple}, and link nothing that is for ARMv{needed}"))
    };
    let reason = format!("needs {family}{needed}, and {platform} promises {family}{guaranteed} only");
    Some(CPU_LEVEL.finding(reason, fix).in_file(shown_path))
}

/// Finds a program that passes numbers in floating-point registers on a platform without them.
fn check_float_abi(context: &ExecContext<'_>, elf: &Elf, shown_path: &str) -> Option<Finding> {
    let platform = context.platform;
    if elf.identity.float_abi != Some(FloatAbi::Hard) || platform.elf_identity().float_abi != Some(FloatAbi::Soft) {
        return None;
    }
    let reason = format!("has the hard float ABI, and {platform} the soft one");
    let fix = format!("compile it for {}", platform.triple(Libc::Musl));
    Some(WRONG_FLOAT_ABI.finding(reason, fix).in_file(shown_path))
}

/// Finds the interpreter of a program, and checks that it can start the program.
fn find_interpreter<'a>(
    context: &ExecContext<'a>,
    requested: &str,
    elf: &Elf,
    shown_path: &str,
) -> Result<ElfInterpreter<'a>, Box<Finding>> {
    let absolute = context.absolute(requested);
    let Some((path, file)) = context.file(&absolute) else {
        return Err(Box::new(missing_interpreter(requested, elf, shown_path)));
    };
    let unusable = |reason: String| {
        let fix = "take the base's own, or a base of this platform";
        Err(Box::new(LOADER_UNUSABLE.finding(format!("needs {requested}, and that {reason}"), fix).in_file(shown_path)))
    };
    let FileContent::Program(program) = &file.content else { return unusable("is no ELF file".to_owned()) };
    let Some(found) = &program.elf else { return unusable("is an ELF file that ends early".to_owned()) };
    if let Some(dir) = context.first_closed_dir(&absolute) {
        return Err(Box::new(context.closed_directory_finding(&dir, &format!("/{path}"))));
    }
    if !found.is_complete {
        return unusable("is an ELF file that ends early".to_owned());
    }
    if !found.identity.same_machine(&elf.identity) {
        return unusable(format!("is for {}", found.identity));
    }
    if !found.executable {
        return unusable("is no program".to_owned());
    }
    if !context.has_permission(&file.attributes, EXECUTE) {
        let reason = format!(
            "may not be executed by {}, and is what starts {shown_path}: its mode is {}",
            context.user_description(),
            format_mode(&file.attributes)
        );
        let finding =
            NOT_EXECUTABLE.finding(reason, "copy it with its mode: `--chmod=0755`").in_file(format!("/{path}"));
        return Err(Box::new(finding));
    }
    Ok(ElfInterpreter { requested: requested.to_owned(), path, elf: found, secure_execution: false })
}

fn missing_interpreter(requested: &str, elf: &Elf, shown_path: &str) -> Finding {
    let fix = match elf.needed_glibc() {
        _ if requested.contains("ld-musl") => {
            "it is linked dynamically against musl: take a base that has it, such as alpine:3, or link it statically"
                .to_owned()
        }
        Some(glibc) => format!(
            "it is linked against glibc {glibc}: take a base that has that, such as {}, or link it statically: libc = \"musl\"",
            base_with(&glibc)
        ),
        None => "take a base that has it, or link it statically: libc = \"musl\"".to_owned(),
    };
    LOADER_MISSING.finding(format!("needs {requested}, which is not in the image"), fix).in_file(shown_path)
}

/// Loads all libraries as the loader would, and checks what the loaded objects need of each other.
fn check_libraries<'a>(
    context: &ExecContext<'a>,
    path: &str,
    elf: &'a Elf,
    interpreter: &ElfInterpreter<'a>,
    linkage: &mut ProgramLinkage,
) {
    let loader = DynamicLoader::identify(&interpreter.path, interpreter.elf);
    if loader == DynamicLoader::Other {
        return;
    }
    let objects = load_objects(context, path, elf, loader, interpreter, linkage);
    let findings = &mut linkage.findings;
    findings.extend(check_same_float_abi(path, elf, &interpreter.path, interpreter.elf));
    for object in &objects {
        findings.extend(check_same_float_abi(path, elf, &object.path, object.elf));
        if object.path != path {
            findings.extend(check_cpu_level(context, object.elf, &format!("/{}", object.path)));
        }
        if loader == DynamicLoader::Glibc {
            findings.extend(check_versions(object, &objects, interpreter));
        }
        findings.extend(check_same_libc(object, loader));
    }
    linkage.libraries.extend(objects.iter().skip(1).map(|object| object.name.clone()));
    linkage.libc = match loader {
        DynamicLoader::Musl => Some("musl".to_owned()),
        _ => {
            let offered = objects.iter().filter_map(|object| object.elf.defined_glibc());
            offered.max_by_key(|version| parse_version(version)).map(|version| format!("glibc {version}"))
        }
    };
}

/// Loads the program, the preloaded libraries and, breadth first, every library that one of them needs.
fn load_objects<'a>(
    context: &ExecContext<'a>,
    path: &str,
    elf: &'a Elf,
    loader: DynamicLoader,
    interpreter: &ElfInterpreter<'a>,
    linkage: &mut ProgramLinkage,
) -> Vec<LoadedObject<'a>> {
    let origin = format!("/{}", parent(path));
    let mut objects = vec![LoadedObject { path: path.to_owned(), origin, elf, name: path.to_owned(), needed_by: None }];
    let preloaded = if interpreter.secure_execution { None } else { context.env_var("LD_PRELOAD") };
    for name in preloaded.unwrap_or_default().split([' ', ':']).filter(|name| !name.is_empty()) {
        // The loader ignores a preloaded library that it does not find.
        if let LibrarySearch::Found { path, origin, program } =
            loader.find_library(context, &objects, 0, name, interpreter)
            && let Some(elf) = &program.elf
        {
            objects.push(LoadedObject { path, origin, elf, name: name.to_owned(), needed_by: Some(0) });
        }
    }
    let mut index = 0;
    while index < objects.len() && objects.len() < MAX_LIBRARIES {
        let needed = &objects[index].elf.needed;
        linkage.libraries.extend(needed.iter().cloned());
        for name in needed {
            if loader.provides(name, interpreter.elf) || objects.iter().skip(1).any(|object| object.has_name(name)) {
                continue;
            }
            match loader.find_library(context, &objects, index, name, interpreter) {
                LibrarySearch::Found { path, origin, program } => {
                    let Some(elf) = &program.elf else { continue };
                    // A file that is found by another name as well is loaded once.
                    if objects.iter().all(|object| object.path != path) {
                        objects.push(LoadedObject { path, origin, elf, name: name.clone(), needed_by: Some(index) });
                    }
                }
                LibrarySearch::NotFound { unusable } => {
                    linkage.findings.push(match unusable {
                        Some(unusable) => unusable_library(&objects[index], name, &unusable),
                        None => missing_library(context, &objects[index], name, loader),
                    });
                }
            }
        }
        index += 1;
    }
    objects
}

/// Finds a program and a loaded object that pass floating-point numbers in different places.
fn check_same_float_abi(program: &str, program_elf: &Elf, object: &str, object_elf: &Elf) -> Option<Finding> {
    let (program_abi, object_abi) = (program_elf.identity.float_abi?, object_elf.identity.float_abi?);
    if program_abi == object_abi {
        return None;
    }
    let reason = format!("has the {object_abi} float ABI, and /{program}, which loads it, the {program_abi} one");
    let fix = "take both from one place: a base of this platform, and a binary for its triple";
    Some(WRONG_FLOAT_ABI.finding(reason, fix).in_file(format!("/{object}")))
}

fn unusable_library(needed_by: &LoadedObject<'_>, name: &str, unusable: &UnusableLibrary) -> Finding {
    let UnusableLibrary { path, reason, is_for_other_machine } = unusable;
    let finding = if *is_for_other_machine {
        LIBRARY_MACHINE
            .finding(format!("needs {name}, and for {path} that is there: {reason}"), "copy the one of this platform")
    } else {
        let fix = "copy the library itself, readable for all";
        LIBRARY_MISSING.finding(format!("needs {name}, and of {path} that is there: {reason}"), fix)
    };
    finding.in_file(format!("/{}", needed_by.path))
}

fn missing_library(
    context: &ExecContext<'_>,
    needed_by: &LoadedObject<'_>,
    name: &str,
    loader: DynamicLoader,
) -> Finding {
    let mut paths = context.root.with_prefix("").map(|(path, _)| path);
    let (reason, fix) = match paths.find(|path| file_name(path) == name) {
        Some(elsewhere) => {
            let dir = parent(elsewhere);
            let fix = match loader {
                DynamicLoader::Glibc => format!(
                    "let it look there: a `RUN ldconfig` where /etc/ld.so.conf names the folder, or LD_LIBRARY_PATH=/{dir} in env"
                ),
                _ => format!("let it look there: LD_LIBRARY_PATH=/{dir} in env"),
            };
            (format!("needs {name}, and does not look where it is: /{elsewhere}"), fix)
        }
        None => (format!("needs {name}, which is not in the image"), missing_library_fix(name, loader).to_owned()),
    };
    LIBRARY_MISSING.finding(reason, fix).in_file(format!("/{}", needed_by.path))
}

fn missing_library_fix(name: &str, loader: DynamicLoader) -> &'static str {
    match (name, loader) {
        ("libgcc_s.so.1", DynamicLoader::Musl) => {
            "take a base that has it (apk add libgcc), or link statically: target-feature=+crt-static"
        }
        ("libgcc_s.so.1", _) => {
            "take a base that has it, such as gcr.io/distroless/cc-debian12, or link it statically: libc = \"musl\""
        }
        (name, _) if name.starts_with("libc.musl") => {
            "it is for musl, and the loader is glibc's: take the library of the base's own libc"
        }
        (name, _) if name.starts_with("libssl") || name.starts_with("libcrypto") => {
            "take a base with that OpenSSL, or link it in: the crate's feature `vendored`, or rustls"
        }
        _ => "take a base that has it, copy it into the image, or link it statically",
    }
}

/// Symbol versions that a library does not offer.
struct MissingVersions<'a> {
    versions: Vec<&'a str>,
    /// The library's path, as it is shown.
    path: String,
    elf: &'a Elf,
}

/// Checks that libraries offer the symbol versions that an object needs. Returns a finding per library, with the highest
/// missing version.
fn check_versions(
    object: &LoadedObject<'_>,
    objects: &[LoadedObject<'_>],
    interpreter: &ElfInterpreter<'_>,
) -> Vec<Finding> {
    let mut missing: BTreeMap<&str, MissingVersions<'_>> = BTreeMap::new();
    for want in object.elf.needed_versions.iter().filter(|want| !want.weak) {
        let (path, elf) = match objects.iter().skip(1).find(|other| other.has_name(&want.library)) {
            Some(library) => (format!("/{}", library.path), library.elf),
            None if interpreter.elf.soname.as_ref() == Some(&want.library) => {
                (interpreter.requested.clone(), interpreter.elf)
            }
            // The library itself is missing, which is reported already.
            None => continue,
        };
        // The loader takes any symbol of a library without versions.
        if !elf.defined_versions.is_empty() && !elf.defined_versions.contains(&want.version) {
            let library =
                missing.entry(&want.library).or_insert_with(|| MissingVersions { versions: Vec::new(), path, elf });
            library.versions.push(&want.version);
        }
    }
    missing.into_iter().map(|(library, missing)| missing_versions_finding(object, library, missing)).collect()
}

fn missing_versions_finding(object: &LoadedObject<'_>, library: &str, missing: MissingVersions<'_>) -> Finding {
    let MissingVersions { mut versions, path, elf } = missing;
    versions.sort_by_key(|version| version.rsplit_once('_').and_then(|(_, number)| parse_version(number)));
    let highest = versions.last().copied().unwrap_or_default();
    let (family, number) = match highest.split_once('_') {
        Some((family, number)) => (family, Some(number)),
        None => (highest, None),
    };
    let offered = elf.defined_versions.iter().filter(|version| version.split('_').next() == Some(family));
    let offered = offered.filter_map(|version| parse_version(version.rsplit_once('_')?.1)).max();
    let offered = offered.map(|numbers| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join("."));
    let reason = match &offered {
        Some(offered) => format!("wants {highest} of {library}, and {path} has {family}_{offered} at most"),
        None => format!("wants {highest} of {library}, and {path} has none of those"),
    };
    let fix = match number {
        Some(number) if family == "GLIBC" && parse_version(number).is_some() => format!(
            "link it for the base's glibc: glibc = \"{}\"; or take a base that has {number}: {}",
            offered.unwrap_or_default(),
            base_with(number)
        ),
        _ => "compile it on, or for, what the base has, or take a newer base".to_owned(),
    };
    VERSION_MISSING.finding(reason, fix).in_file(format!("/{}", object.path))
}

/// Finds an object that is linked against another C library than the loader's.
fn check_same_libc(object: &LoadedObject<'_>, loader: DynamicLoader) -> Option<Finding> {
    let reason = if loader == DynamicLoader::Musl {
        format!("is made for glibc {}, and musl's loader loads it", object.elf.needed_glibc()?)
    } else if object.elf.needed.iter().any(|name| name.starts_with("libc.musl") || name == "libc.so") {
        "is made for musl, and glibc's loader loads it".to_owned()
    } else {
        return None;
    };
    let fix = "take programs and libraries of one libc: the base's";
    Some(MIXED_LIBCS.finding(reason, fix).in_file(format!("/{}", object.path)))
}

/// Returns a well-known base image that has a version of glibc.
fn base_with(version: &str) -> &'static str {
    const BASES: &[(&str, &str)] = &[
        ("2.28", "debian:buster-slim"),
        ("2.31", "debian:bullseye-slim"),
        ("2.36", "debian:bookworm-slim"),
        ("2.41", "debian:trixie-slim"),
    ];
    for (glibc, base) in BASES {
        if parse_version(version) <= parse_version(glibc) {
            return base;
        }
    }
    "debian:sid-slim"
}
