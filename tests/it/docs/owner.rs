//! Checks that all files name the same owner of the repository as Cargo.toml.

use std::collections::BTreeSet;

use regex::Regex;

use super::{pages, root};

#[test]
fn files_name_the_owner_of_cargo_toml() {
    let mut files = pages();
    for path in ["Cargo.toml", "SECURITY.md", ".github/ISSUE_TEMPLATE/config.yml"] {
        files.push((path.to_owned(), std::fs::read_to_string(root().join(path)).unwrap()));
    }
    let named =
        Regex::new(r"(?:github\.com/|ghcr\.io/|uses: |--repo |brew install )([\w-]+)/(?:cargo-multiarch|tap)\b")
            .unwrap();
    let repository = env!("CARGO_PKG_REPOSITORY");
    let owner = repository.strip_prefix("https://github.com/").unwrap().strip_suffix("/cargo-multiarch").unwrap();
    let mut found = BTreeSet::new();
    for (file, text) in files {
        for name in named.captures_iter(&text) {
            assert_eq!(&name[1], owner, "{file}: {}", &name[0]);
            found.insert(file.clone());
        }
    }
    assert!(found.len() >= 7, "{found:?}");
}
