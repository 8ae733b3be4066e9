//! Programs and libraries, real ELF files made by zig from a few lines of C. Each is made once and kept in
//! `$XDG_CACHE_HOME/cargo-multiarch/corpus`, under a name that its recipe gives it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::layer::Bytes;
use super::roots::cache;
use crate::support::fake_registry::digest;
use crate::support::find;

/// Everything that a file depends on.
pub struct Recipe<'a> {
    source: &'a str,
    target: &'a str,
    args: &'a [&'a str],
    /// Files beside the source, with their names: libraries to link, and what the arguments name.
    linked: &'a [(&'a str, Bytes)],
}

impl Recipe<'_> {
    pub fn made(&self) -> Bytes {
        self.made_by(|folder| {
            let mut zig = zig();
            zig.args(["cc", "-target", self.target, "-Os", "-s", "main.c"]).args(self.args).args(["-o", "made"]);
            let libraries = self.linked.iter().filter(|(name, _)| name.contains(".so"));
            zig.args(libraries.map(|(name, _)| format!("./{name}"))).current_dir(folder);
            vec![zig]
        })
    }

    /// From the cache, or by commands that write `made` in a folder with the recipe's files.
    fn made_by(&self, commands: impl FnOnce(&Path) -> Vec<Command>) -> Bytes {
        let mut key = format!("{}\n{}\n{:?}", self.source, self.target, self.args);
        for (name, content) in self.linked {
            key += &format!("\n{name} {}", digest(content));
        }
        let corpus = cache().join("corpus");
        std::fs::create_dir_all(&corpus).unwrap();
        let kept = corpus.join(&digest(key.as_bytes())[7..23]);
        if let Ok(content) = std::fs::read(&kept) {
            return Arc::new(content);
        }
        // One at a time, also of several runs: the others find what the first has made.
        let lock = std::fs::File::create(corpus.join("lock")).unwrap();
        lock.lock().unwrap();
        if let Ok(content) = std::fs::read(&kept) {
            return Arc::new(content);
        }
        let folder = tempfile::tempdir_in(&corpus).unwrap();
        std::fs::write(folder.path().join("main.c"), self.source).unwrap();
        for (name, content) in self.linked {
            std::fs::write(folder.path().join(name), content.as_slice()).unwrap();
        }
        for mut command in commands(folder.path()) {
            let output = command.output().unwrap();
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        std::fs::rename(folder.path().join("made"), &kept).unwrap();
        Arc::new(std::fs::read(kept).unwrap())
    }
}

fn zig() -> Command {
    let kept = cache().join("bin/zig");
    match find("zig") {
        Some(zig) => Command::new(zig),
        None if kept.exists() => Command::new(kept),
        None => panic!("no zig: scripts/setup corpus installs it"),
    }
}

/// Says hello without any library.
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
    Recipe { source: BARE, target, args: &args, linked: &[] }.made()
}

