//! Chooses where the packages of sysroots come from: this machine's apt, or a Debian archive.

use super::signature::{self, Verifier};
use crate::compile::linker::errors::sysroot_by_hand;
use crate::error::{Class, Failure};
use crate::host::Os;
use crate::plan::debian_mirror;

/// Where the packages of sysroots come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum SysrootSource {
    #[default]
    Apt,
    /// The archives in `debian-mirror`.
    Archive(Verifier),
    None(MissingSource),
}

/// Why no source can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MissingSource {
    /// No mirror is set, and this program of apt is not installed.
    Apt(&'static str),
    /// A mirror is set, but no program that verifies signatures is installed.
    Verifier,
}

impl SysrootSource {
    /// A configured mirror is used even if apt is installed, so that all machines use the same packages.
    pub(crate) fn choose(
        has_mirror: bool,
        verifier: Option<Verifier>,
        missing_apt_program: Option<&'static str>,
    ) -> SysrootSource {
        match (has_mirror, verifier, missing_apt_program) {
            (true, Some(verifier), _) => SysrootSource::Archive(verifier),
            (true, None, _) => SysrootSource::None(MissingSource::Verifier),
            (false, _, None) => SysrootSource::Apt,
            (false, _, Some(program)) => SysrootSource::None(MissingSource::Apt(program)),
        }
    }
}

impl MissingSource {
    /// Returns the error for a target whose `packages` cannot be fetched.
    pub(crate) fn failure(self, triple: &str, packages: &str, os: Os) -> Failure {
        let fetching = format!("{triple}: fetching {packages}");
        let program = match self {
            MissingSource::Verifier => return signature::no_verifier(&fetching).hint(sysroot_by_hand(triple)),
            MissingSource::Apt(program) => program,
        };
        let message = format!("{fetching} requires {program}, which is not installed, or a Debian mirror");
        let failure = Failure::new(Class::Toolchain, message)
            .hint(format!("set the mirror and the Debian release: debian-mirror = \"{}\"", debian_mirror::EXAMPLE));
        let failure =
            if os == Os::Debian { failure.hint("or install apt: `apt-get install apt dpkg`") } else { failure };
        failure.hint(sysroot_by_hand(triple))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_preferred_to_apt() {
        let (sqv, gpgv) = (Some(Verifier::Sqv), Some(Verifier::Gpgv));
        for (has_mirror, verifier, missing, expected) in [
            (false, None, None, SysrootSource::Apt),
            (false, gpgv, None, SysrootSource::Apt),
            (true, gpgv, None, SysrootSource::Archive(Verifier::Gpgv)),
            (true, sqv, Some("apt-get"), SysrootSource::Archive(Verifier::Sqv)),
            (true, None, None, SysrootSource::None(MissingSource::Verifier)),
            (false, gpgv, Some("apt-get"), SysrootSource::None(MissingSource::Apt("apt-get"))),
        ] {
            assert_eq!(SysrootSource::choose(has_mirror, verifier, missing), expected);
        }
    }

    #[test]
    fn errors_explain_what_to_set_or_install() {
        for (os, names_apt) in [(Os::Debian, true), (Os::Mac, false), (Os::Fedora, false)] {
            let failure = MissingSource::Apt("apt-get").failure("x", "libssl-dev", os);
            let hints = failure.hints().join("\n");
            assert!(hints.contains("debian-mirror = \"https://mirror.example/debian trixie\""), "{hints}");
            assert_eq!(hints.contains("apt-get install"), names_apt, "{hints}");
        }
    }
}
