//! Searches for libraries in the same places as the dynamic loaders of glibc (ld.so(8); glibc, elf/dl-load.c) and musl
//! (musl, ldso/dynlink.c).

use super::exec_context::{ExecContext, READ};
use crate::elf::Elf;
use crate::oci::rootfs::{ElfFile, FileContent, FsNode, RegularFile, RootFs, clean, file_name, parent};
use crate::platform::ElfIdentity;

/// A kind of dynamic loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DynamicLoader {
    Glibc,
    Musl,
    /// A loader whose search rules are unknown.
    Other,
}

/// The dynamic loader that a program names as its interpreter.
pub(crate) struct ElfInterpreter<'a> {
    /// Path in the program's PT_INTERP.
    pub requested: String,
    /// Real path in the image, without a leading slash.
    pub path: String,
    pub elf: &'a Elf,
    /// Whether the program runs with more privileges than the user has, so that the loader ignores environment
    /// variables (ld.so(8), "Secure-execution mode").
    pub secure_execution: bool,
}

/// A loaded ELF file: the program itself or a library.
pub(crate) struct LoadedObject<'a> {
    /// Real path in the image, without a leading slash.
    pub path: String,
    /// Value of `$ORIGIN` for this object: the absolute path of its directory.
    pub origin: String,
    pub elf: &'a Elf,
    /// Name under which the object was requested.
    pub name: String,
    /// Index of the first loaded object that needs this one. `None` for the program itself.
    pub needed_by: Option<usize>,
}

impl LoadedObject<'_> {
    /// Reports whether the object was requested under this name, or whether its soname is this name.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.name == name || self.elf.soname.as_deref() == Some(name)
    }
}

/// The result of searching for a library.
pub(crate) enum LibrarySearch<'a> {
    Found {
        path: String,
        origin: String,
        program: &'a ElfFile,
    },
    NotFound {
        /// First file that has the right name but cannot be loaded. `None` if no file has that name.
        unusable: Option<UnusableLibrary>,
    },
}

/// A file that has a library's name but cannot be loaded.
pub(crate) struct UnusableLibrary {
    pub path: String,
    /// Why the file cannot be loaded, such as `is truncated`.
    pub reason: String,
    /// Whether the file is built for another architecture.
    pub is_for_other_machine: bool,
}

/// Name prefixes of libraries that are built into musl's loader (ldso/dynlink.c, `load_library`).
const MUSL_BUILT_IN: &[&str] = &["libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet."];

impl DynamicLoader {
    /// Identifies a loader by its path and its ELF file.
    pub(crate) fn identify(path: &str, elf: &Elf) -> DynamicLoader {
        let soname = elf.soname.as_deref().unwrap_or_default();
        if elf.defined_glibc().is_some() {
            DynamicLoader::Glibc
        } else if file_name(path).starts_with("ld-musl") || soname.starts_with("libc.musl") || soname == "libc.so" {
            DynamicLoader::Musl
        } else {
            DynamicLoader::Other
        }
    }

    /// Reports whether a library is part of the loader itself.
    pub(crate) fn provides(self, name: &str, interpreter: &Elf) -> bool {
        match self {
            DynamicLoader::Musl => MUSL_BUILT_IN.iter().any(|prefix| name.starts_with(prefix)),
            _ => interpreter.soname.as_deref() == Some(name),
        }
    }

