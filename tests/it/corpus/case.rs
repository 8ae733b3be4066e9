//! A case of the corpus: an image, what `verify` must find in it, and how that is known to be right.

use super::image::Layout;

/// How a label is proved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Proof {
    /// The image is run: a good one prints `hello`, a broken one fails.
    Run,
    /// This machine would run it all the same, with an emulator or without; the emulator of the machine that the
    /// platform names refuses the file of the finding.
    Emulated,
    /// Docker does not load the image, or skopeo does not copy it.
    Refused,
    /// By its bytes only: it is no matter of starting, or takes another CPU than this one.
    Bytes,
}

/// A finding that must be there.
#[derive(Debug, Clone)]
pub struct Finding {
    pub code: &'static str,
    /// Another code that says it as well.
    pub or: Option<&'static str>,
    /// None is any: that of an image with one platform need not be said.
    pub platform: Option<&'static str>,
    /// What the finding names.
    pub file: Option<&'static str>,
}

/// A finding of a code, about a file (or nothing, with an empty one).
pub fn finds(code: &'static str, file: &'static str) -> Finding {
    Finding { code, or: None, platform: None, file: Some(file).filter(|file| !file.is_empty()) }
}

impl Finding {
    pub fn or(mut self, code: &'static str) -> Finding {
        self.or = Some(code);
        self
    }

    pub fn on(mut self, platform: &'static str) -> Finding {
        self.platform = Some(platform);
        self
    }

    pub fn is_warning(&self) -> bool {
        ["MA006", "MA033", "MA053"].contains(&self.code)
    }
}

pub struct Case {
    pub name: &'static str,
    pub layout: Layout,
    /// What `verify` is told besides the image.
    pub args: &'static [&'static str],
    /// None in a good one.
    pub findings: Vec<Finding>,
    /// Errors that follow from the same mistake, and are right to be there or not.
    pub follow: &'static [&'static str],
    pub proof: Proof,
}

/// A good image.
pub fn good(name: &'static str, layout: impl Into<Layout>) -> Case {
    Case { name, layout: layout.into(), args: &[], findings: Vec::new(), follow: &[], proof: Proof::Run }
}

/// A broken image.
pub fn broken(name: &'static str, layout: impl Into<Layout>, finding: Finding) -> Case {
    let mut case = good(name, layout);
    if case.layout.images.len() > 1 {
        assert!(finding.platform.is_some() || finding.file.is_none(), "{name}: on which platform?");
    }
    case.findings.push(finding);
    case
}

impl Case {
    pub fn and(mut self, finding: Finding) -> Case {
        self.findings.push(finding);
        self
    }

    pub fn args(mut self, args: &'static [&'static str]) -> Case {
        self.args = args;
        self
    }

    pub fn may_follow(mut self, codes: &'static [&'static str]) -> Case {
        self.follow = codes;
        self
    }

    pub fn refused(mut self) -> Case {
        self.proof = Proof::Refused;
        self
    }

    pub fn emulated(mut self) -> Case {
        self.proof = Proof::Emulated;
        self
    }

    pub fn by_bytes(mut self) -> Case {
        self.proof = Proof::Bytes;
        self
    }
}
