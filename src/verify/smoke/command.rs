//! Determines the command of a smoke run: the one that `docker run` with the configured arguments would start.

use anyhow::Result;
use oci_spec::image::ImageConfiguration;

use crate::error::{Class, Failure};
use crate::oci::capabilities::FileCapabilities;
use crate::oci::rootfs::{RootFs, file_name};
use crate::platform::Platform;
use crate::process;
use crate::verify::exec_chain;
use crate::verify::exec_context::{DEFAULT_PATH, ExecContext, User};

/// A program in an image, with its arguments and environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SmokeCommand {
    /// Entrypoint with its arguments.
    pub words: Vec<String>,
    /// Absolute path of the program, after following links.
    pub program: String,
    /// Whether the program is a binary that starts no other program.
    pub is_single_program: bool,
    /// Environment variables as `NAME=VALUE`.
    pub env: Vec<String>,
    /// Absolute path of the working directory.
    pub workdir: String,
    pub user: Option<User>,
    /// Capabilities without which the kernel does not start the programs.
    pub capabilities: FileCapabilities,
}

impl SmokeCommand {
    /// Returns the command that an image runs with these arguments. If there are none, the image's CMD is used.
    pub(crate) fn new(
        arguments: &[String],
        root: &RootFs,
        platform: Platform,
        config: &ImageConfiguration,
    ) -> Result<SmokeCommand> {
        let mut config = config.clone();
        let mut container = config.config().clone().unwrap_or_default();
        if !arguments.is_empty() {
            container.set_cmd(Some(arguments.to_vec()));
        }
        let entrypoint = container.entrypoint().clone().unwrap_or_default();
        let words = [entrypoint, container.cmd().clone().unwrap_or_default()].concat();
        let mut env = container.env().clone().unwrap_or_default();
        config.set_config(Some(container));
        let (context, _) = ExecContext::new(root, platform, &config);
        let chain = exec_chain::follow(&context);
        let Some(program) = chain.program else {
            let (problem, fix) = match chain.findings.first() {
                Some(finding) => (finding.to_string(), finding.fix.clone()),
                None => Default::default(),
            };
            let message = format!("{platform}: smoke run cannot start: {problem}");
            return Err(Failure::new(Class::Verify, message).hint(fix).into());
        };
        let is_root = context.user.as_ref().is_none_or(|user| user.uid == 0);
        for (name, default) in [("PATH", DEFAULT_PATH), ("HOME", if is_root { "/root" } else { "/" })] {
            if context.env_var(name).is_none() {
                env.push(format!("{name}={default}"));
            }
        }
        let is_single_program =
            matches!(chain.programs.as_slice(), [only] if only.path == program.trim_start_matches('/'));
        let capabilities = chain.programs.iter().filter_map(|started| context.file(&started.path)?.1.capabilities);
        let capabilities = capabilities.fold(FileCapabilities::default(), FileCapabilities::union);
        let (workdir, user) = (context.workdir(), context.user);
        Ok(SmokeCommand { words, program, is_single_program, env, workdir, user, capabilities })
    }

    /// Formats the command for messages, such as `app --version`.
    pub(crate) fn display(&self) -> String {
        let name = self.words.first().map(|program| file_name(program)).unwrap_or_default();
        let words = [name].into_iter().chain(self.words.iter().skip(1).map(String::as_str));
        words.map(process::quote).collect::<Vec<_>>().join(" ")
    }
}