    /// Searches for a library that the object at `index` in `loaded` needs.
    pub(crate) fn find_library<'a>(
        self,
        context: &ExecContext<'a>,
        loaded: &[LoadedObject<'a>],
        index: usize,
        name: &str,
        interpreter: &ElfInterpreter<'a>,
    ) -> LibrarySearch<'a> {
        let mut unusable = None;
        for path in self.candidate_paths(context, loaded, index, name, interpreter) {
            let Some((real_path, file)) = context.file(&path) else { continue };
            match check_library(context, &path, &real_path, file, &interpreter.elf.identity) {
                Ok(program) => {
                    let origin = format!("/{}", parent(&clean(&path)));
                    return LibrarySearch::Found { path: real_path, origin, program };
                }
                Err(problem) => {
                    unusable.get_or_insert(problem);
                }
            }
        }
        LibrarySearch::NotFound { unusable }
    }

    /// Returns the paths where the loader searches for a library, in search order.
    fn candidate_paths(
        self,
        context: &ExecContext<'_>,
        loaded: &[LoadedObject<'_>],
        index: usize,
        name: &str,
        interpreter: &ElfInterpreter<'_>,
    ) -> Vec<String> {
        if name.contains('/') {
            return vec![context.absolute(name)];
        }
        let in_dir = |dir: String| format!("{dir}/{name}");
        let mut paths: Vec<String> =
            self.configured_dirs(context, loaded, index, interpreter).into_iter().map(in_dir).collect();
        paths.extend(self.cached_paths(context.root, name));
        paths.extend(self.default_dirs(context.root, interpreter).into_iter().map(in_dir));
        paths
    }

    /// Returns the directories in RPATH, RUNPATH and LD_LIBRARY_PATH as absolute paths, in search order.
    fn configured_dirs(
        self,
        context: &ExecContext<'_>,
        loaded: &[LoadedObject<'_>],
        index: usize,
        interpreter: &ElfInterpreter<'_>,
    ) -> Vec<String> {
        let mut dirs = Vec::new();
        let Some(object) = loaded.get(index) else { return dirs };
        // The object itself, then the object that needs it, and so on up to the program.
        let chain = || std::iter::successors(Some(object), |object| loaded.get(object.needed_by?));
        if self == DynamicLoader::Musl {
            dirs.extend(library_path_dirs(context, interpreter));
            for object in chain() {
                for list in object.elf.rpath.iter().chain(&object.elf.runpath) {
                    dirs.extend(expand_dirs(list, object, context));
                }
            }
            return dirs;
        }
        // RPATH also applies to indirect dependencies. RUNPATH overrides RPATH, but applies only to direct
        // dependencies.
        if object.elf.runpath.is_none() {
            for object in chain().filter(|object| object.elf.runpath.is_none()) {
                dirs.extend(object.elf.rpath.iter().flat_map(|list| expand_dirs(list, object, context)));
            }
        }
        dirs.extend(library_path_dirs(context, interpreter));
        dirs.extend(object.elf.runpath.iter().flat_map(|list| expand_dirs(list, object, context)));
        dirs
    }

    /// Returns the directories that the loader searches by default.
    fn default_dirs(self, root: &RootFs, interpreter: &ElfInterpreter<'_>) -> Vec<String> {
        let owned = |dirs: &[&str]| dirs.iter().map(|dir| (*dir).to_owned()).collect();
        match self {
            DynamicLoader::Musl => {
                // The loader `/lib/ld-musl-aarch64.so.1` reads `/etc/ld-musl-aarch64.path`.
                let name = file_name(&interpreter.requested).trim_end_matches(".so.1");
                let prefix = parent(parent(&clean(&interpreter.requested))).to_owned();
                match root.text(&format!("{prefix}/etc/{name}.path")) {
                    Some(text) => text.split([':', '\n']).filter(|dir| !dir.is_empty()).map(str::to_owned).collect(),
                    None => owned(&["/lib", "/usr/local/lib", "/usr/lib"]),
                }
            }
            _ if !interpreter.elf.default_library_dirs.is_empty() => interpreter.elf.default_library_dirs.clone(),
            _ => owned(&["/lib64", "/usr/lib64", "/lib", "/usr/lib"]),
        }
    }

    /// Returns the paths that glibc's cache, `/etc/ld.so.cache`, lists for a library.
    fn cached_paths(self, root: &RootFs, name: &str) -> Vec<String> {
        match root.get("etc/ld.so.cache") {
            Some(FsNode::File(RegularFile { content: FileContent::LoaderCache(paths), .. }))
                if self == DynamicLoader::Glibc =>
            {
                paths.iter().filter(|path| file_name(path) == name).cloned().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Returns the directories in LD_LIBRARY_PATH as absolute paths.
fn library_path_dirs(context: &ExecContext<'_>, interpreter: &ElfInterpreter<'_>) -> Vec<String> {
    if interpreter.secure_execution {
        return Vec::new();
    }
    let list = context.env_var("LD_LIBRARY_PATH").unwrap_or_default();
    list.split([':', ';']).filter(|dir| !dir.is_empty()).map(|dir| context.absolute(dir)).collect()
}

/// Checks that a file is readable by the user and is an ELF file for the right architecture.
fn check_library<'a>(
    context: &ExecContext<'a>,
    path: &str,
    real_path: &str,
    file: &'a RegularFile,
    machine: &ElfIdentity,
) -> Result<&'a ElfFile, UnusableLibrary> {
    let unusable = |reason: String, is_for_other_machine: bool| {
        Err(UnusableLibrary { path: format!("/{real_path}"), reason, is_for_other_machine })
    };
    if context.first_closed_dir(path).is_some() || !context.has_permission(&file.attributes, READ) {
        return unusable(format!("cannot be read by {}", context.user_description()), false);
    }
    let FileContent::Program(program) = &file.content else { return unusable("is not an ELF file".to_owned(), false) };
    match &program.elf {
        Some(elf) if elf.is_complete && elf.identity.same_machine(machine) => Ok(program),
        Some(elf) if elf.is_complete => unusable(format!("is built for {}", elf.identity), true),
        _ => unusable("is truncated".to_owned(), false),
    }
}

/// Splits a list of directories, and expands `$ORIGIN` and `$LIB` in each (ld.so(8), "Dynamic string tokens").
fn expand_dirs(list: &str, object: &LoadedObject<'_>, context: &ExecContext<'_>) -> Vec<String> {
    let debian = context.platform.debian().map(|debian| format!("lib/{}", debian.library_dir));
    let libs: Vec<&str> = ["lib64", "lib"].into_iter().chain(debian.as_deref()).collect();
    let mut dirs = Vec::new();
    for dir in list.split(':') {
        let dir = dir.replace("${ORIGIN}", &object.origin).replace("$ORIGIN", &object.origin);
        if dir.contains("$LIB") || dir.contains("${LIB}") {
            dirs.extend(libs.iter().map(|lib| context.absolute(&dir.replace("${LIB}", lib).replace("$LIB", lib))));
        } else {
            dirs.push(context.absolute(&dir));
        }
    }
    dirs
}
