//! Chooses where the packages of sysroots come from: this machine's apt, or a Debian archive.

use super::signature::Verifier;

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
    /// No mirror is set, and this program, which is part of apt, is not installed.
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
}
