//! Checks that a program can be loaded: its architecture, its dynamic loader, and all the libraries and symbol versions
//! that it needs.

use std::collections::{BTreeMap, BTreeSet};

use super::dynamic_loader::{DynamicLoader, ElfInterpreter, LibrarySearch, LoadedObject, UnusableLibrary};
use super::exec_context::{EXECUTE, ExecContext, format_mode};
use crate::elf::{Elf, parse_version};
use crate::finding::{
    CPU_LEVEL, Finding, LIBRARY_MACHINE, LIBRARY_MISSING, LOADER_MISSING, LOADER_UNUSABLE, MIXED_LIBCS, NOT_EXECUTABLE,
    VERSION_MISSING, WRONG_FLOAT_ABI, WRONG_MACHINE,
};
use crate::oci::rootfs::{FileContent, file_name, parent};
use crate::platform::{FloatAbi, Libc};

/// The libraries that a program needs, and the findings about them.
#[derive(Debug, Default)]
pub(crate) struct ProgramLinkage {
    /// Real path of the program in the image, without a leading slash.
    pub path: String,
    /// C library that the program loads from the image: `musl`, or a version such as `glibc 2.36`. `static` if it loads
    /// none.
    pub libc: Option<String>,
    /// Whether the program needs a dynamic loader or shared libraries.
    pub is_dynamic: bool,
    /// Names of all libraries that the program needs, directly or indirectly, including missing ones.
    pub libraries: BTreeSet<String>,
    pub findings: Vec<Finding>,
}

/// Maximum number of files to load for a program.
const MAX_LIBRARIES: usize = 2000;

/// Checks the program at `path`, a real path in the image.
pub(crate) fn check(context: &ExecContext<'_>, path: &str) -> ProgramLinkage {
    let mut linkage = ProgramLinkage { path: path.to_owned(), ..ProgramLinkage::default() };
    let Some((_, file)) = context.file(path) else { return linkage };
    let FileContent::Program(program) = &file.content else { return linkage };
    let Some(elf) = &program.elf else { return linkage };
    linkage.is_dynamic = elf.interpreter.is_some() || !elf.needed.is_empty();
    linkage.libraries.extend(elf.needed.iter().cloned());
    let shown_path = format!("/{path}");
    let expected = context.platform.elf_identity();
    if !elf.identity.same_machine(&expected) {
        let reason = format!("is built for {}, expected {expected}", elf.identity);
        let fix = format!(
            "copy the binary for {}: the target directory or the base may be for another platform",
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
            let interpreter = ElfInterpreter { secure_execution: context.gains_privileges(file), ..interpreter };
            check_libraries(context, path, elf, &interpreter, &mut linkage);
        }
        Err(finding) => linkage.findings.push(*finding),
    }
    linkage
}

/// Returns a finding if a file needs a newer processor than the platform guarantees.
fn check_cpu_level(context: &ExecContext<'_>, elf: &Elf, shown_path: &str) -> Option<Finding> {
    let platform = context.platform;
    let (needed, guaranteed) = (elf.cpu_level?, platform.cpu_level()?);
    if needed <= guaranteed {
        return None;
    }
    let (family, fix) = if platform.architecture() == "amd64" {
        ("x86-64-v", format!("compile without `-C target-cpu`, or publish the image for linux/amd64/v{needed}"))
    } else {
        let triple = platform.triple(Libc::Musl);
        ("ARMv", format!("compile for {triple}, and do not link objects built for ARMv{needed}"))
    };
    let reason = format!("needs {family}{needed}, but {platform} guarantees only {family}{guaranteed}");
    Some(CPU_LEVEL.finding(reason, fix).in_file(shown_path))
}

/// Returns a finding if a program uses the hard-float ABI on a soft-float platform.
fn check_float_abi(context: &ExecContext<'_>, elf: &Elf, shown_path: &str) -> Option<Finding> {
    let platform = context.platform;
    if elf.identity.float_abi != Some(FloatAbi::Hard) || platform.elf_identity().float_abi != Some(FloatAbi::Soft) {
        return None;
    }
    let reason = format!("uses the hard-float ABI, but {platform} uses the soft-float ABI");
    let fix = format!("compile for {}", platform.triple(Libc::Musl));
    Some(WRONG_FLOAT_ABI.finding(reason, fix).in_file(shown_path))
}

