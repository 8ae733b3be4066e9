//! Chooses the environment variables for compiling a target's C code: compilers, the CMake toolchain file, bindgen
//! arguments, compiler flags, and jemalloc's page size. Running compilers and writing files is left to `c_env_files`.

use std::collections::BTreeMap;

use super::c_variable_names::BINDGEN;
use super::facts::{BuildFacts, Facts};
use super::linker::types::{Linker, LinkerSelection};
use crate::plan::BuildSettings;
use crate::platform::Platform;
use crate::process::quote;

/// The variables for zig, each with the command that its wrapper script runs. For display only.
const ZIG: [(&str, &str); 5] =
    [("CC", "zig cc"), ("CXX", "zig c++"), ("AR", "zig ar"), ("RANLIB", "zig ranlib"), ("CMAKE_TOOLCHAIN_FILE", "…")];

/// The values of [`super::c_variable_names::C_VARIABLES`] for one build.
pub(crate) type CVariables = BTreeMap<&'static str, String>;

/// The variables of each build, keyed by settings, because one triple can be compiled for several CPU levels.
pub(crate) type CEnv = BTreeMap<BuildSettings, CVariables>;

/// Returns the variables of all builds for display. zig's wrapper scripts are shown as the commands that they run, and
/// values that depend on a compiler's output are shown as `…`.
pub(crate) fn preview(linkers: &BTreeMap<BuildSettings, LinkerSelection>, facts: &Facts) -> CEnv {
    let mut c_env = CEnv::new();
    for (settings, selection) in linkers {
        let mut variables = match &selection.linker {
            Linker::Zig => ZIG.into_iter().map(|(name, command)| (name, command.to_owned())).collect(),
            Linker::Gcc(gcc) => gcc_variables(&settings.triple, gcc),
            Linker::Configured(_) | Linker::Host | Linker::RustLld | Linker::Cross => continue,
        };
        if facts.build(settings).dependencies.bindgen {
            variables.insert(BINDGEN, "…".to_owned());
        }
        c_env.insert(settings.clone(), variables);
    }
    c_env
}

/// Returns the contents of a CMake toolchain file for a target and its compilers.
pub(crate) fn cmake_toolchain(triple: &str, tools: &CVariables) -> String {
    let processor = match triple.split('-').next().unwrap_or_default() {
        "riscv64gc" => "riscv64",
        "powerpc64le" => "ppc64le",
        "armv5te" => "armv5tel",
        "arm" => "armv6l",
        "armv7" => "armv7l",
        same => same,
    };
    let mut lines = vec!["set(CMAKE_SYSTEM_NAME Linux)".to_owned(), format!("set(CMAKE_SYSTEM_PROCESSOR {processor})")];
    let names = [("CC", "C_COMPILER"), ("CXX", "CXX_COMPILER"), ("AR", "AR"), ("RANLIB", "RANLIB")];
    let set = names.iter().filter_map(|(tool, name)| Some(format!("set(CMAKE_{name} \"{}\")", tools.get(tool)?)));
    lines.extend(set);
    // zig's linker cannot write dependency files.
    lines.extend(["C", "CXX"].map(|language| format!("set(CMAKE_{language}_LINKER_DEPFILE_SUPPORTED FALSE)")));
    // CMake must find programs on this machine, but libraries, headers and packages only in the target's directories.
    lines.push("set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)".to_owned());
    let modes = ["LIBRARY", "INCLUDE", "PACKAGE"].map(|kind| format!("set(CMAKE_FIND_ROOT_PATH_MODE_{kind} ONLY)"));
    lines.extend(modes);
    lines.join("\n") + "\n"
}

/// Returns the arguments that bindgen needs to find zig's headers, based on the output of `zig cc -E -v` and
/// `zig c++ -E -v`.
pub(crate) fn zig_bindgen_args(c: &str, cxx: &str) -> Option<String> {
    let c_paths = search_list(c);
    if c_paths.is_empty() {
        return None;
    }
    // Exclude the host's headers.
    let mut args = vec!["-nostdinc".to_owned()];
    args.extend(definitions(cxx).map(|definition| format!("-D{definition}")));
    let cxx_only = search_list(cxx).into_iter().filter(|path| !c_paths.contains(path));
    args.extend(cxx_only.flat_map(|path| ["-cxx-isystem".to_owned(), path.to_owned()]));
    // libc++'s headers must come first, but clang would search `-isystem` directories before `-cxx-isystem` ones.
    args.extend(
        c_paths
            .iter()
            .flat_map(|path| ["-Xclang", "-c-isystem", "-Xclang", path, "-cxx-isystem", path].map(str::to_owned)),
    );
    Some(args.iter().map(|arg| quote(arg)).collect::<Vec<_>>().join(" "))
}

