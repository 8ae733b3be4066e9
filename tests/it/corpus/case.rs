//! A test case: an image, the findings that `verify` must report for it, and how another tool confirms them.

use super::image::Layout;

/// How a case is confirmed independently of `verify`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Proof {
    /// Docker runs the image: a good one prints `hello`, and a broken one fails.
    Run,
    /// The emulator for the image's platform rejects the program, although this machine may be able to run it.
    Emulated,
    /// Docker refuses to load the image, or skopeo refuses to copy it.
    Refused,
    /// No other tool can confirm this case: the image may start despite the defect, or start only on some CPUs.
    None,
}

/// A finding that `verify` must report.
#[derive(Debug, Clone)]
pub struct Finding {
    pub code: &'static str,
    /// Another code that is accepted instead of `code`.
    pub alternative: Option<&'static str>,
    /// Platform of the finding. `None` matches any platform.
    pub platform: Option<&'static str>,
    /// File that the finding must name. `None` matches any file.
    pub file: Option<&'static str>,
}

/// Creates an expected finding. An empty `file` matches any file.
pub fn finding(code: &'static str, file: &'static str) -> Finding {
    Finding { code, alternative: None, platform: None, file: Some(file).filter(|file| !file.is_empty()) }
}

impl Finding {
    pub fn or(mut self, code: &'static str) -> Finding {
        self.alternative = Some(code);
        self
    }

    pub fn on(mut self, platform: &'static str) -> Finding {
        self.platform = Some(platform);
        self
    }

    pub fn is_warning(&self) -> bool {
        ["MA006", "MA033", "MA044", "MA053"].contains(&self.code)
    }
}

pub struct Case {
    pub name: &'static str,
    pub layout: Layout,
    /// Arguments for `verify` in addition to the image.
    pub args: &'static [&'static str],
    /// Expected findings. Empty for a good image.
    pub findings: Vec<Finding>,
    /// Codes of other errors that `verify` may report because of the same defect.
    pub optional: &'static [&'static str],
    pub proof: Proof,
}

/// Creates a case in which `verify` must not report anything.
pub fn good(name: &'static str, layout: impl Into<Layout>) -> Case {
    Case { name, layout: layout.into(), args: &[], findings: Vec::new(), optional: &[], proof: Proof::Run }
}

/// Creates a case in which `verify` must report `finding`.
pub fn broken(name: &'static str, layout: impl Into<Layout>, finding: Finding) -> Case {
    let mut case = good(name, layout);
    if case.layout.images.len() > 1 {
        assert!(finding.platform.is_some() || finding.file.is_none(), "{name}: the finding needs a platform");
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

    pub fn may_also_report(mut self, codes: &'static [&'static str]) -> Case {
        self.optional = codes;
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

    pub fn without_proof(mut self) -> Case {
        self.proof = Proof::None;
        self
    }
}
