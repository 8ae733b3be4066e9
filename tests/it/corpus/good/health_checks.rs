//! Good images: health checks that run, or that Docker ignores.

use super::*;
use crate::corpus::case::{Case, good};

pub fn cases() -> Vec<Case> {
    let checked = |test: &[&str]| slim_with([hello()]).healthcheck(test);
    vec![
        good("a health check with the program itself", checked(&["CMD", "/app", "health"])),
        good("a shell health check with a conditional program", {
            checked(&["CMD-SHELL", "if test -e /ready; then curl localhost; fi"])
        }),
        good("a shell health check with a fallback", checked(&["CMD-SHELL", "/app || wget localhost"])),
        good("a disabled health check", checked(&["NONE"])),
        good("a health check without a command", checked(&[])),
        good("a health check of an unknown kind", checked(&["HTTP", "http://localhost/"])),
        good("a static-only image with a dynamically linked health check", checked(&["CMD-SHELL", "exit 0"]))
            .args(&["--static-only"]),
    ]
}
