//! What a smoke run starts, as a container of the image would be started with words of one's own. Pure.

use anyhow::Result;
use oci_spec::image::ImageConfiguration;

use crate::error::{Class, Failure};
use crate::oci::rootfs::RootFs;
use crate::platform::Platform;
use crate::process;
use crate::verify::exec_chain::follow;
use crate::verify::exec_context::{self, ExecContext, User};

/// A program in an image, with what it is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The entrypoint and the words after it.
    pub command: Vec<String>,
    /// The file that is, from the root, with no link on the way.
    pub program: String,
    /// It is no script and starts no other program.
    pub alone: bool,
    /// `NAME=VALUE`
    pub env: Vec<String>,
    /// From the root, with a leading slash.
    pub workdir: String,
    pub user: Option<User>,
}

impl Start {
    /// Without words it is what the image starts by itself.
    pub fn new(words: &[String], tree: &RootFs, platform: Platform, config: &ImageConfiguration) -> Result<Start> {
        let mut config = config.clone();
        let mut container = config.config().clone().unwrap_or_default();
        if !words.is_empty() {
            container.set_cmd(Some(words.to_vec()));
        }
        let entrypoint = container.entrypoint().clone().unwrap_or_default();
        let command = [entrypoint, container.cmd().clone().unwrap_or_default()].concat();
        let mut env = container.env().clone().unwrap_or_default();
        config.set_config(Some(container));
        let (root, _) = ExecContext::new(tree, platform, &config);
        let way = follow(&root);
        let Some(program) = way.program else {
            let what = way.findings.first().map(|finding| (finding.to_string(), finding.fix.clone()));
            let (what, fix) = what.unwrap_or_default();
            return Err(Failure::new(Class::Verify, format!("{platform}: its smoke run starts nothing: {what}"))
                .hint(fix)
                .into());
        };
        let is_root = root.user.as_ref().is_none_or(|user| user.uid == 0);
        for (name, usual) in [("PATH", exec_context::PATH), ("HOME", if is_root { "/root" } else { "/" })] {
            if root.variable(name).is_none() {
                env.push(format!("{name}={usual}"));
            }
        }
        let program_itself = program.trim_start_matches('/');
        let alone = matches!(way.programs.as_slice(), [only] if only.path == program_itself);
        Ok(Start { command, program, alone, env, workdir: root.workdir(), user: root.user })
    }

    /// The command as it is told: `app --version`.
    pub fn line(&self) -> String {
        let name = self.command.first().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
        let words = [name].into_iter().chain(self.command.iter().skip(1).map(String::as_str));
        words.map(process::quote).collect::<Vec<_>>().join(" ")
    }
}
