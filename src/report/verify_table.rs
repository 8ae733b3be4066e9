//! The table that `verify` prints.

use indexmap::IndexSet;

use crate::ui::table;
use crate::verify::{InspectedImage, InspectedPlatform};

/// Renders one block per image with a row per platform.
pub(crate) fn render(images: &[InspectedImage], width: Option<usize>) -> String {
    images.iter().map(|image| image_block(image, width)).collect::<Vec<_>>().join("\n\n")
}

fn image_block(image: &InspectedImage, width: Option<usize>) -> String {
    let mut lines = vec![heading(image)];
    let mut rows = vec![["PLATFORM", "STARTS", "LIBC", "BASE", "RESULT"].map(str::to_owned)];
    rows.extend(image.platforms.iter().map(|platform| row(image, platform)));
    lines.extend(table::render_rows(&rows, width));
    lines.join("\n")
}

/// Returns the image reference, followed by the digest unless the reference already contains it.
fn heading(image: &InspectedImage) -> String {
    let reference = &image.reference;
    match &image.digest {
        Some(digest) if !reference.contains(digest) => {
            // A path followed by `@sha256:…` would not be a valid reference.
            let is_layout = ["oci:", "oci-archive:"].iter().any(|transport| reference.starts_with(transport));
            let separator = if is_layout { " " } else { "@" };
            format!("{reference}{separator}{digest}")
        }
        _ => reference.clone(),
    }
}

fn row(image: &InspectedImage, platform: &InspectedPlatform) -> [String; 5] {
    let facts = &platform.facts;
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let libc = match (&facts.glibc, &facts.libc) {
        (Some(required), Some(present)) => format!("{present}, needs {required}"),
        (Some(required), None) => format!("needs glibc {required}"),
        (None, present) => or_dash(present),
    };
    [platform.platform.clone(), or_dash(&facts.program), libc, or_dash(&facts.distribution), result(image, platform)]
}

/// Returns `ok` or the codes of the platform's findings, followed by the allowed codes. Includes findings about the
/// platform's entry in the index.
fn result(image: &InspectedImage, platform: &InspectedPlatform) -> String {
    let index_findings = image.findings.iter().filter(|finding| finding.platform.as_ref() == Some(&platform.platform));
    let codes: IndexSet<&str> = index_findings.chain(&platform.findings).map(|finding| finding.code.0.code).collect();
    let found = if codes.is_empty() { "ok".to_owned() } else { Vec::from_iter(codes).join(" ") };
    if platform.allowed.is_empty() {
        return found;
    }
    let allowed: Vec<&str> = platform.allowed.iter().map(String::as_str).collect();
    format!("{found} ({} allowed)", allowed.join(" "))
}
