//! Supported CI services, and the jobs that each compile one platform.

use std::collections::BTreeSet;

use clap::ValueEnum;
use serde::Serialize;

use super::Image;
use crate::error::{Class, Failure};
use crate::platform::Platform;

/// A supported CI service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CiService {
    #[value(name = "github")]
    GitHub,
    #[value(name = "gitlab")]
    GitLab,
    Forgejo,
}

/// A CI job that compiles one platform.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CiJob {
    pub platform: &'static str,
    /// Name of the bundle that the job creates.
    pub bundle: String,
    pub runner: &'static str,
}

/// A job matrix in the format of a workflow's `strategy.matrix`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Matrix {
    include: Vec<CiJob>,
}

const ARM64: &str = "aarch64-unknown-linux-gnu";

impl CiService {
    /// Returns the names of the x86-64 and arm64 runners, in this order. The x86-64 runner also compiles for all other
    /// platforms.
    pub(crate) fn runners(self) -> [&'static str; 2] {
        match self {
            CiService::GitHub => ["ubuntu-24.04", "ubuntu-24.04-arm"],
            CiService::GitLab => ["saas-linux-small-amd64", "saas-linux-small-arm64"],
            CiService::Forgejo => ["docker", "docker-arm64"],
        }
    }

    /// Returns one job for each platform that any of the images supports.
    pub(crate) fn jobs(self, images: &[Image]) -> Vec<CiJob> {
        let platforms: BTreeSet<Platform> =
            images.iter().flat_map(|image| &image.platforms).map(|platform| platform.platform).collect();
        platforms.into_iter().map(|platform| self.job(platform)).collect()
    }

    fn job(self, platform: Platform) -> CiJob {
        let [x86_64, arm64] = self.runners();
        let runner = if platform.is_native_to(ARM64) { arm64 } else { x86_64 };
        CiJob { platform: platform.name(), bundle: platform.stage_suffix(), runner }
    }

    /// Returns the jobs as a matrix, for workflows that compute their jobs at run time.
    pub(crate) fn matrix(self, images: &[Image]) -> Result<Matrix, Failure> {
        if !self.supports_matrix() {
            let message = "GitLab does not support job matrices computed at run time";
            return Err(Failure::new(Class::Config, message)
                .hint("generate the jobs instead: `cargo multiarch init --ci gitlab --ci-native`"));
        }
        Ok(Matrix { include: self.jobs(images) })
    }

    /// Reports whether a workflow can compute its jobs at run time.
    pub(crate) fn supports_matrix(self) -> bool {
        self != CiService::GitLab
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_on_native_runners() {
        for (platform, bundle, native) in [
            ("linux/amd64", "linux-amd64", 0),
            ("linux/amd64/v3", "linux-amd64v3", 0),
            ("linux/386", "linux-386", 0),
            ("linux/arm64", "linux-arm64", 1),
            ("linux/arm/v7", "linux-armv7", 0),
            ("linux/riscv64", "linux-riscv64", 0),
            ("linux/s390x", "linux-s390x", 0),
        ] {
            for service in [CiService::GitHub, CiService::GitLab, CiService::Forgejo] {
                let job = service.job(platform.parse().unwrap());
                let expected = CiJob { platform, bundle: bundle.to_owned(), runner: service.runners()[native] };
                assert_eq!(job, expected, "{service:?}");
            }
        }
    }
}
