//! Checks that docs/ci.md lists the inputs and outputs of action.yml.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{block, root};

#[test]
fn ci_page_lists_inputs_and_outputs_of_the_action() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let action: Value = serde_saphyr::from_str(&read("action.yml")).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let (page, steps) = (read("docs/ci.md"), block("action").text);
    let table = page.split("| input | meaning | default |\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows = table.lines().skip(1).map(|row| row.split('`').nth(1).unwrap().to_owned());
    let (inputs, outputs) = (keys(&action["inputs"]), keys(&action["outputs"]));
    assert_eq!(rows.collect::<BTreeSet<_>>(), inputs);
    let parsed: Vec<Value> = serde_saphyr::from_str(&steps).unwrap();
    let with = &parsed.iter().find(|step| step["id"] == "multiarch").unwrap()["with"];
    assert!(keys(with).is_subset(&inputs), "{with}");
    let used = steps.split("steps.multiarch.outputs.").nth(1).unwrap().split(' ').next().unwrap();
    assert!(outputs.contains(used), "{used}");
    for output in outputs {
        assert!(page.contains(&format!("`{output}`")), "docs/ci.md does not mention the output {output}");
    }
}
