//! A fake cargo whose builds produce ready-made programs, so that the results are the same on every machine.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Fakes, find};

/// The architectures in target triples, and their ELF machine numbers.
const MACHINES: [(&str, u16); 2] = [("x86_64", 62), ("aarch64", 183)];

/// Creates a minimal static ELF file. It consists only of headers and is never run.
pub fn program(machine: u16) -> Vec<u8> {
    const HEAD: u64 = 64 + 56;
    const ADDRESS: u64 = 0x40_0000;
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(16, 0);
    let halves =
        |program: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|value| program.extend(value.to_le_bytes()));
    let words =
        |program: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|value| program.extend(value.to_le_bytes()));
    let longs =
        |program: &mut Vec<u8>, values: &[u64]| values.iter().for_each(|value| program.extend(value.to_le_bytes()));
    // An executable (ET_EXEC) with an entry point and program headers, but without sections.
    halves(&mut program, &[2, machine]);
    words(&mut program, &[1]);
    longs(&mut program, &[ADDRESS + HEAD, 64, 0]);
    words(&mut program, &[0]);
    halves(&mut program, &[64, 56, 1, 0, 0, 0]);
    // One segment (PT_LOAD) that maps the whole file as readable and executable.
    words(&mut program, &[1, 5]);
    longs(&mut program, &[0, ADDRESS, ADDRESS, HEAD + 8, HEAD + 8, 0x1000]);
    longs(&mut program, &[0]);
    program
}

/// The JSON message that `cargo build` prints for each binary and target.
const MESSAGE: &str = r#"{"reason":"compiler-artifact","package_id":"path+file://%s#app@1.2.3","manifest_path":"%s/Cargo.toml","target":{"kind":["bin"],"crate_types":["bin"],"name":"%s","src_path":"%s/src/main.rs","edition":"2021","doc":true,"doctest":false,"test":true},"profile":{"opt_level":"3","debuginfo":0,"debug_assertions":false,"overflow_checks":false,"test":false},"features":[],"filenames":["%s"],"executable":"%s","fresh":false}\n"#;

/// Creates the fake cargo, with links to the real rustc and git.
pub fn tools() -> Fakes {
    let script = format!(
        "[ \"$1\" = build ] || exec '{cargo}' \"$@\"\nprograms=$(dirname \"$0\")\n\
         while [ $# -gt 0 ]; do\n  case $1 in\n    --manifest-path) dir=$(dirname \"$2\") ;;\n    --bin) bins=\"$bins $2\" ;;\n    \
         --target) triples=\"$triples $2\" ;;\n  esac\n  shift\ndone\n\
         for triple in $triples; do\n  out=$dir/target/$triple/release\n  mkdir -p \"$out\"\n  for bin in $bins; do\n    \
         cp \"$programs/${{triple%%-*}}\" \"$out/$bin\"\n    \
         printf '{MESSAGE}' \"$dir\" \"$dir\" \"$bin\" \"$dir\" \"$out/$bin\" \"$out/$bin\"\n  done\ndone\n\
         echo '{{\"reason\":\"build-finished\",\"success\":true}}'",
        cargo = find("cargo").unwrap().display(),
    );
    let fakes = Fakes::new().program("cargo", &format!("PATH=$PATH:/usr/bin:/bin\n{script}")).real("rustc").real("git");
    for (name, machine) in MACHINES {
        let path = fakes.path().join(name);
        std::fs::write(&path, program(machine)).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    fakes
}