/// Finds a program's dynamic loader, and checks that it can start the program.
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
        let fix = "use a base for this platform, and do not replace its loader";
        let reason = format!("needs the loader {requested}, which {reason}");
        Err(Box::new(LOADER_UNUSABLE.finding(reason, fix).in_file(shown_path)))
    };
    let FileContent::Program(program) = &file.content else { return unusable("is not an ELF file".to_owned()) };
    let Some(found) = &program.elf else { return unusable("is truncated".to_owned()) };
    if let Some(dir) = context.first_closed_dir(&absolute) {
        return Err(Box::new(context.closed_directory_finding(&dir, &format!("/{path}"))));
    }
    if !found.is_complete {
        return unusable("is truncated".to_owned());
    }
    if !found.identity.same_machine(&elf.identity) {
        return unusable(format!("is built for {}", found.identity));
    }
    if !found.executable {
        return unusable("is not an executable ELF file".to_owned());
    }
    if !context.has_permission(&file.attributes, EXECUTE) {
        let reason = format!(
            "{}, so {} cannot execute it as the loader of {shown_path}",
            format_mode(&file.attributes),
            context.user_description()
        );
        let finding = NOT_EXECUTABLE.finding(reason, "copy the loader with `--chmod=0755`").in_file(format!("/{path}"));
        return Err(Box::new(finding));
    }
    Ok(ElfInterpreter { requested: requested.to_owned(), path, elf: found, secure_execution: false })
}

fn missing_interpreter(requested: &str, elf: &Elf, shown_path: &str) -> Finding {
    let fix = match elf.needed_glibc() {
        _ if requested.contains("ld-musl") => {
            "the program is linked against musl: use a base that has musl, such as alpine:3, or link it statically"
                .to_owned()
        }
        Some(glibc) => format!(
            "the program is linked against glibc {glibc}: use a base that has it, such as {}, or set libc = \"musl\" to link it statically",
            base_with(&glibc)
        ),
        None => "use a base that has the loader, or set libc = \"musl\" to link the program statically".to_owned(),
    };
    LOADER_MISSING.finding(format!("needs the loader {requested}, which is not in the image"), fix).in_file(shown_path)
}

/// Loads all libraries as the loader would, and checks that they are compatible.
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
            let versions = objects.iter().filter_map(|object| object.elf.defined_glibc());
            versions.max_by_key(|version| parse_version(version)).map(|version| format!("glibc {version}"))
        }
    };
}

/// Loads the program and its preloaded libraries, then the libraries that they need, breadth-first.
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
        // The loader ignores preloaded libraries that it cannot find.
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
                    // A file is loaded only once, even if it is found under several names.
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

/// Returns a finding if a program and a loaded object use different floating-point ABIs.
fn check_same_float_abi(program: &str, program_elf: &Elf, object: &str, object_elf: &Elf) -> Option<Finding> {
    let (program_abi, object_abi) = (program_elf.identity.float_abi?, object_elf.identity.float_abi?);
    if program_abi == object_abi {
        return None;
    }
    let reason =
        format!("uses the {object_abi}-float ABI, but /{program}, which loads it, uses the {program_abi}-float ABI");
    let fix = "use a base for this platform, and compile the binary for the platform's target triple";
    Some(WRONG_FLOAT_ABI.finding(reason, fix).in_file(format!("/{object}")))
}

fn unusable_library(needed_by: &LoadedObject<'_>, name: &str, unusable: &UnusableLibrary) -> Finding {
    let UnusableLibrary { path, reason, is_for_other_machine } = unusable;
    let finding = if *is_for_other_machine {
        LIBRARY_MACHINE.finding(format!("needs {name}, but {path} {reason}"), "copy a library built for this platform")
    } else {
        let fix = "copy the complete library, and make it readable by all users";
        LIBRARY_MISSING.finding(format!("needs {name}, but {path} {reason}"), fix)
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
                    "set LD_LIBRARY_PATH=/{dir} in env, or add the directory to /etc/ld.so.conf and \
                     run `ldconfig` in a template"
                ),
                _ => format!("set LD_LIBRARY_PATH=/{dir} in env"),
            };
            (format!("needs {name}, which is in /{dir}, but the loader does not search that directory"), fix)
        }
        None => (format!("needs {name}, which is not in the image"), missing_library_fix(name, loader).to_owned()),
    };
    LIBRARY_MISSING.finding(reason, fix).in_file(format!("/{}", needed_by.path))
}

