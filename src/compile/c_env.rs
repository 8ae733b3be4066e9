//! What builds of C are told of a target by variables: compilers, cmake's toolchain file, bindgen's headers, jemalloc's
//! pages. Pure; the edge that runs compilers and writes files is `wrappers`.

use std::collections::BTreeMap;

use super::facts::Tools;
use super::linker::choice::{Choice, Linker};
use super::sysroot;
use super::target_env::{is_own, is_set_for};
use crate::plan::BuildSettings;
use crate::platform::Platform;
use crate::process::quote;

/// The variables that crates read for one target, as `NAME_<target>`.
pub const NAMES: [&str; 6] = ["CC", "CXX", "AR", "RANLIB", "CMAKE_TOOLCHAIN_FILE", BINDGEN];
pub const BINDGEN: &str = "BINDGEN_EXTRA_CLANG_ARGS";

/// What zig's scripts run.
const ZIG: [(&str, &str); 5] =
    [("CC", "zig cc"), ("CXX", "zig c++"), ("AR", "zig ar"), ("RANLIB", "zig ranlib"), ("CMAKE_TOOLCHAIN_FILE", "…")];

/// Values of [`NAMES`], by build: one triple may be compiled for several processors.
pub type CEnv = BTreeMap<BuildSettings, BTreeMap<&'static str, String>>;

/// The same before anything is written: zig's scripts by what they run, what compilers are asked for as `…`.
pub fn unwritten(choices: &BTreeMap<BuildSettings, Choice>, tools: &Tools) -> CEnv {
    let mut all = CEnv::new();
    for (build, choice) in choices {
        let mut variables = match &choice.linker {
            Linker::Zig => ZIG.into_iter().map(|(name, runs)| (name, runs.to_owned())).collect(),
            Linker::Gcc(gcc) => of_gcc(&build.triple, gcc),
            Linker::Configured(_) | Linker::Host | Linker::RustLld | Linker::Cross => continue,
        };
        variables.extend(tools.graph(build).bindgen.then(|| (BINDGEN, "…".to_owned())));
        all.insert(build.clone(), variables);
    }
    all
}

/// The file that tells cmake of a target, for compilers that it cannot guess.
pub fn cmake_toolchain(triple: &str, tools: &BTreeMap<&'static str, String>) -> String {
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
    // zig's linker writes no dependency files; programs are this machine's, libraries and headers are not.
    lines.extend(["C", "CXX"].map(|language| format!("set(CMAKE_{language}_LINKER_DEPFILE_SUPPORTED FALSE)")));
    lines.push("set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)".to_owned());
    let modes = ["LIBRARY", "INCLUDE", "PACKAGE"].map(|kind| format!("set(CMAKE_FIND_ROOT_PATH_MODE_{kind} ONLY)"));
    lines.extend(modes);
    lines.join("\n") + "\n"
}

/// bindgen's arguments that stand for zig's headers, from what `zig cc -E -v` and `zig c++ -E -v` say.
pub fn bindgen_of_zig(c: &str, cxx: &str) -> Option<String> {
    let c_paths = search_list(c);
    if c_paths.is_empty() {
        return None;
    }
    // The host's own would come into it.
    let mut args = vec!["-nostdinc".to_owned()];
    args.extend(definitions(cxx).map(|definition| format!("-D{definition}")));
    let own = search_list(cxx).into_iter().filter(|path| !c_paths.contains(path));
    args.extend(own.flat_map(|path| ["-cxx-isystem".to_owned(), path.to_owned()]));
    // clang searches `-isystem` before `-cxx-isystem`, where libc++ must be first.
    args.extend(
        c_paths
            .iter()
            .flat_map(|path| ["-Xclang", "-c-isystem", "-Xclang", path, "-cxx-isystem", path].map(str::to_owned)),
    );
    Some(args.iter().map(|arg| quote(arg)).collect::<Vec<_>>().join(" "))
}