/// Returns the arguments that bindgen needs to find a cross gcc's headers, based on the output of `gcc -E -v`. gcc's
/// built-in headers come last: they are a fallback for libclang packages that do not include clang's own.
pub(crate) fn gcc_bindgen_args(printed: &str) -> Option<String> {
    let is_builtin = |path: &str| path.contains("/lib/gcc") && !path.contains("/..");
    let flag = |path: &str| if is_builtin(path) { "-idirafter" } else { "-isystem" };
    let args: Vec<String> = search_list(printed).iter().map(|path| format!("{} {}", flag(path), quote(path))).collect();
    (!args.is_empty()).then(|| args.join(" "))
}

/// Extracts a compiler's header search directories from its `-v` output.
fn search_list(printed: &str) -> Vec<&str> {
    let lines = printed.lines().skip_while(|line| !line.starts_with("#include <...> search starts here")).skip(1);
    lines
        .take_while(|line| !line.starts_with("End of search list"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect()
}

/// Extracts the macro definitions for zig's C and C++ libraries from clang's `-v` output.
fn definitions(printed: &str) -> impl Iterator<Item = &str> {
    let words = printed.lines().find(|line| line.contains("\" -cc1 ")).unwrap_or_default().split(' ');
    let of_libraries = |word: &&str| ["_LIBC", "__GLIBC_", "_LARGEFILE"].iter().any(|start| word.starts_with(start));
    words.clone().zip(words.skip(1)).filter(|(flag, _)| *flag == "-D").map(|(_, value)| value).filter(of_libraries)
}

/// Returns the variables that select a cross gcc. Empty if the `cc` crate finds that gcc on its own, as it does for
/// glibc targets and some musl targets.
pub(crate) fn gcc_variables(triple: &str, gcc: &str) -> CVariables {
    let known = ["x86_64", "aarch64", "arm", "armv7", "riscv64gc"];
    let prefix = gcc.strip_suffix("-gcc").filter(|_| triple.contains("-musl"));
    let Some(prefix) = prefix.filter(|_| !known.contains(&triple.split('-').next().unwrap_or_default())) else {
        return CVariables::new();
    };
    let tool = |tool: &str| format!("{prefix}-{tool}");
    CVariables::from([("CC", tool("gcc")), ("CXX", tool("g++")), ("AR", tool("ar")), ("RANLIB", tool("ranlib"))])
}

/// Returns a build's environment variables for C code, except those that the user has set. `values` contains the
/// variables for zig or a cross gcc.
pub(crate) fn variables(build: &BuildFacts<'_>, linker: &Linker, values: Option<&CVariables>) -> Vec<(String, String)> {
    let target = build.triple().replace('-', "_");
    let mut variables: Vec<(String, String)> = Vec::new();
    if matches!(linker, Linker::Zig | Linker::Gcc(_)) {
        let values = values.into_iter().flatten().filter(|(name, _)| !build.is_set_by_user(name));
        variables.extend(values.map(|(name, value)| (format!("{name}_{target}"), value.clone())));
    }
    variables.extend(c_flags(build, linker));
    variables.extend(jemalloc_variable(build).map(|name| (name, LG_PAGE_64K.to_owned())));
    variables.retain(|(name, _)| !build.settings.env.contains_key(name));
    variables
}

/// Returns the variables that set a build's C and C++ flags: the sysroot's include directories, and the same path
/// remappings as for Rust code. A variable is omitted if the user has set it under any of its names for the target,
/// because older versions of `cc` read only one of them.
fn c_flags(build: &BuildFacts<'_>, linker: &Linker) -> Vec<(String, String)> {
    let mut flags = build.sysroot.map(super::facts::Sysroot::c_flags).unwrap_or_default();
    // Remap paths only for builds with dependencies, because only dependencies compile C code, and not in `cross`
    // containers, because their directories differ from the host's.
    if *linker != Linker::Cross && build.dependencies.packages > 1 {
        let remaps = build.env.path_remaps.iter();
        flags.extend(remaps.map(|remap| format!("-ffile-prefix-map={}={}", remap.from, remap.to)));
    }
    // `cc` splits the value at spaces, so drop flags that contain them.
    flags.retain(|flag| !flag.contains(char::is_whitespace));
    if flags.is_empty() {
        return Vec::new();
    }
    let target = build.triple().replace('-', "_");
    let is_unset = |name: &&str| !build.is_set(name) && !build.is_set_for_target(name);
    let variable = |name| (format!("{name}_{target}"), flags.join(" "));
    ["CFLAGS", "CXXFLAGS"].into_iter().filter(is_unset).map(variable).collect()
}

const LG_PAGE: &str = "JEMALLOC_SYS_WITH_LG_PAGE";
/// The base-2 logarithm of the largest page size on arm64 (64 KiB).
const LG_PAGE_64K: &str = "16";

/// Returns the name of the variable that sets jemalloc's page size, if a build needs it. On arm64, the page size is 4,
/// 16 or 64 KiB, depending on the kernel that runs the image. A cross-compiled jemalloc assumes 4 KiB, and aborts if
/// pages are larger.
pub(crate) fn jemalloc_variable(build: &BuildFacts<'_>) -> Option<String> {
    let jemalloc = build.dependencies.jemalloc.as_ref()?;
    let for_target = format!("{}_{LG_PAGE}", build.triple().replace('-', "_").to_uppercase());
    if !build.triple().starts_with("aarch64-") || build.is_set(LG_PAGE) || build.is_set(&for_target) {
        return None;
    }
    Some(if jemalloc.per_target { for_target } else { LG_PAGE.to_owned() })
}

/// Reports whether two builds can share a cargo process and its environment variables. They cannot if setting
/// jemalloc's page size for one build would also change it for the other.
pub(crate) fn can_share_process(one: &BuildFacts<'_>, other: &BuildFacts<'_>) -> bool {
    let global = |build| jemalloc_variable(build).filter(|name| name == LG_PAGE);
    let have_jemalloc = one.dependencies.jemalloc.is_some() && other.dependencies.jemalloc.is_some();
    global(one) == global(other) || !have_jemalloc
}

/// Returns a note if jemalloc's page size is set for a build.
pub(crate) fn note(build: &BuildFacts<'_>) -> Option<String> {
    let name = jemalloc_variable(build)?;
    let package = &build.dependencies.jemalloc.as_ref()?.package;
    let platform = Platform::for_triple(build.triple()).next()?;
    Some(format!("{platform}: compiling {package} with {name}={LG_PAGE_64K} to support page sizes up to 64 KiB"))
}

/// Returns advice if a build uses musl's allocator, which is slow because all threads share one lock.
pub(crate) fn advice<'a>(builds: impl IntoIterator<Item = BuildFacts<'a>>) -> Option<String> {
    // Ignore programs without dependencies, which are unlikely to allocate from many threads.
    let is_slow = |build: BuildFacts<'_>| {
        build.is_musl() && build.dependencies.packages > 1 && build.dependencies.allocator.is_none()
    };
    builds.into_iter().any(is_slow).then(|| {
        "musl's allocator is slow in multi-threaded programs: replace it with a crate such as mimalloc, or set \
         libc = \"gnu\""
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::c_variable_names::C_VARIABLES;
    use crate::compile::dependency_summary::{DependencySummary, Jemalloc};
    use crate::compile::facts::{PathRemap, TargetFacts};

    const ARM64: &str = "aarch64-unknown-linux-musl";
    const AMD64: &str = "x86_64-unknown-linux-musl";

    fn build(triple: &str) -> BuildSettings {
        BuildSettings { triple: triple.to_owned(), ..BuildSettings::default() }
    }

    fn facts(jemalloc: Option<bool>) -> Facts {
        let jemalloc = jemalloc.map(|per_target| Jemalloc { package: "jemalloc-sys".to_owned(), per_target });
        let summary = DependencySummary { jemalloc, ..DependencySummary::default() };
        Facts {
            targets: [ARM64, AMD64].map(|triple| (triple.to_owned(), TargetFacts::default())).into(),
            dependencies: [ARM64, AMD64].map(|triple| (build(triple), summary.clone())).into(),
            ..Facts::default()
        }
    }

    #[test]
    fn sets_jemallocs_page_size_on_arm64() {
        const FOR_ARM64: &str = "AARCH64_UNKNOWN_LINUX_MUSL_JEMALLOC_SYS_WITH_LG_PAGE";
        for (triple, jemalloc, set, expected) in [
            (ARM64, Some(true), None, Some(FOR_ARM64)),
            (ARM64, Some(false), None, Some(LG_PAGE)),
            (ARM64, None, None, None),
            (AMD64, Some(true), None, None),
            (ARM64, Some(true), Some(LG_PAGE), None),
            (ARM64, Some(false), Some(FOR_ARM64), None),
        ] {
            let mut facts = facts(jemalloc);
            facts.env.variables.extend(set.map(str::to_owned));
            let build = build(triple);
            let found = jemalloc_variable(&facts.build(&build));
            assert_eq!(found.as_deref(), expected, "{triple} {jemalloc:?} {set:?}");
        }
        let set = BuildSettings { env: [(LG_PAGE.to_owned(), "14".to_owned())].into(), ..build(ARM64) };
        let mut facts_with_env = facts(Some(true));
        facts_with_env.dependencies.insert(set.clone(), facts_with_env.dependencies[&build(ARM64)].clone());
        assert_eq!(jemalloc_variable(&facts_with_env.build(&set)), None, "set in build-env");
        let all = variables(&facts_with_env.build(&build(ARM64)), &Linker::RustLld, None);
        assert_eq!(all, [(FOR_ARM64.to_owned(), "16".to_owned())]);
        let note = note(&facts(Some(false)).build(&build(ARM64))).unwrap();
        assert!(note.starts_with("linux/arm64: compiling jemalloc-sys with JEMALLOC_SYS_WITH_LG_PAGE=16 "), "{note}");
    }

    #[test]
    fn advises_against_musls_allocator_in_programs_with_dependencies() {
        for (triple, packages, allocator, expected) in [
            (ARM64, 2, None, true),
            (ARM64, 1, None, false),
            (ARM64, 2, Some("mimalloc"), false),
            ("aarch64-unknown-linux-gnu", 2, None, false),
        ] {
            let summary =
                DependencySummary { packages, allocator: allocator.map(str::to_owned), ..DependencySummary::default() };
            let build = build(triple);
            let facts = Facts { dependencies: [(build.clone(), summary)].into(), ..Facts::default() };
            assert_eq!(advice([facts.build(&build)]).is_some(), expected, "{triple} {packages} {allocator:?}");
        }
    }

    #[test]
    fn a_global_jemalloc_variable_requires_separate_processes() {
        let share = |facts: &Facts| can_share_process(&facts.build(&build(ARM64)), &facts.build(&build(AMD64)));
        for (jemalloc, shared) in [(None, true), (Some(true), true), (Some(false), false)] {
            assert_eq!(share(&facts(jemalloc)), shared, "{jemalloc:?}");
        }
        let mut only_arm64 = facts(Some(false));
        only_arm64.dependencies.get_mut(&build(AMD64)).unwrap().jemalloc = None;
        assert!(share(&only_arm64));
    }

    #[test]
    fn does_not_override_variables_set_by_the_user() {
        let values: CVariables = C_VARIABLES.iter().map(|name| (*name, format!("generated-{name}"))).collect();
        let mut facts = facts(None);
        facts.targets.get_mut(ARM64).unwrap().user_variables.extend(["CC", BINDGEN]);
        let set =
            BuildSettings { env: [(format!("AR_{}", ARM64.replace('-', "_")), String::new())].into(), ..build(ARM64) };
        let names = |build: &BuildSettings, linker| -> Vec<String> {
            variables(&facts.build(build), &linker, Some(&values)).into_iter().map(|(name, _)| name).collect()
        };
        let expected =
            ["CMAKE_TOOLCHAIN_FILE", "CXX", "RANLIB"].map(|name| format!("{name}_aarch64_unknown_linux_musl"));
        assert_eq!(names(&set, Linker::Zig), expected);
        assert_eq!(names(&build(ARM64), Linker::Gcc("x".to_owned())).len(), 4);
        assert_eq!(names(&build(ARM64), Linker::Host), [""; 0]);
    }

    #[test]
    fn c_flags_remap_paths_unless_the_user_sets_flags() {
        const MAPS: &str = "-ffile-prefix-map=/w=/workspace -ffile-prefix-map=/home/me/.cargo=/cargo";
        let for_target = format!("CFLAGS_{ARM64}");
        for (packages, set, linker, expected) in [
            (2, "X", Linker::Zig, Some(MAPS)),
            (2, "X", Linker::Host, Some(MAPS)),
            (2, "X", Linker::Cross, None),
            (1, "X", Linker::Zig, None),
            (2, "CFLAGS", Linker::Zig, None),
            (2, "TARGET_CFLAGS", Linker::Zig, None),
            (2, &for_target, Linker::Zig, None),
        ] {
            let mut facts = facts(None);
            facts.dependencies.insert(build(ARM64), DependencySummary { packages, ..DependencySummary::default() });
            facts.env.path_remaps = [("/w", "/workspace"), ("/home/me/.cargo", "/cargo"), ("/with a space", "/x")]
                .map(|(from, to)| PathRemap::new(from, to))
                .into();
            facts.env.variables.insert(set.to_owned());
            let found = variables(&facts.build(&build(ARM64)), &linker, None);
            let value = |name: &str| {
                let full = format!("{name}_aarch64_unknown_linux_musl");
                found.iter().find(|(name, _)| *name == full).map(|(_, value)| value.as_str())
            };
            assert_eq!(value("CFLAGS"), expected, "{packages} {set} {linker}");
            assert_eq!(value("CXXFLAGS"), Some(MAPS).filter(|_| packages > 1 && linker != Linker::Cross), "{set}");
        }
    }

    #[test]
    fn sets_gcc_variables_only_for_names_unknown_to_cc() {
        assert_eq!(gcc_variables("aarch64-unknown-linux-gnu", "aarch64-linux-gnu-gcc"), BTreeMap::new());
        assert_eq!(gcc_variables(ARM64, "aarch64-linux-musl-gcc"), BTreeMap::new());
        let s390x = gcc_variables("s390x-unknown-linux-musl", "s390x-linux-musl-gcc");
        assert_eq!((s390x["CC"].as_str(), s390x["CXX"].as_str()), ("s390x-linux-musl-gcc", "s390x-linux-musl-g++"));
    }

    const PRINTED: &str = " \"/z/zig\" -cc1 -triple x -D __GLIBC_MINOR__=28 -D _LIBCPP_ABI_VERSION=1 -D MINE -isystem /z/c\n\
        #include \"...\" search starts here:\n#include <...> search starts here:\n /z/cxx\n /z/c c\nEnd of search list.\n";

    #[test]
    fn bindgen_arguments_come_from_compiler_output() {
        let c = PRINTED.replace(" /z/cxx\n", "");
        assert_eq!(
            zig_bindgen_args(&c, PRINTED).unwrap(),
            "-nostdinc -D__GLIBC_MINOR__=28 -D_LIBCPP_ABI_VERSION=1 -cxx-isystem /z/cxx \
             -Xclang -c-isystem -Xclang '/z/c c' -cxx-isystem '/z/c c'"
        );
        assert_eq!(zig_bindgen_args("no such compiler", ""), None);
        let gcc = "#include <...> search starts here:\n /usr/lib/gcc-cross/a/12/include\n \
            /usr/lib/gcc-cross/a/12/../../../../a/include\nEnd of search list.";
        let expected =
            "-idirafter /usr/lib/gcc-cross/a/12/include -isystem /usr/lib/gcc-cross/a/12/../../../../a/include";
        assert_eq!(gcc_bindgen_args(gcc).unwrap(), expected);
    }

    #[test]
    fn cmake_toolchain_file_names_the_processor_and_compiler() {
        let text = cmake_toolchain("riscv64gc-unknown-linux-gnu", &BTreeMap::from([("CC", "/z/cc".to_owned())]));
        assert!(text.starts_with(
            "set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_SYSTEM_PROCESSOR riscv64)\nset(CMAKE_C_COMPILER \"/z/cc\")\n"
        ));
    }
}
