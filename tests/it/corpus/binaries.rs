//! Real ELF programs and libraries, which zig compiles from a few lines of C. The results are cached in
//! `$XDG_CACHE_HOME/cargo-multiarch/corpus`.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::layer::Bytes;
use super::roots::cache;
use crate::support::fake_registry::digest;
use crate::support::find;

/// Name of the file that a recipe's commands write.
const OUTPUT: &str = "output";

/// The input of a compiler run. Its hash is the result's file name in the cache.
pub struct Recipe<'a> {
    source: &'a str,
    target: &'a str,
    args: &'a [&'a str],
    /// Names and contents of other input files. The result is linked against any shared libraries among them.
    files: &'a [(&'a str, Bytes)],
}

impl Recipe<'_> {
    pub fn build(&self) -> Bytes {
        self.build_with(|directory| {
            let mut zig = zig();
            zig.args(["cc", "-target", self.target, "-Os", "-s", "main.c"]).args(self.args).args(["-o", OUTPUT]);
            let libraries = self.files.iter().filter(|(name, _)| name.contains(".so"));
            zig.args(libraries.map(|(name, _)| format!("./{name}"))).current_dir(directory);
            vec![zig]
        })
    }

    /// Returns the result from the cache. If it is missing, first runs the commands that write it to [`OUTPUT`], in a
    /// directory with the input files.
    fn build_with(&self, commands: impl FnOnce(&Path) -> Vec<Command>) -> Bytes {
        let mut key = format!("{}\n{}\n{:?}", self.source, self.target, self.args);
        for (name, content) in self.files {
            key += &format!("\n{name} {}", digest(content));
        }
        let corpus = cache().join("corpus");
        std::fs::create_dir_all(&corpus).unwrap();
        let cached = corpus.join(&digest(key.as_bytes())[7..23]);
        if let Ok(content) = std::fs::read(&cached) {
            return Arc::new(content);
        }
        // The lock ensures that concurrent test runs build each file only once.
        let lock = std::fs::File::create(corpus.join("lock")).unwrap();
        lock.lock().unwrap();
        if let Ok(content) = std::fs::read(&cached) {
            return Arc::new(content);
        }
        let directory = tempfile::tempdir_in(&corpus).unwrap();
        std::fs::write(directory.path().join("main.c"), self.source).unwrap();
        for (name, content) in self.files {
            std::fs::write(directory.path().join(name), content.as_slice()).unwrap();
        }
        for mut command in commands(directory.path()) {
            let output = command.output().unwrap();
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        std::fs::rename(directory.path().join(OUTPUT), &cached).unwrap();
        Arc::new(std::fs::read(cached).unwrap())
    }
}

fn zig() -> Command {
    let installed = cache().join("bin/zig");
    match find("zig") {
        Some(zig) => Command::new(zig),
        None if installed.exists() => Command::new(installed),
        None => panic!("zig is not installed: run `scripts/setup corpus`"),
    }
}

/// The source of a program that prints hello without a C library.
const BARE: &str = r#"
#if defined __x86_64__
__asm__(".globl _start\n_start: mov $1,%eax\n mov $1,%edi\n lea msg(%rip),%rsi\n mov $6,%edx\n syscall\n"
        "mov $60,%eax\n xor %edi,%edi\n syscall");
#elif defined __aarch64__
__asm__(".globl _start\n_start: mov x8,#64\n mov x0,#1\n adr x1,msg\n mov x2,#6\n svc #0\n"
        "mov x8,#93\n mov x0,#0\n svc #0");
#elif defined __arm__
__asm__(".arm\n.globl _start\n_start:\n"
#if __ARM_ARCH >= 7
        "movw r0,#1\n"
#elif __ARM_ARCH >= 6
        "uxtb r0,r0\n"
#endif
        "mov r7,#4\n mov r0,#1\n adr r1,msg\n mov r2,#6\n svc 0\n mov r7,#1\n mov r0,#0\n svc 0");
