//! Where a dynamic loader looks for libraries: glibc's (ld.so(8); glibc, elf/dl-load.c) and musl's (musl,
//! ldso/dynlink.c). Pure.

use super::exec_context::{ExecContext, READ};
use crate::elf::Elf;
use crate::oci::rootfs::{Content, File, Node, Program, RootFs, clean, parent};
use crate::platform::ElfIdentity;

/// Whose loader starts a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loader {
    Glibc,
    Musl,
    /// Another one: nobody here knows where it looks.
    Other,
}

/// A file that is loaded: the program itself, or a library.
pub struct Object<'a> {
    /// From the root, without a leading slash.
    pub path: String,
    /// The folder that `$ORIGIN` stands for, from the root.
    pub origin: String,
    pub elf: &'a Elf,
    /// The name that it was asked for by.
    pub name: String,
    /// Whose DT_NEEDED it is, by its place among the loaded; none for the program.
    pub by: Option<usize>,
}

/// What a search came to.
pub enum Found<'a> {
    Library {
        path: String,
        origin: String,
        program: &'a Program,
    },
    /// None is there, or none that fits; with the first that does not.
    Nothing {
        misfit: Option<Misfit>,
    },
}

/// A file of the right name that is not the library.
pub struct Misfit {
    pub path: String,
    pub reason: String,
    /// It is a library, for another machine.
    pub other_machine: bool,
}

/// The names that musl's loader takes for itself, whatever follows the dot (ldso/dynlink.c, `load_library`).
const MUSLS_OWN: &[&str] = &["libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet."];

impl Loader {
    /// By the interpreter's path and its file.
    pub fn of(path: &str, elf: &Elf) -> Loader {
        let is_musl = |path: &str| path.rsplit('/').next().is_some_and(|name| name.starts_with("ld-musl"));
        let soname = elf.soname.as_deref().unwrap_or_default();
        match () {
            () if elf.defined_glibc().is_some() => Loader::Glibc,
            () if is_musl(path) || soname.starts_with("libc.musl") || soname == "libc.so" => Loader::Musl,
            () => Loader::Other,
        }
    }

    /// Is a library part of the loader itself?
    pub fn has(self, name: &str, interpreter: &Elf) -> bool {
        match self {
            Loader::Musl => MUSLS_OWN.iter().any(|own| name.starts_with(own)),
            _ => interpreter.soname.as_deref() == Some(name),
        }
    }

