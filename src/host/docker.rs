//! How to start Docker on this machine, and whether a daemon shares this machine's kernel.

use super::{Os, os};
use crate::process::find_program;

/// Products that run the daemon in a virtual machine: a part of their socket's path, and the command that starts them.
const VIRTUAL_MACHINES: [(&str, &str); 6] = [
    ("/.orbstack/", "orb start"),
    ("/.colima/", "colima start"),
    ("/.rd/", "open -a 'Rancher Desktop'"),
    ("/.lima/", "limactl start docker"),
    ("/.docker/desktop/", "systemctl --user start docker-desktop"),
    ("/podman/machine/", "podman machine start"),
];

/// Programs that come with these products, for errors that do not name a socket.
const PROGRAMS: [(&str, &str); 3] =
    [("orb", "orb start"), ("colima", "colima start"), ("podman", "podman machine start")];

/// Returns the command that starts Docker. `error` is Docker's error message, which usually contains the socket's path.
pub(crate) fn start_command(error: &str) -> &'static str {
    let is_installed = |program: &str| find_program(program).is_some();
    start_command_for(os(), error, std::path::Path::new("/Applications/Docker.app").exists(), is_installed)
}

fn start_command_for(
    os: Os,
    error: &str,
    has_docker_desktop: bool,
    is_installed: impl Fn(&str) -> bool,
) -> &'static str {
    if let Some((_, command)) = VIRTUAL_MACHINES.iter().find(|(path, _)| error.contains(path)) {
        return command;
    }
    match os {
        Os::Mac if error.contains("/.docker/run/") || has_docker_desktop => "open -a Docker",
        Os::Mac => PROGRAMS.iter().find(|(name, _)| is_installed(name)).map_or("open -a Docker", |(_, start)| start),
        // The socket of a rootless daemon.
        _ if error.contains("/run/user/") => "systemctl --user start docker",
        Os::Alpine => "sudo rc-service docker start",
        Os::Debian | Os::Fedora | Os::OtherLinux => "sudo systemctl start docker",
    }
}

/// Returns the command that lets the current user access the daemon's socket.
pub(crate) fn group_command() -> &'static str {
    match os() {
        Os::Alpine => "sudo addgroup $USER docker",
        _ => "sudo usermod -aG docker $USER",
    }
}

/// Reports whether the daemon at an endpoint, such as `unix:///var/run/docker.sock`, shares this machine's kernel. An
/// empty endpoint is the default socket.
pub(crate) fn shares_kernel(endpoint: &str) -> bool {
    super::IS_LINUX && is_local_socket(endpoint)
}

fn is_local_socket(endpoint: &str) -> bool {
    let is_socket = endpoint.is_empty() || endpoint.starts_with("unix://");
    is_socket && !VIRTUAL_MACHINES.iter().any(|(path, _)| endpoint.contains(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_the_installed_product() {
        let cannot_connect =
            |socket: &str| format!("Cannot connect to the Docker daemon at unix://{socket}. Is it up?");
        for (os, socket, has_docker_desktop, installed, expected) in [
            (Os::Debian, "/var/run/docker.sock", false, "", "sudo systemctl start docker"),
            (Os::OtherLinux, "", false, "podman", "sudo systemctl start docker"),
            (Os::Alpine, "/var/run/docker.sock", false, "", "sudo rc-service docker start"),
            (Os::Fedora, "/run/user/1000/docker.sock", false, "", "systemctl --user start docker"),
            (Os::Debian, "/home/me/.docker/desktop/docker.sock", false, "", "systemctl --user start docker-desktop"),
            (Os::Mac, "/Users/me/.docker/run/docker.sock", true, "orb", "open -a Docker"),
            (Os::Mac, "/Users/me/.orbstack/run/docker.sock", true, "", "orb start"),
            (Os::Mac, "/Users/me/.colima/default/docker.sock", false, "", "colima start"),
            (Os::Mac, "/Users/me/.rd/docker.sock", false, "", "open -a 'Rancher Desktop'"),
            (
                Os::Mac,
                "/Users/me/.local/share/containers/podman/machine/podman.sock",
                false,
                "",
                "podman machine start",
            ),
            (Os::Mac, "/var/run/docker.sock", true, "podman", "open -a Docker"),
            (Os::Mac, "/var/run/docker.sock", false, "podman", "podman machine start"),
            (Os::Mac, "", false, "orb", "orb start"),
            (Os::Mac, "", false, "", "open -a Docker"),
        ] {
            let found = start_command_for(os, &cannot_connect(socket), has_docker_desktop, |name| name == installed);
            assert_eq!(found, expected, "{os:?} {socket} {installed}");
        }
    }

    #[test]
    fn virtual_machines_have_their_own_kernel() {
        for (endpoint, expected) in [
            ("", true),
            ("unix:///var/run/docker.sock", true),
            ("unix:///run/user/1000/docker.sock", true),
            ("unix:///home/me/.docker/desktop/docker.sock", false),
            ("unix:///home/me/.lima/docker/sock/docker.sock", false),
            ("tcp://10.0.0.1:2376", false),
            ("ssh://me@build.example", false),
        ] {
            assert_eq!(is_local_socket(endpoint), expected, "{endpoint}");
        }
    }
}
