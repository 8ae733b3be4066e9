//! Runs one platform's image in Docker, under a temporary name and without network access.

use anyhow::Result;
use camino::Utf8Path;

use super::run::{Attempt, FinishedRun, run_command};
use crate::image::load::load_platform;
use crate::oci::capabilities::FileCapabilities;
use crate::oci::layout::Layout;
use crate::platform::Platform;
use crate::process::{Cmd, check_interrupt};
use crate::ui::Ui;

/// A smoke run of one platform in Docker.
pub(crate) struct DockerRun<'a> {
    /// Name of the image in the plan.
    pub image: &'a str,
    pub layout: &'a Layout,
    pub platform: Platform,
    /// Arguments to the entrypoint.
    pub arguments: &'a [String],
    /// Capabilities that the programs require.
    pub capabilities: FileCapabilities,
    /// Whether Docker's kernel may be unable to run programs for the platform.
    pub may_lack_emulation: bool,
    /// Directory for a temporary archive.
    pub dir: &'a Utf8Path,
}

impl DockerRun<'_> {
    pub(crate) fn run(&self, ui: &Ui) -> Result<Attempt> {
        let tag = format!("{}-{}", self.platform.stage_suffix(), std::process::id());
        let reference = format!("multiarch-smoke/{}:{tag}", self.image);
        let container = format!("multiarch-smoke-{}-{tag}", self.image.replace('/', "-"));
        let result = self.load_and_run(&reference, &container, ui);
        if !matches!(&result, Ok(Attempt::Finished(FinishedRun { status: Some(_), .. }))) {
            Cmd::new("docker").args(["rm", "--force", &container]).undo();
        }
        Cmd::new("docker").args(["image", "rm", &reference]).undo();
        match result? {
            Attempt::Finished(run) => Ok(match self.docker_error(&run) {
                Some(reason) => Attempt::NotRun(reason),
                None => Attempt::Finished(run),
            }),
            not_run @ Attempt::NotRun(_) => Ok(not_run),
        }
    }

    fn load_and_run(&self, reference: &str, container: &str, ui: &Ui) -> Result<Attempt> {
        let (names, archive) = ([reference.to_owned()], self.dir.join("image.tar"));
        if let Err(error) = load_platform("docker", self.layout, self.platform, &names, &archive, ui) {
            check_interrupt()?;
            return Ok(Attempt::NotRun(error.to_string()));
        }
        let cmd = Cmd::new("docker")
            .args(["run", "--rm", "--name", container, "--platform", self.platform.name()])
            .args(self.capabilities.names().iter().flat_map(|name| ["--cap-add".to_owned(), name.to_ascii_uppercase()]))
            .args(["--network", "none", "--pull", "never", reference])
            .args(self.arguments);
        Ok(Attempt::Finished(run_command(&cmd, ui)?))
    }

    /// Returns the error message if Docker could not run the image. Exit code 125 means that Docker itself failed
    /// (docker-run(1)). An exec format error means that the kernel has no QEMU for the platform's architecture.
    fn docker_error(&self, run: &FinishedRun) -> Option<String> {
        let mut lines = run.last_lines.iter();
        match run.status?.code()? {
            125 => lines.find(|line| line.starts_with("docker: ")).cloned(),
            0 => None,
            _ if self.may_lack_emulation => lines.find(|line| line.contains("exec format error")).cloned(),
            _ => None,
        }
    }
}