fn missing_library_fix(name: &str, loader: DynamicLoader) -> &'static str {
    match (name, loader) {
        ("libgcc_s.so.1", DynamicLoader::Musl) => {
            "install libgcc in the base (`apk add libgcc`), or link statically with target-feature=+crt-static"
        }
        ("libgcc_s.so.1", _) => {
            "use a base that has libgcc, such as gcr.io/distroless/cc-debian12, or set libc = \"musl\" to link statically"
        }
        (name, _) if name.starts_with("libc.musl") => {
            "use libraries built for glibc instead of musl, because the program uses glibc"
        }
        (name, _) if name.starts_with("libssl") || name.starts_with("libcrypto") => {
            "use a base with this version of OpenSSL, set copy-libraries = true if sysroot-packages has libssl-dev, or enable \
             the `vendored` feature of the `openssl` crate"
        }
        _ => {
            "use a base that has the library, copy it with copy-libraries = true if sysroot-packages provides it, or link it statically"
        }
    }
}

/// The symbol versions that an object needs but a library does not provide.
struct MissingVersions<'a> {
    versions: Vec<&'a str>,
    /// Path of the library, as shown in messages.
    path: String,
    elf: &'a Elf,
}

/// Checks that libraries provide the symbol versions that an object needs. Each finding names a library and its highest
/// missing version.
fn check_versions(
    object: &LoadedObject<'_>,
    objects: &[LoadedObject<'_>],
    interpreter: &ElfInterpreter<'_>,
) -> Vec<Finding> {
    let mut missing: BTreeMap<&str, MissingVersions<'_>> = BTreeMap::new();
    for needed in object.elf.needed_versions.iter().filter(|needed| !needed.weak) {
        let (path, elf) = match objects.iter().skip(1).find(|other| other.has_name(&needed.library)) {
            Some(library) => (format!("/{}", library.path), library.elf),
            None if interpreter.elf.soname.as_ref() == Some(&needed.library) => {
                (interpreter.requested.clone(), interpreter.elf)
            }
            // The library is missing, which is reported separately.
            None => continue,
        };
        // If a library defines no symbol versions, the loader accepts any of its symbols.
        if !elf.defined_versions.is_empty() && !elf.defined_versions.contains(&needed.version) {
            let library =
                missing.entry(&needed.library).or_insert_with(|| MissingVersions { versions: Vec::new(), path, elf });
            library.versions.push(&needed.version);
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
    let provided = elf.defined_versions.iter().filter(|version| version.split('_').next() == Some(family));
    let provided = provided.filter_map(|version| parse_version(version.rsplit_once('_')?.1)).max();
    let provided = provided.map(|numbers| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join("."));
    let reason = match &provided {
        Some(provided) => format!("needs {highest} from {library}, but {path} provides at most {family}_{provided}"),
        None => format!("needs {highest} from {library}, but {path} provides no {family} versions"),
    };
    let fix = match number {
        Some(number) if family == "GLIBC" && parse_version(number).is_some() => format!(
            "set glibc = \"{}\" to target the base's glibc, or use a base with glibc {number}, such as {}",
            provided.unwrap_or_default(),
            base_with(number)
        ),
        _ => "compile against the base's version of the library, or use a newer base".to_owned(),
    };
    VERSION_MISSING.finding(reason, fix).in_file(format!("/{}", object.path))
}

/// Returns a finding if an object is built for a C library other than the loader's.
fn check_same_libc(object: &LoadedObject<'_>, loader: DynamicLoader) -> Option<Finding> {
    let reason = if loader == DynamicLoader::Musl {
        format!("is built for glibc {}, but is loaded by musl", object.elf.needed_glibc()?)
    } else if object.elf.needed.iter().any(|name| name.starts_with("libc.musl") || name == "libc.so") {
        "is built for musl, but is loaded by glibc".to_owned()
    } else {
        return None;
    };
    let fix = "use programs and libraries built for the base's C library";
    Some(MIXED_LIBCS.finding(reason, fix).in_file(format!("/{}", object.path)))
}

/// Returns a well-known base image with at least this version of glibc.
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
