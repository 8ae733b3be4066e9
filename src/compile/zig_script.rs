//! Renders the scripts that run zig as a C compiler, archiver or linker for one target.

use std::path::Path;

use super::zig_program::ZigProgram;
use crate::process::quote;

/// What the scripts for one target run.
pub(crate) struct ZigScripts<'a> {
    pub zig: &'a ZigProgram,
    pub rustc_version: &'a str,
    /// This program, which adapts arguments that zig does not accept.
    pub exe: &'a Path,
    /// The arguments that select the target, quoted for a shell.
    pub target_args: &'a str,
    /// Whether this program has to adapt the arguments of every link for the target.
    pub adapts_links: bool,
}

impl ZigScripts<'_> {
    /// Returns a script for `zig cc` or `zig c++`. The script runs zig itself unless an argument has to be adapted, because
    /// a build with C code calls it thousands of times. It drops `--target`, which repeats the target in rustc's terms.
    pub(crate) fn compiler(&self, command: &str) -> String {
        let ZigScripts { zig, rustc_version, target_args, .. } = self;
        let (program, exe) = (quote_path(&zig.path), quote_path(self.exe));
        let adapt_links = if self.adapts_links { "[ \"$links\" = no ] || adapt=yes\n" } else { "" };
        format!(
            r#"#!/bin/sh
adapt=no links=yes
for arg do
  shift
  case $arg in
    --target=*) continue ;;
    -c | -E | -S | -M | -MM) links=no ;;
    {ADAPTED}) adapt=yes ;;
  esac
  set -- "$@" "$arg"
done
{adapt_links}[ "$adapt" = yes ] || exec {program} {command} {target_args} "$@"
export CARGO_ZIGBUILD_ZIG_COMMAND={program} CARGO_ZIGBUILD_ZIG_VERSION={version}
export CARGO_ZIGBUILD_RUSTC_VERSION={rustc_version}
exec {exe} zig {command} -- {target_args} "$@"
"#,
            version = zig.version,
        )
    }

    /// Returns a script for a tool that needs no target, such as `zig ar`.
    pub(crate) fn tool(&self, command: &str) -> String {
        format!("#!/bin/sh\nexec {} {command} \"$@\"\n", quote_path(&self.zig.path))
    }
}

/// Shell patterns for arguments that `zig cc` rejects or treats differently from gcc and clang. cargo-zigbuild's library
/// and `linker::zig_args` adapt them.
const ADAPTED: &str = "-Wl,* | -Wp,* | -march=* | -mcpu=* | -mtune=* | -target | -Xarch_* | -static-pie | -e?* | -lc | -lgcc_s | @* | *self-contained*";

fn quote_path(path: &Path) -> String {
    quote(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use semver::Version;

    use super::*;
    use crate::process::Cmd;

    /// Runs a compiler script whose programs print their arguments.
    fn run(target: &str, args: &str) -> String {
        let zig = ZigProgram { path: "echo".into(), version: Version::new(0, 15, 2) };
        let target_args = format!("-target {target}");
        let scripts = ZigScripts {
            zig: &zig,
            rustc_version: "1.90.0",
            exe: Path::new("echo"),
            target_args: &target_args,
            adapts_links: target.starts_with("arm"),
        };
        let script = scripts.compiler("cc");
        let words = args.split(' ').map(str::to_owned);
        Cmd::new("sh").args(["-c", &script, "cc"]).args(words).read().unwrap().trim().to_owned()
    }

    #[test]
    fn zig_runs_directly_unless_an_argument_has_to_be_adapted() {
        for (target, args, expected) in [
            ("aarch64", "-c a.c -o a.o", "cc -target aarch64 -c a.c -o a.o"),
            ("aarch64", "--target=aarch64-unknown-linux-musl -E a.c", "cc -target aarch64 -E a.c"),
            ("aarch64", "a.c -lm -o a", "cc -target aarch64 a.c -lm -o a"),
            ("aarch64", "a.o -lc -o a", "zig cc -- -target aarch64 a.o -lc -o a"),
            ("aarch64", "a.o -Wl,--strip-debug", "zig cc -- -target aarch64 a.o -Wl,--strip-debug"),
            ("aarch64", "-march=armv8-a -c a.c", "zig cc -- -target aarch64 -march=armv8-a -c a.c"),
            ("aarch64", "@/tmp/linker-arguments", "zig cc -- -target aarch64 @/tmp/linker-arguments"),
            ("arm", "-c a.c", "cc -target arm -c a.c"),
            ("arm", "a.c -o a", "zig cc -- -target arm a.c -o a"),
        ] {
            assert_eq!(run(target, args), expected, "{target} {args}");
        }
    }

    #[test]
    fn arguments_keep_their_spaces_and_quotes() {
        let args = "-DX=\"a\tb\" -c it's.c";
        assert_eq!(run("aarch64", args), format!("cc -target aarch64 {args}"));
    }
}
