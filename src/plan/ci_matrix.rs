//! Where CI compiles: the forges, and for each platform the runner that is its own. Pure.

use clap::ValueEnum;
use serde::Serialize;

use super::Plan;
use crate::error::{Class, Failure};
use crate::platform::Platform;

/// Where a repository and its CI live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CiService {
    #[value(name = "github")]
    GitHub,
    #[value(name = "gitlab")]
    GitLab,
    Forgejo,
}

/// The job that compiles a platform.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct CiJob {
    pub platform: &'static str,
    /// Fit for the name of its bundle.
    pub bundle: String,
    pub runner: &'static str,
}

/// The jobs as `strategy: matrix:` takes them.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Matrix {
    include: Vec<CiJob>,
}

const ARM64: &str = "aarch64-unknown-linux-gnu";

impl CiService {
    /// The runners for programs of x86-64 and arm64; those for other platforms compile on the first.
    pub fn runners(self) -> [&'static str; 2] {
        match self {
            CiService::GitHub => ["ubuntu-24.04", "ubuntu-24.04-arm"],
            CiService::GitLab => ["saas-linux-small-amd64", "saas-linux-small-arm64"],
            CiService::Forgejo => ["docker", "docker-arm64"],
        }
    }

    /// A job for each platform of the plan's images, also where two have one runner.
    pub fn jobs(self, plan: &Plan) -> Vec<CiJob> {
        let mut platforms: Vec<Platform> = plan.platforms().map(|platform| platform.platform).collect();
        platforms.sort_unstable();
        platforms.dedup();
        platforms.into_iter().map(|platform| self.job(platform)).collect()
    }

    fn job(self, platform: Platform) -> CiJob {
        let [first, arm64] = self.runners();
        let runner = if platform.is_native_to(ARM64) { arm64 } else { first };
        CiJob { platform: platform.name(), bundle: platform.stage_suffix(), runner }
    }

    /// The jobs for a workflow that reads them from a job before.
    pub fn matrix(self, plan: &Plan) -> Result<Matrix, Failure> {
        match self.takes_matrix() {
            true => Ok(Matrix { include: self.jobs(plan) }),
            false => {
                Err(Failure::new(Class::Config, "GitLab takes no matrix from a job: it knows its jobs before one runs")
                    .hint("have the jobs written: `cargo multiarch init --ci gitlab --ci-native`"))
            }
        }
    }

    /// Does it know a workflow's jobs only when it runs?
    pub fn takes_matrix(self) -> bool {
        self != CiService::GitLab
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_each_platform_is_compiled() {
        for (platform, bundle, native) in [
            ("linux/amd64", "linux-amd64", 0),
            ("linux/amd64/v3", "linux-amd64v3", 0),
            ("linux/386", "linux-386", 0),
            ("linux/arm64", "linux-arm64", 1),
            ("linux/arm/v7", "linux-armv7", 0),
            ("linux/riscv64", "linux-riscv64", 0),
            ("linux/s390x", "linux-s390x", 0),
        ] {
            for forge in [CiService::GitHub, CiService::GitLab, CiService::Forgejo] {
                let job = forge.job(platform.parse().unwrap());
                let expected = CiJob { platform, bundle: bundle.to_owned(), runner: forge.runners()[native] };
                assert_eq!(job, expected, "{forge:?}");
            }
        }
    }
}
