//! Splits files with a cleartext signature, such as `InRelease`, into the signed text and the signature (RFC 9580,
//! section 7).

/// The parts of a file with a cleartext signature.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClearSigned {
    /// The text that is signed. Only this text may be used.
    pub text: String,
    /// The armored signature.
    pub signature: String,
}

const MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// Splits a file. Returns `None` if it has any other content, which would not be signed.
pub(crate) fn split(file: &str) -> Option<ClearSigned> {
    let mut lines = file.lines().map(str::trim_end);
    if lines.next() != Some(MESSAGE) || !lines.by_ref().take_while(|line| !line.is_empty()).all(is_hash_header) {
        return None;
    }
    let mut text = Vec::new();
    loop {
        match lines.next()? {
            SIGNATURE => break,
            // Lines of the text that start with a dash are escaped.
            line if line.starts_with('-') => text.push(line.strip_prefix("- ")?),
            line => text.push(line),
        }
    }
    let mut signature = vec![SIGNATURE];
    while signature.last() != Some(&END) {
        signature.push(lines.next()?);
    }
    let is_complete = lines.all(str::is_empty);
    is_complete.then(|| ClearSigned { text: text.join("\n"), signature: signature.join("\n") + "\n" })
}

fn is_hash_header(line: &str) -> bool {
    line.starts_with("Hash: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_only_files_that_are_signed_as_a_whole() {
        let signed = |text: &str| format!("{MESSAGE}\nHash: SHA512\n\n{text}\n{SIGNATURE}\n\nabc\n{END}\n");
        let plain = signed("Suite: x\n\nSHA256:");
        for (file, expected) in [
            (plain.clone(), Some("Suite: x\n\nSHA256:")),
            (plain.replace('\n', "\r\n"), Some("Suite: x\n\nSHA256:")),
            (signed("- -----BEGIN"), Some("-----BEGIN")),
            (signed("-----BEGIN PGP"), None),
            (format!("Suite: y\n{plain}"), None),
            (format!("{plain}Suite: y\n"), None),
            (format!("{plain}{plain}"), None),
            (plain.replace("Hash: SHA512\n", "Suite: y\n"), None),
            (plain.replace(END, ""), None),
            ("Suite: x\n".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(split(&file).map(|signed| signed.text).as_deref(), expected, "{file}");
        }
        assert_eq!(split(&plain).unwrap().signature, format!("{SIGNATURE}\n\nabc\n{END}\n"));
    }
}
