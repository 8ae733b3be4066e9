//! Renders every manual page with `man` and `groff`, and expects no warnings.

use std::process::Command;

use crate::man::pages;
use crate::support::Project;

#[test]
#[ignore = "run by scripts/test"]
fn man_and_groff_accept_every_page() {
    let project = Project::empty();
    for name in pages(&project) {
        let page = project.path().join("share/man1").join(&name);
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l"]).env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8");
        let mut groff = Command::new("groff");
        groff.args(["-man", "-ww", "-z"]);
        for command in [&mut man, &mut groff] {
            let output = command.arg(&page).output().unwrap();
            assert!(output.status.success(), "{name}");
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{name}");
        }
        let text = String::from_utf8(man.output().unwrap().stdout).unwrap();
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let title = name.trim_end_matches(".1").to_uppercase();
        assert!(words.starts_with(&format!("{title}(1) Cargo Multiarch {title}(1) NAME ")), "{text}");
        assert!(words.contains(" SYNOPSIS cargo multiarch "), "{text}");
    }
}
