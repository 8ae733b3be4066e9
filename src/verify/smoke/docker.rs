//! A platform's image in Docker: loaded under a name that is gone again afterwards, and run without a network.

use anyhow::Result;
use camino::Utf8Path;

use super::{Ran, follow};
use crate::image::load::load_platform;
use crate::oci::layout::Layout;
use crate::plan::Image;
use crate::platform::Platform;
use crate::process::{Cmd, check_interrupt};
use crate::ui::Ui;

/// What came of it, or why Docker did not run it; `unknown` where nobody knows whether its kernel can.
pub fn run(
    image: &Image,
    layout: &Layout,
    platform: Platform,
    words: &[String],
    unknown: bool,
    dir: &Utf8Path,
    ui: &Ui,
) -> Result<Result<Ran, String>> {
    let tag = format!("{}-{}", platform.stage_suffix(), std::process::id());
    let (reference, container) = (
        format!("multiarch-smoke/{}:{tag}", image.name),
        format!("multiarch-smoke-{}-{tag}", image.name.replace('/', "-")),
    );
    let names = [reference.clone()];
    let file = dir.join("image.tar");
    let ran = match load_platform("docker", layout, platform, &names, &file, ui) {
        Err(error) => check_interrupt().map_err(anyhow::Error::from).map(|()| Err(error.to_string())),
        Ok(()) => {
            let options = ["run", "--rm", "--name", &container, "--platform", platform.name()];
            let cmd = Cmd::new("docker").args(options).args(["--network", "none", "--pull", "never", &reference]);
            follow(&cmd.args(words), ui).map(Ok)
        }
    };
    if !matches!(&ran, Ok(Ok(Ran { status: Some(_), .. }))) {
        Cmd::new("docker").args(["rm", "--force", &container]).undo();
    }
    Cmd::new("docker").args(["image", "rm", &reference]).undo();
    Ok(ran?.and_then(|ran| match refused(&ran, unknown) {
        Some(why) => Err(why),
        None => Ok(ran),
    }))
}

/// docker-run(1): 125 is Docker's own; and a kernel without QEMU cannot execute what is for another machine.
fn refused(ran: &Ran, unknown: bool) -> Option<String> {
    let said = |wanted: &dyn Fn(&str) -> bool| ran.last.iter().find(|line| wanted(line)).cloned();
    match ran.status?.code()? {
        125 => said(&|line| line.starts_with("docker: ")),
        code if code != 0 && unknown => said(&|line| line.contains("exec format error")),
        _ => None,
    }
}
