//! Runs the jobs that `init --ci` generates against a real registry that requires a login.

use super::registry::{digest, platforms};
use crate::ci::runner::Forge;
use crate::ci::{published, run_jobs};
use crate::support::{Project, service};

#[test]
#[ignore = "run by scripts/test"]
fn ci_jobs_log_in_and_publish() {
    let registry = service("MULTIARCH_TEST_AUTH_REGISTRY");
    let repository = Project::app().file(".gitignore", "/target\n").committed();
    let mut digests = Vec::new();
    for ci in ["github", "gitlab", "forgejo"] {
        for native in [false, true] {
            let owner = format!("Jobs-{ci}-{native}");
            let forge = Forge {
                repository: &repository,
                owner: &owner,
                registry: &registry,
                user: "ci",
                password: "secret-word",
            };
            let (jobs, _) = run_jobs(ci, native, forge);
            let (name, pinned) = published(&jobs);
            assert_eq!(name, format!("{registry}/{}/app:1.2.3", owner.to_lowercase()));
            assert_eq!(digest(name).as_deref(), Some(pinned));
            let names: Vec<String> = platforms(name).into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, ["linux/amd64", "linux/arm64"]);
            digests.push(pinned.to_owned());
        }
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "{digests:?}");
}