#elif defined __riscv
__asm__(".globl _start\n_start: li a7,64\n li a0,1\n lla a1,msg\n li a2,6\n ecall\n"
        "li a7,93\n li a0,0\n ecall");
#endif
__asm__("msg: .ascii \"hello\\n\"");
"#;

const HELLO: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

fn bare(target: &str, args: &[&str]) -> Bytes {
    let args = [&["-nostdlib", "-static"], args].concat();
    Recipe { source: BARE, target, args: &args, files: &[] }.build()
}

/// Converts Debian's name for an architecture to zig's.
fn cpu(arch: &str) -> &str {
    match arch {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}

/// Builds a static program that uses no C library.
pub fn bare_static(arch: &str) -> Bytes {
    bare(&format!("{}-linux-musl", cpu(arch)), &[])
}

pub fn static_pie(arch: &str) -> Bytes {
    bare(&format!("{}-linux-musl", cpu(arch)), &["-pie", "-fPIE"])
}

/// Builds a static program for a version of the ARM architecture. Programs for version 6 and later use the hard-float
/// ABI.
pub fn bare_arm(version: u32) -> Bytes {
    let (float, cpu) = match version {
        5 => ("", "-mcpu=arm926ej_s"),
        6 => ("hf", "-mcpu=arm1176jzf_s"),
        _ => ("hf", "-mcpu=cortex_a7"),
    };
    bare(&format!("arm-linux-musleabi{float}"), &[cpu])
}

/// Builds a static program that declares the x86-64 level it needs. Uses GNU ld, the only linker that can write this
/// declaration.
pub fn for_x86_64(level: &str) -> Bytes {
    let level = format!("x86-64-{level}");
    Recipe { source: BARE, target: "x86_64-linux-musl", args: &["ld", "-z", &level], files: &[] }.build_with(
        |directory| {
            let mut compile = zig();
            compile.args(["cc", "-target", "x86_64-linux-musl", "-c", "main.c", "-o", "main.o"]).current_dir(directory);
            let mut link = Command::new("x86_64-linux-gnu-ld");
            link.args(["-z", &level, "main.o", "-o", OUTPUT]).current_dir(directory);
            vec![compile, link]
        },
    )
}

pub fn object_file() -> Bytes {
    Recipe { source: BARE, target: "x86_64-linux-musl", args: &["-c"], files: &[] }.build()
}

/// Builds a program for x32, the x86-64 ABI with 32-bit pointers.
pub fn x32() -> Bytes {
    bare("x86_64-linux-muslx32", &[])
}

pub fn big_endian_arm64() -> Bytes {
    bare("aarch64_be-linux-musl", &[])
}

/// Builds a dynamically linked musl program.
pub fn musl(arch: &str) -> Bytes {
    Recipe { source: HELLO, target: &format!("{}-linux-musl", cpu(arch)), args: &["-dynamic"], files: &[] }.build()
}

fn gnu(arch: &str, version: &str) -> String {
    format!("{}-linux-gnu.{version}", cpu(arch))
}

/// Builds a position-independent program that needs at least this version of glibc.
pub fn glibc(arch: &str, version: &str) -> Bytes {
    Recipe { source: HELLO, target: &gnu(arch, version), args: &["-pie", "-fPIE"], files: &[] }.build()
}

/// Builds a glibc program that is not position-independent.
pub fn glibc_fixed(arch: &str) -> Bytes {
    Recipe { source: HELLO, target: &gnu(arch, "2.31"), args: &["-fno-pie", "-no-pie"], files: &[] }.build()
}

pub fn glibc_with_loader(loader: &str) -> Bytes {
    let loader = format!("-Wl,--dynamic-linker={loader}");
    Recipe { source: HELLO, target: "x86_64-linux-gnu.2.31", args: &["-pie", "-fPIE", &loader], files: &[] }.build()
}

/// Builds a program that calls `strlcpy`, which was added in glibc 2.38.
pub fn needs_glibc_238() -> Bytes {
    let source = "#include <stdio.h>\n#include <string.h>\n\
        int main(int n, char **v) { char to[9]; strlcpy(to, \"hello\", n + 8); puts(to); return 0; }\n";
    Recipe { source, target: "x86_64-linux-gnu.2.38", args: &["-fno-builtin"], files: &[] }.build()
}

// ---- libraries -----------------------------------------------------------------------

const GREET: &str = "const char *greet(void) { return \"hello\"; }\n";
const GREETS: &str =
    "#include <stdio.h>\nextern const char *greet(void);\nint main(void) { puts(greet()); return 0; }\n";

fn library(source: &str, target: &str, soname: &str, args: &[&str], files: &[(&str, Bytes)]) -> Bytes {
    let soname = format!("-Wl,-soname,{soname}");
    let args = [&["-shared", "-fPIC", &soname], args].concat();
    Recipe { source, target, args: &args, files }.build()
}

/// Builds a libgreet.so that does not need a C library.
pub fn libgreet(target: &str, args: &[&str]) -> Bytes {
    // Unwind tables are omitted because, on ARM, they refer to a symbol in the compiler's runtime library.
    let bare = ["-nostdlib", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"];
    library(GREET, target, "libgreet.so", &[&bare, args].concat(), &[])
}

pub fn libgreet_of(arch: &str) -> Bytes {
    libgreet(&format!("{}-linux-gnu", cpu(arch)), &[])
}

/// Builds libdeep.so, and a libgreet.so that needs it.
pub fn libdeep_and_libgreet(args: &[&str]) -> (Bytes, Bytes) {
    let target = "x86_64-linux-gnu";
    let deep = library("const char *deep(void) { return \"hello\"; }\n", target, "libdeep.so", &["-nostdlib"], &[]);
    let source = "extern const char *deep(void);\nconst char *greet(void) { return deep(); }\n";
    let args = [&["-nostdlib"], args].concat();
    let greet = library(source, target, "libgreet.so", &args, &[("libdeep.so", deep.clone())]);
    (deep, greet)
}

/// Builds a libgreet.so that calls `strlcpy` in the target's C library.
pub fn libgreet_with_libc(target: &str) -> Bytes {
    let source = "#include <string.h>\n#include <stdlib.h>\n\
        const char *greet(void) { char *to = malloc(9); strlcpy(to, \"hello\", 9); return to; }\n";
    library(source, target, "libgreet.so", &["-fno-builtin"], &[])
}

/// Builds a libgreet.so that calls only functions that exist in every version of glibc and musl.
pub fn libgreet_with_old_libc(target: &str) -> Bytes {
    let source = "#include <string.h>\n#include <stdlib.h>\n\
        const char *greet(void) { char *to = malloc(9); memcpy(to, \"hello\", 6); return to; }\n";
    library(source, target, "libgreet.so", &["-fno-builtin"], &[])
}

/// Builds a program that needs libgreet.so.
pub fn greets(target: &str, args: &[&str]) -> Bytes {
    let libgreet = libgreet(target, &[]);
    Recipe { source: GREETS, target, args, files: &[("libgreet.so", libgreet)] }.build()
}

/// Builds an amd64 program that needs libgreet.so and glibc.
pub fn greets_glibc(args: &[&str]) -> Bytes {
    greets("x86_64-linux-gnu.2.31", &[&["-pie", "-fPIE"], args].concat())
}

/// Replaces the `DT_RUNPATH` that zig writes with the older `DT_RPATH`.
pub fn with_rpath(program: &Bytes) -> Bytes {
    let mut bytes = program.as_slice().to_vec();
    let number = |at: usize| u64::from_le_bytes(program[at..at + 8].try_into().unwrap());
    let headers = number(0x20) as usize;
    let dynamic = (0..).map(|n| headers + n * 56).find(|at| program[*at..*at + 4] == [2, 0, 0, 0]).unwrap();
    let mut at = number(dynamic + 8) as usize;
    while number(at) != 0x1d {
        at += 16;
    }
    bytes[at] = 0x0f;
    Arc::new(bytes)
}

/// Builds a program that needs a symbol version that the real library `soname` does not provide.
pub fn needs_version(soname: &str, version: &str) -> Bytes {
    let versions = Arc::new(format!("{version} {{ global: newer; }};\n").into_bytes());
    let args = ["-nostdlib", "-Wl,--version-script=versions.map"];
    let library = library("void newer(void) {}\n", "x86_64-linux-gnu", soname, &args, &[("versions.map", versions)]);
    let source =
        "#include <stdio.h>\nextern void newer(void);\nint main(void) { newer(); puts(\"hello\"); return 0; }\n";
    Recipe { source, target: "x86_64-linux-gnu.2.31", args: &["-pie", "-fPIE"], files: &[(soname, library)] }.build()
}

/// Builds a libc.so.6 with the symbol versions of glibc 2.31 and only a few functions.
pub fn libc_231() -> Bytes {
    let source = "int __libc_start_main(void) { return 0; }\nint puts(const char *t) { return 0; }\n\
        void newest(void) {}\n";
    let versions = "GLIBC_2.2.5 { global: puts; __libc_start_main; };\nGLIBC_2.31 { global: newest; } GLIBC_2.2.5;\n";
    let versions = [("versions.map", Arc::new(versions.as_bytes().to_vec()))];
    let args = ["-nostdlib", "-fno-builtin", "-Wl,--version-script=versions.map"];
    library(source, "x86_64-linux-gnu", "libc.so.6", &args, &versions)
}

/// Builds the libc.so.6 that zig links against for a version of glibc. It has all symbols and versions, but no code.
pub fn glibc_stub(arch: &str, version: &str) -> Bytes {
    let target = gnu(arch, version);
    Recipe { source: HELLO, target: &target, args: &["libc.so.6"], files: &[] }.build_with(|directory| {
        let mut link = zig();
        link.args(["cc", "-target", &target, "main.c", "-o", "main"]).current_dir(directory);
        // zig writes the library to its cache directory.
        link.env("ZIG_GLOBAL_CACHE_DIR", directory.join("cache")).env("ZIG_LOCAL_CACHE_DIR", directory.join("cache"));
        let mut copy = Command::new("sh");
        copy.args(["-c", &format!("cp cache/o/*/libc.so.6 {OUTPUT}")]).current_dir(directory);
        vec![link, copy]
    })
}

/// Builds a program that needs a library from a Debian package and refers to one of its symbols.
pub fn needs(name: &str, library: Bytes, symbol: &str) -> Bytes {
    let source = format!(
        "#include <stdio.h>\nextern void {symbol}(void);\n\
         int main(int n, char **v) {{ if (n > 9) {symbol}(); puts(\"hello\"); return 0; }}\n"
    );
    let args = ["-pie", "-fPIE", "-Wl,--allow-shlib-undefined"];
    Recipe { source: &source, target: "x86_64-linux-gnu.2.36", args: &args, files: &[(name, library)] }.build()
}

/// Builds a replacement for su-exec: `su-exec UID PROGRAM ARGUMENT…`.
pub fn su_exec() -> Bytes {
    let source = "#include <stdlib.h>\n#include <unistd.h>\n\
        int main(int n, char **v) { if (n < 3 || setgid(atoi(v[1])) || setuid(atoi(v[1]))) return 1; \
        execvp(v[2], v + 2); return 127; }\n";
    Recipe { source, target: "x86_64-linux-musl", args: &["-dynamic"], files: &[] }.build()
}

/// Builds a program that prints the name it was started under.
pub fn multi_call() -> Bytes {
    let source = "#include <stdio.h>\n#include <string.h>\n\
        int main(int n, char **v) { char *at = strrchr(v[0], '/'); puts(at ? at + 1 : v[0]); return 0; }\n";
    Recipe { source, target: "x86_64-linux-musl", args: &["-dynamic"], files: &[] }.build()
}