    /// Looks for a library as the object at `of` among the loaded asks for it.
    pub fn find<'a>(
        self,
        root: &ExecContext<'a>,
        loaded: &[Object<'a>],
        of: usize,
        name: &str,
        interpreter: &Interpreter<'a>,
    ) -> Found<'a> {
        let mut misfit = None;
        let paths: Vec<String> = match name.contains('/') {
            true => vec![root.absolute(name)],
            false => {
                let named = self.folders(root, loaded, of, interpreter);
                let own = self.own_folders(root.tree, interpreter);
                let within = |folder: String| format!("{folder}/{name}");
                let cached = self.cached(root.tree, name);
                named.into_iter().map(within).chain(cached).chain(own.into_iter().map(within)).collect()
            }
        };
        for path in paths {
            let Some((real, file)) = root.file(&path) else { continue };
            match fits(root, &path, file, &interpreter.elf.identity) {
                Ok(program) => {
                    let origin = format!("/{}", parent(&clean(&path)));
                    return Found::Library { path: real, origin, program };
                }
                Err((reason, other_machine)) => {
                    misfit.get_or_insert(Misfit { path: format!("/{real}"), reason, other_machine });
                }
            }
        }
        Found::Nothing { misfit }
    }

    /// The folders that somebody names, in their order, from the root.
    fn folders(
        self,
        root: &ExecContext<'_>,
        loaded: &[Object<'_>],
        of: usize,
        interpreter: &Interpreter<'_>,
    ) -> Vec<String> {
        let mut folders = Vec::new();
        let chain = || std::iter::successors(loaded.get(of), |object| loaded.get(object.by?));
        let environment = root
            .variable("LD_LIBRARY_PATH")
            .filter(|_| !interpreter.secure)
            .into_iter()
            .flat_map(|list| list.split([':', ';']));
        let environment: Vec<String> =
            environment.filter(|folder| !folder.is_empty()).map(|folder| root.absolute(folder)).collect();
        match self {
            Loader::Musl => {
                folders.extend(environment);
                for object in chain() {
                    let lists = object.elf.rpath.iter().chain(&object.elf.runpath);
                    folders.extend(lists.flat_map(|list| expand(list, object, root)));
                }
            }
            _ => {
                // RPATH is for all that an object leads to, and is not read where there is a RUNPATH.
                if loaded.get(of).is_some_and(|object| object.elf.runpath.is_none()) {
                    for object in chain().filter(|object| object.elf.runpath.is_none()) {
                        folders.extend(object.elf.rpath.iter().flat_map(|list| expand(list, object, root)));
                    }
                }
                folders.extend(environment);
                if let Some(object) = loaded.get(of) {
                    folders.extend(object.elf.runpath.iter().flat_map(|list| expand(list, object, root)));
                }
            }
        }
        folders
    }

    /// Where it looks when nothing names a folder.
    fn own_folders(self, tree: &RootFs, interpreter: &Interpreter<'_>) -> Vec<String> {
        let owned = |folders: &[&str]| folders.iter().map(|folder| (*folder).to_owned()).collect();
        match self {
            Loader::Musl => {
                // `/lib/ld-musl-aarch64.so.1` reads `/etc/ld-musl-aarch64.path`.
                let name = interpreter.asked.rsplit('/').next().unwrap_or_default().trim_end_matches(".so.1");
                let prefix = parent(parent(&clean(&interpreter.asked))).to_owned();
                match tree.text(&format!("{prefix}/etc/{name}.path")) {
                    Some(text) => {
                        text.split([':', '\n']).filter(|folder| !folder.is_empty()).map(str::to_owned).collect()
                    }
                    None => owned(&["/lib", "/usr/local/lib", "/usr/lib"]),
                }
            }
            _ if !interpreter.elf.default_library_dirs.is_empty() => interpreter.elf.default_library_dirs.clone(),
            _ => owned(&["/lib64", "/usr/lib64", "/lib", "/usr/lib"]),
        }
    }

    /// Libraries of that name in glibc's cache.
    fn cached(self, tree: &RootFs, name: &str) -> Vec<String> {
        let cache = match tree.get("etc/ld.so.cache") {
            Some(Node::File(File { content: Content::LoaderCache(paths), .. })) if self == Loader::Glibc => {
                paths.as_slice()
            }
            _ => &[],
        };
        cache.iter().filter(|path| path.rsplit('/').next() == Some(name)).cloned().collect()
    }
}

/// The interpreter of a program, as it is in the image.
pub struct Interpreter<'a> {
    /// PT_INTERP.
    pub asked: String,
    /// From the root, without a leading slash.
    pub path: String,
    pub elf: &'a Elf,
    /// It starts a program with more rights than its user has, and does not listen to the environment (ld.so(8),
    /// "Secure-execution mode").
    pub secure: bool,
}

fn fits<'a>(
    root: &ExecContext<'a>,
    path: &str,
    file: &'a File,
    wanted: &ElfIdentity,
) -> Result<&'a Program, (String, bool)> {
    if root.closed_folder(path).is_some() || !root.may(&file.attributes, READ) {
        return Err((format!("{} may not read it", root.who()), false));
    }
    let Content::Program(program) = &file.content else { return Err(("it is no ELF file".to_owned(), false)) };
    match &program.elf {
        Some(elf) if elf.is_complete && elf.identity.same_machine(wanted) => Ok(program),
        Some(elf) if elf.is_complete => Err((format!("it is for {}", elf.identity), true)),
        _ => Err(("it ends early".to_owned(), false)),
    }
}

/// A list of folders with what `$ORIGIN` and `$LIB` stand for (ld.so(8), "Dynamic string tokens").
fn expand(list: &str, object: &Object<'_>, root: &ExecContext<'_>) -> Vec<String> {
    let debian = root.platform.debian().map(|debian| format!("lib/{}", debian.library_dir));
    let libs: Vec<&str> = ["lib64", "lib"].into_iter().chain(debian.as_deref()).collect();
    let mut folders = Vec::new();
    for folder in list.split(':') {
        let folder = folder.replace("${ORIGIN}", &object.origin).replace("$ORIGIN", &object.origin);
        match folder.contains("$LIB") || folder.contains("${LIB}") {
            true => folders
                .extend(libs.iter().map(|lib| root.absolute(&folder.replace("${LIB}", lib).replace("$LIB", lib)))),
            false => folders.push(root.absolute(&folder)),
        }
    }
    folders
}