/// bindgen's arguments that stand for a cross gcc's headers, from what `gcc -E -v` says. Those of gcc itself come last:
/// clang has its own, though not every libclang has them beside it.
pub fn bindgen_of_gcc(said: &str) -> Option<String> {
    let is_gccs = |path: &str| path.contains("/lib/gcc") && !path.contains("/..");
    let flag = |path: &str| if is_gccs(path) { "-idirafter" } else { "-isystem" };
    let args: Vec<String> = search_list(said).iter().map(|path| format!("{} {}", flag(path), quote(path))).collect();
    (!args.is_empty()).then(|| args.join(" "))
}

/// The folders that a compiler searches for headers, from its `-v`.
fn search_list(said: &str) -> Vec<&str> {
    let lines = said.lines().skip_while(|line| !line.starts_with("#include <...> search starts here")).skip(1);
    lines
        .take_while(|line| !line.starts_with("End of search list"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect()
}

/// What zig defines for its libraries, from clang's `-v`.
fn definitions(said: &str) -> impl Iterator<Item = &str> {
    let words = said.lines().find(|line| line.contains("\" -cc1 ")).unwrap_or_default().split(' ');
    let of_libraries = |word: &&str| ["_LIBC", "__GLIBC_", "_LARGEFILE"].iter().any(|start| word.starts_with(start));
    words.clone().zip(words.skip(1)).filter(|(flag, _)| *flag == "-D").map(|(_, value)| value).filter(of_libraries)
}

/// A cross gcc, where the crate `cc` does not find it by itself: it knows gcc's names for glibc, and some for musl.
pub fn of_gcc(triple: &str, gcc: &str) -> BTreeMap<&'static str, String> {
    let known = ["x86_64", "aarch64", "arm", "armv7", "riscv64gc"];
    let prefix = gcc.strip_suffix("-gcc").filter(|_| triple.contains("-musl"));
    let Some(prefix) = prefix.filter(|_| !known.contains(&triple.split('-').next().unwrap_or_default())) else {
        return BTreeMap::new();
    };
    let tool = |tool: &str| format!("{prefix}-{tool}");
    BTreeMap::from([("CC", tool("gcc")), ("CXX", tool("g++")), ("AR", tool("ar")), ("RANLIB", tool("ranlib"))])
}

/// The variables of a build for C code, by their full names: none that the user has set.
pub fn variables(build: &BuildSettings, linker: &Linker, tools: &Tools, native: &CEnv) -> Vec<(String, String)> {
    let target = build.triple.replace('-', "_");
    let mut variables: Vec<(String, String)> = Vec::new();
    if matches!(linker, Linker::Zig | Linker::Gcc(_)) {
        let values = native.get(build).into_iter().flatten().filter(|(name, _)| !is_own(build, name, tools));
        variables.extend(values.map(|(name, value)| (format!("{name}_{target}"), value.clone())));
    }
    variables.extend(c_flags(build, linker, tools));
    variables.extend(lg_page(build, tools).map(|name| (name, LG_PAGE_64K.to_owned())));
    variables.retain(|(name, _)| !build.env.contains_key(name));
    variables
}

/// The flags of a build's C and C++: where the headers of its sysroot are, and names for this machine's folders, as they
/// are in what rustc compiles. None where the user has flags, which older versions of `cc` do not see beside ours.
fn c_flags(build: &BuildSettings, linker: &Linker, tools: &Tools) -> Vec<(String, String)> {
    // What has no dependencies has none that compiles C; a container has other folders.
    let compiles_here = *linker != Linker::Cross && tools.graph(build).packages > 1;
    let remap = tools.remap.iter().filter(|_| compiles_here);
    let remap = remap.map(|(from, to)| format!("-ffile-prefix-map={from}={to}"));
    let flags = sysroot::includes(build, tools).into_iter().chain(remap);
    // `cc` splits them at spaces.
    let flags: Vec<String> = flags.filter(|flag| !flag.contains(char::is_whitespace)).collect();
    let unset = |name: &&str| !flags.is_empty() && !tools.is_set(build, name) && !is_set_for(build, name, tools);
    let variable = |name| (format!("{name}_{}", build.triple.replace('-', "_")), flags.join(" "));
    ["CFLAGS", "CXXFLAGS"].into_iter().filter(unset).map(variable).collect()
}

const LG_PAGE: &str = "JEMALLOC_SYS_WITH_LG_PAGE";
/// The logarithm of arm64's biggest page.
const LG_PAGE_64K: &str = "16";

/// The variable by which jemalloc is told of arm64's pages: of 4, 16 or 64 KiB, as the kernel that runs the image has
/// them. Cross-compiled, jemalloc takes 4 KiB for granted, and its program aborts where pages are bigger.
pub fn lg_page(build: &BuildSettings, tools: &Tools) -> Option<String> {
    let graph = tools.graph(build);
    let jemalloc = graph.jemalloc.as_ref()?;
    let own = format!("{}_{LG_PAGE}", build.triple.replace('-', "_").to_uppercase());
    let set = |name: &str| tools.is_set(build, name);
    let is_arm64 = build.triple.starts_with("aarch64-");
    let name = if jemalloc.per_target { own.clone() } else { LG_PAGE.to_owned() };
    (is_arm64 && !set(LG_PAGE) && !set(&own)).then_some(name)
}

/// Can two builds share a cargo process, which has one set of variables? Not where jemalloc is told of pages by a
/// variable that the other's jemalloc reads as well.
pub fn share_variables(one: &BuildSettings, other: &BuildSettings, tools: &Tools) -> bool {
    let common = |build: &BuildSettings| lg_page(build, tools).filter(|name| name == LG_PAGE);
    let has_jemalloc = |build: &BuildSettings| tools.graph(build).jemalloc.is_some();
    common(one) == common(other) || !has_jemalloc(one) || !has_jemalloc(other)
}

/// What is done for C code that its author did not ask for.
pub fn note(build: &BuildSettings, tools: &Tools) -> Option<String> {
    let name = lg_page(build, tools)?;
    let graph = tools.graph(build);
    let package = &graph.jemalloc.as_ref()?.package;
    let platform = Platform::for_triple(&build.triple).next()?;
    Some(format!("{platform}: {package} is compiled with {name}={LG_PAGE_64K}, for kernels with pages of up to 64 KiB"))
}

/// What may be worth a change of the program: musl's allocator has one lock for all threads.
pub fn advice(builds: &[&BuildSettings], tools: &Tools) -> Option<String> {
    let slow = builds.iter().filter(|build| build.triple.contains("-musl")).any(|build| {
        // A program without dependencies is hardly one that allocates in many threads.
        let graph = tools.graph(build);
        graph.packages > 1 && graph.allocator.is_none()
    });
    slow.then(|| {
        "musl's allocator is slow where many threads allocate: a crate such as mimalloc replaces it, and libc = \"gnu\" \
         has another"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::dependency_summary::{DependencySummary, Jemalloc};
    use crate::compile::facts::TargetFacts;

    const ARM64: &str = "aarch64-unknown-linux-musl";
    const AMD64: &str = "x86_64-unknown-linux-musl";

    fn build(triple: &str) -> BuildSettings {
        BuildSettings { triple: triple.to_owned(), ..BuildSettings::default() }
    }

    fn tools(jemalloc: Option<bool>) -> Tools {
        let jemalloc = jemalloc.map(|per_target| Jemalloc { package: "jemalloc-sys".to_owned(), per_target });
        let graph = DependencySummary { jemalloc, ..DependencySummary::default() };
        let targets = [ARM64, AMD64].map(|triple| (triple.to_owned(), TargetFacts::default())).into();
        let graphs = [ARM64, AMD64].map(|triple| (build(triple), graph.clone())).into();
        Tools { targets, graphs, ..Tools::default() }
    }

    #[test]
    fn jemalloc_is_told_of_arm64s_pages() {
        const OWN: &str = "AARCH64_UNKNOWN_LINUX_MUSL_JEMALLOC_SYS_WITH_LG_PAGE";
        for (triple, jemalloc, set, expected) in [
            (ARM64, Some(true), None, Some(OWN)),
            (ARM64, Some(false), None, Some(LG_PAGE)),
            (ARM64, None, None, None),
            (AMD64, Some(true), None, None),
            (ARM64, Some(true), Some(LG_PAGE), None),
            (ARM64, Some(false), Some(OWN), None),
        ] {
            let mut tools = tools(jemalloc);
            tools.variables.extend(set.map(str::to_owned));
            assert_eq!(lg_page(&build(triple), &tools).as_deref(), expected, "{triple} {jemalloc:?} {set:?}");
        }
        let set = BuildSettings { env: [(LG_PAGE.to_owned(), "14".to_owned())].into(), ..build(ARM64) };
        let mut known = tools(Some(true));
        known.graphs.insert(set.clone(), known.graphs[&build(ARM64)].clone());
        assert_eq!(lg_page(&set, &known), None, "build-env");
        let all = variables(&build(ARM64), &Linker::RustLld, &tools(Some(true)), &CEnv::new());
        assert_eq!(all, [(OWN.to_owned(), "16".to_owned())]);
        let note = note(&build(ARM64), &tools(Some(false))).unwrap();
        assert!(note.starts_with("linux/arm64: jemalloc-sys is compiled with JEMALLOC_SYS_WITH_LG_PAGE=16,"), "{note}");
    }

    #[test]
    fn musls_allocator() {
        for (triple, packages, allocator, expected) in [
            (ARM64, 2, None, true),
            (ARM64, 1, None, false),
            (ARM64, 2, Some("mimalloc"), false),
            ("aarch64-unknown-linux-gnu", 2, None, false),
        ] {
            let graph =
                DependencySummary { packages, allocator: allocator.map(str::to_owned), ..DependencySummary::default() };
            let tools = Tools { graphs: [(build(triple), graph)].into(), ..Tools::default() };
            assert_eq!(advice(&[&build(triple)], &tools).is_some(), expected, "{triple} {packages} {allocator:?}");
        }
    }

    #[test]
    fn a_variable_for_all_targets_parts_processes() {
        for (jemalloc, shared) in [(None, true), (Some(true), true), (Some(false), false)] {
            assert_eq!(share_variables(&build(ARM64), &build(AMD64), &tools(jemalloc)), shared, "{jemalloc:?}");
        }
        let mut only_arm64 = tools(Some(false));
        only_arm64.graphs.get_mut(&build(AMD64)).unwrap().jemalloc = None;
        assert!(share_variables(&build(ARM64), &build(AMD64), &only_arm64));
    }

    #[test]
    fn what_the_user_has_set_stays() {
        let values: BTreeMap<&'static str, String> = NAMES.iter().map(|name| (*name, format!("our-{name}"))).collect();
        let mut tools = tools(None);
        tools.targets.get_mut(ARM64).unwrap().env_tools.extend(["CC", BINDGEN]);
        let set =
            BuildSettings { env: [(format!("AR_{}", ARM64.replace('-', "_")), String::new())].into(), ..build(ARM64) };
        let native = CEnv::from([(set.clone(), values.clone()), (build(ARM64), values)]);
        let names = |build: &BuildSettings, linker| -> Vec<String> {
            variables(build, &linker, &tools, &native).into_iter().map(|(name, _)| name).collect()
        };
        let expected =
            ["CMAKE_TOOLCHAIN_FILE", "CXX", "RANLIB"].map(|name| format!("{name}_aarch64_unknown_linux_musl"));
        assert_eq!(names(&set, Linker::Zig), expected);
        assert_eq!(names(&build(ARM64), Linker::Gcc("x".to_owned())).len(), 4);
        assert_eq!(names(&build(ARM64), Linker::Host), [""; 0]);
    }

    #[test]
    fn flags_of_c() {
        const MAPS: &str = "-ffile-prefix-map=/w=/workspace -ffile-prefix-map=/home/me/.cargo=/cargo";
        let own = format!("CFLAGS_{ARM64}");
        for (packages, set, linker, expected) in [
            (2, "X", Linker::Zig, Some(MAPS)),
            (2, "X", Linker::Host, Some(MAPS)),
            (2, "X", Linker::Cross, None),
            (1, "X", Linker::Zig, None),
            (2, "CFLAGS", Linker::Zig, None),
            (2, "TARGET_CFLAGS", Linker::Zig, None),
            (2, &own, Linker::Zig, None),
        ] {
            let mut tools = tools(None);
            tools.graphs.insert(build(ARM64), DependencySummary { packages, ..DependencySummary::default() });
            tools.remap = [("/w", "/workspace"), ("/home/me/.cargo", "/cargo"), ("/with a space", "/x")]
                .map(|(from, to)| (from.to_owned(), to.to_owned()))
                .into();
            tools.variables.insert(set.to_owned());
            let found = variables(&build(ARM64), &linker, &tools, &CEnv::new());
            let value = |name: &str| {
                let full = format!("{name}_aarch64_unknown_linux_musl");
                found.iter().find(|(name, _)| *name == full).map(|(_, value)| value.as_str())
            };
            assert_eq!(value("CFLAGS"), expected, "{packages} {set} {linker}");
            assert_eq!(value("CXXFLAGS"), Some(MAPS).filter(|_| packages > 1 && linker != Linker::Cross), "{set}");
        }
    }

    #[test]
    fn gcc_that_cc_does_not_know() {
        assert_eq!(of_gcc("aarch64-unknown-linux-gnu", "aarch64-linux-gnu-gcc"), BTreeMap::new());
        assert_eq!(of_gcc(ARM64, "aarch64-linux-musl-gcc"), BTreeMap::new());
        let known = of_gcc("s390x-unknown-linux-musl", "s390x-linux-musl-gcc");
        assert_eq!((known["CC"].as_str(), known["CXX"].as_str()), ("s390x-linux-musl-gcc", "s390x-linux-musl-g++"));
    }

    const SAID: &str = " \"/z/zig\" -cc1 -triple x -D __GLIBC_MINOR__=28 -D _LIBCPP_ABI_VERSION=1 -D MINE -isystem /z/c\n\
        #include \"...\" search starts here:\n#include <...> search starts here:\n /z/cxx\n /z/c c\nEnd of search list.\n";

    #[test]
    fn bindgens_arguments() {
        let c = SAID.replace(" /z/cxx\n", "");
        assert_eq!(
            bindgen_of_zig(&c, SAID).unwrap(),
            "-nostdinc -D__GLIBC_MINOR__=28 -D_LIBCPP_ABI_VERSION=1 -cxx-isystem /z/cxx \
             -Xclang -c-isystem -Xclang '/z/c c' -cxx-isystem '/z/c c'"
        );
        assert_eq!(bindgen_of_zig("no such compiler", ""), None);
        let gcc = "#include <...> search starts here:\n /usr/lib/gcc-cross/a/12/include\n \
            /usr/lib/gcc-cross/a/12/../../../../a/include\nEnd of search list.";
        let expected =
            "-idirafter /usr/lib/gcc-cross/a/12/include -isystem /usr/lib/gcc-cross/a/12/../../../../a/include";
        assert_eq!(bindgen_of_gcc(gcc).unwrap(), expected);
    }

    #[test]
    fn cmakes_toolchain() {
        let text = cmake_toolchain("riscv64gc-unknown-linux-gnu", &BTreeMap::from([("CC", "/z/cc".to_owned())]));
        assert!(text.starts_with(
            "set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_SYSTEM_PROCESSOR riscv64)\nset(CMAKE_C_COMPILER \"/z/cc\")\n"
        ));
    }
}