/// zig's word for an architecture of Debian's.
fn cpu(arch: &str) -> &str {
    match arch {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}

/// A static program.
pub fn bare_static(arch: &str) -> Bytes {
    bare(&format!("{}-linux-musl", cpu(arch)), &[])
}

pub fn static_pie(arch: &str) -> Bytes {
    bare(&format!("{}-linux-musl", cpu(arch)), &["-pie", "-fPIE"])
}

/// A static program with hard floats that runs from this version of ARM on.
pub fn bare_arm(version: u32) -> Bytes {
    let (float, cpu) = match version {
        5 => ("", "-mcpu=arm926ej_s"),
        6 => ("hf", "-mcpu=arm1176jzf_s"),
        _ => ("hf", "-mcpu=cortex_a7"),
    };
    bare(&format!("arm-linux-musleabi{float}"), &[cpu])
}

/// A static program that says which x86-64 it needs, by GNU ld: no other linker writes that.
pub fn for_x86_64(level: &str) -> Bytes {
    let level = format!("x86-64-{level}");
    Recipe { source: BARE, target: "x86_64-linux-musl", args: &["ld", "-z", &level], linked: &[] }.made_by(|folder| {
        let mut compile = zig();
        compile.args(["cc", "-target", "x86_64-linux-musl", "-c", "main.c", "-o", "main.o"]).current_dir(folder);
        let mut link = Command::new("x86_64-linux-gnu-ld");
        link.args(["-z", &level, "main.o", "-o", "made"]).current_dir(folder);
        vec![compile, link]
    })
}

/// An object file: ELF, and no program.
pub fn object_file() -> Bytes {
    Recipe { source: BARE, target: "x86_64-linux-musl", args: &["-c"], linked: &[] }.made()
}

/// Not Linux's own x86-64: pointers of 32 bits.
pub fn x32() -> Bytes {
    bare("x86_64-linux-muslx32", &[])
}

pub fn big_endian_arm64() -> Bytes {
    bare("aarch64_be-linux-musl", &[])
}

/// A musl program that loads its libc.
pub fn musl(arch: &str) -> Bytes {
    Recipe { source: HELLO, target: &format!("{}-linux-musl", cpu(arch)), args: &["-dynamic"], linked: &[] }.made()
}

fn gnu(arch: &str, version: &str) -> String {
    format!("{}-linux-gnu.{version}", cpu(arch))
}

/// A position-independent program for a glibc of this version on.
pub fn glibc(arch: &str, version: &str) -> Bytes {
    Recipe { source: HELLO, target: &gnu(arch, version), args: &["-pie", "-fPIE"], linked: &[] }.made()
}

/// The same at a fixed address.
pub fn glibc_fixed(arch: &str) -> Bytes {
    Recipe { source: HELLO, target: &gnu(arch, "2.31"), args: &["-fno-pie", "-no-pie"], linked: &[] }.made()
}

pub fn glibc_with_loader(loader: &str) -> Bytes {
    let loader = format!("-Wl,--dynamic-linker={loader}");
    Recipe { source: HELLO, target: "x86_64-linux-gnu.2.31", args: &["-pie", "-fPIE", &loader], linked: &[] }.made()
}

/// A program that calls what only glibc 2.38 has.
pub fn needs_glibc_238() -> Bytes {
    let source = "#include <stdio.h>\n#include <string.h>\n\
        int main(int n, char **v) { char to[9]; strlcpy(to, \"hello\", n + 8); puts(to); return 0; }\n";
    Recipe { source, target: "x86_64-linux-gnu.2.38", args: &["-fno-builtin"], linked: &[] }.made()
}

// ---- libraries -----------------------------------------------------------------------

const GREET: &str = "const char *greet(void) { return \"hello\"; }\n";
const GREETS: &str =
    "#include <stdio.h>\nextern const char *greet(void);\nint main(void) { puts(greet()); return 0; }\n";

fn library(source: &str, target: &str, soname: &str, args: &[&str], linked: &[(&str, Bytes)]) -> Bytes {
    let soname = format!("-Wl,-soname,{soname}");
    let args = [&["-shared", "-fPIC", &soname], args].concat();
    Recipe { source, target, args: &args, linked }.made()
}

/// libgreet.so without a libc.
pub fn libgreet(target: &str, args: &[&str]) -> Bytes {
    // ARM's tables would want a symbol of the compiler's own library.
    let bare = ["-nostdlib", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"];
    library(GREET, target, "libgreet.so", &[&bare, args].concat(), &[])
}

pub fn libgreet_of(arch: &str) -> Bytes {
    libgreet(&format!("{}-linux-gnu", cpu(arch)), &[])
}

/// libdeep.so, and a libgreet.so that needs it.
pub fn libdeep_and_libgreet(args: &[&str]) -> (Bytes, Bytes) {
    let target = "x86_64-linux-gnu";
    let deep = library("const char *deep(void) { return \"hello\"; }\n", target, "libdeep.so", &["-nostdlib"], &[]);
    let source = "extern const char *deep(void);\nconst char *greet(void) { return deep(); }\n";
    let args = [&["-nostdlib"], args].concat();
    let greet = library(source, target, "libgreet.so", &args, &[("libdeep.so", deep.clone())]);
    (deep, greet)
}

/// libgreet.so that calls a libc, which the target names.
pub fn libgreet_with_libc(target: &str) -> Bytes {
    let source = "#include <string.h>\n#include <stdlib.h>\n\
        const char *greet(void) { char *to = malloc(9); strlcpy(to, \"hello\", 9); return to; }\n";
    library(source, target, "libgreet.so", &["-fno-builtin"], &[])
}

/// libgreet.so that calls what every glibc and musl have.
pub fn libgreet_with_old_libc(target: &str) -> Bytes {
    let source = "#include <string.h>\n#include <stdlib.h>\n\
        const char *greet(void) { char *to = malloc(9); memcpy(to, \"hello\", 6); return to; }\n";
    library(source, target, "libgreet.so", &["-fno-builtin"], &[])
}

/// A program that needs libgreet.so.
pub fn greets(target: &str, args: &[&str]) -> Bytes {
    let libgreet = libgreet(target, &[]);
    Recipe { source: GREETS, target, args, linked: &[("libgreet.so", libgreet)] }.made()
}

/// The amd64 one for glibc.
pub fn greets_glibc(args: &[&str]) -> Bytes {
    greets("x86_64-linux-gnu.2.31", &[&["-pie", "-fPIE"], args].concat())
}

/// A program with `DT_RPATH` where zig writes the newer `DT_RUNPATH`.
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

/// A program that needs a version of a symbol that only another library of that name has.
pub fn needs_version(soname: &str, version: &str) -> Bytes {
    let versions = Arc::new(format!("{version} {{ global: newer; }};\n").into_bytes());
    let args = ["-nostdlib", "-Wl,--version-script=versions.map"];
    let library = library("void newer(void) {}\n", "x86_64-linux-gnu", soname, &args, &[("versions.map", versions)]);
    let source =
        "#include <stdio.h>\nextern void newer(void);\nint main(void) { newer(); puts(\"hello\"); return 0; }\n";
    Recipe { source, target: "x86_64-linux-gnu.2.31", args: &["-pie", "-fPIE"], linked: &[(soname, library)] }.made()
}

/// A libc.so.6 that has the versions of glibc 2.31 and little else: enough to be refused by a program for 2.34.
pub fn libc_231() -> Bytes {
    let source = "int __libc_start_main(void) { return 0; }\nint puts(const char *t) { return 0; }\n\
        void newest(void) {}\n";
    let versions = "GLIBC_2.2.5 { global: puts; __libc_start_main; };\nGLIBC_2.31 { global: newest; } GLIBC_2.2.5;\n";
    let versions = [("versions.map", Arc::new(versions.as_bytes().to_vec()))];
    let args = ["-nostdlib", "-fno-builtin", "-Wl,--version-script=versions.map"];
    library(source, "x86_64-linux-gnu", "libc.so.6", &args, &versions)
}

/// The libc.so.6 of a version of glibc as zig makes it to link against: all symbols and versions, and no code.
pub fn glibc_to_link(arch: &str, version: &str) -> Bytes {
    let target = gnu(arch, version);
    Recipe { source: HELLO, target: &target, args: &["libc.so.6"], linked: &[] }.made_by(|folder| {
        let mut link = zig();
        link.args(["cc", "-target", &target, "main.c", "-o", "main"]).current_dir(folder);
        // It leaves there what it links against.
        link.env("ZIG_GLOBAL_CACHE_DIR", folder.join("cache")).env("ZIG_LOCAL_CACHE_DIR", folder.join("cache"));
        let mut keep = Command::new("sh");
        keep.args(["-c", "cp cache/o/*/libc.so.6 made"]).current_dir(folder);
        vec![link, keep]
    })
}

/// A program that needs this library of Debian's, by a symbol that it has.
pub fn needs(name: &str, library: Bytes, symbol: &str) -> Bytes {
    let source = format!(
        "#include <stdio.h>\nextern void {symbol}(void);\n\
         int main(int n, char **v) {{ if (n > 9) {symbol}(); puts(\"hello\"); return 0; }}\n"
    );
    let args = ["-pie", "-fPIE", "-Wl,--allow-shlib-undefined"];
    Recipe { source: &source, target: "x86_64-linux-gnu.2.36", args: &args, linked: &[(name, library)] }.made()
}

/// What su-exec does: `su-exec UID PROGRAM ARGUMENT…`.
pub fn su_exec() -> Bytes {
    let source = "#include <stdlib.h>\n#include <unistd.h>\n\
        int main(int n, char **v) { if (n < 3 || setgid(atoi(v[1])) || setuid(atoi(v[1]))) return 1; \
        execvp(v[2], v + 2); return 127; }\n";
    Recipe { source, target: "x86_64-linux-musl", args: &["-dynamic"], linked: &[] }.made()
}

/// One program under many names.
pub fn multi_call() -> Bytes {
    let source = "#include <stdio.h>\n#include <string.h>\n\
        int main(int n, char **v) { char *at = strrchr(v[0], '/'); puts(at ? at + 1 : v[0]); return 0; }\n";
    Recipe { source, target: "x86_64-linux-musl", args: &["-dynamic"], linked: &[] }.made()
}
