//! Checks that the templates in docs/templates.md render.

use super::blocks;
use crate::support::Project;

/// A configuration that sets keys that a template must not ignore.
const CONFIG: &str = "template = 'docker/app.Dockerfile.j2'\nbase = 'alpine:3.22'\nuser = '1000'\n\
    env = { LEVEL = 'info' }\nbuild-args = { GREETING = 'hello' }\n";

#[test]
fn templates_render_for_every_platform() {
    let blocks = blocks();
    let templates = blocks.iter().filter(|block| block.page == "docs/templates.md" && block.language == "dockerfile");
    let mut rendered = 0;
    for template in templates {
        let name =
            template.attribute("name").unwrap_or_else(|| panic!("a template without a name:\n{}", template.text));
        let project = Project::with_config(CONFIG).file("docker/app.Dockerfile.j2", &template.text);
        let dockerfile = project.run(&["dockerfile"]).finish().stdout;
        for platform in ["linux-amd64", "linux-arm64"] {
            let from = format!("FROM alpine:3.22 AS platform-{platform}");
            assert!(dockerfile.contains(&from), "{name} has no stage for {platform}:\n{dockerfile}");
        }
        rendered += 1;
    }
    assert!(rendered >= 5, "only {rendered} templates were found");
}
