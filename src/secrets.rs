//! The passwords and tokens of a run, which must never be printed or written. Code that obtains a secret registers
//! it here, and code that prints or writes text masks secrets with this module.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Minimum length of a secret to be masked in messages. Masking shorter ones would garble most messages.
const MIN_LENGTH: usize = 4;
/// Minimum length of a secret to be masked in results. A shorter one, such as the password `test` of a local registry,
/// may also be part of an image's name, which must stay intact. Results do not contain text from elsewhere, except for
/// error messages, which are masked as messages.
const MIN_LENGTH_IN_RESULTS: usize = 12;
/// What is printed in place of a secret.
const MASK: &str = "…";

/// All spellings of all secrets, longest first.
static SPELLINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Registers a password or token.
pub(crate) fn register(secret: &str) {
    let mut registered = SPELLINGS.lock().unwrap_or_else(PoisonError::into_inner);
    for spelling in spellings(secret) {
        if spelling.len() >= MIN_LENGTH && !registered.contains(&spelling) {
            registered.push(spelling);
        }
    }
    registered.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
}

/// Registers a password, and the pair of user name and password as it is sent for Basic authentication.
pub(crate) fn register_login(user: &str, password: &str) {
    register(password);
    if !password.is_empty() {
        register(&format!("{user}:{password}"));
    }
}

/// Masks secrets in a message.
pub(crate) fn mask(text: &str) -> Cow<'_, str> {
    replace(text, MIN_LENGTH)
}

/// Masks secrets in the result of a run, except for short ones.
pub(crate) fn mask_result(text: &str) -> Cow<'_, str> {
    replace(text, MIN_LENGTH_IN_RESULTS)
}

fn replace(text: &str, min_length: usize) -> Cow<'_, str> {
    let registered = SPELLINGS.lock().unwrap_or_else(PoisonError::into_inner);
    let long_enough = registered.iter().filter(|spelling| spelling.len() >= min_length);
    long_enough.fold(Cow::Borrowed(text), |text, spelling| {
        if text.contains(spelling.as_str()) { Cow::Owned(text.replace(spelling.as_str(), MASK)) } else { text }
    })
}

/// Returns the forms in which a secret may appear: as it is, in base64, percent-encoded, and as part of a JSON string.
/// Output is printed line by line, so the long lines of a secret, such as a private key, are masked separately.
fn spellings(secret: &str) -> Vec<String> {
    let secret = secret.trim();
    let percent_encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = serde_json::Value::from(secret).to_string();
    let mut spellings = vec![
        secret.to_owned(),
        // Without padding, so that text with padding matches too.
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        percent_encoded.replace('+', "%20"),
        lowercase_escapes(&percent_encoded),
        percent_encoded,
        json.trim_matches('"').to_owned(),
    ];
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= MIN_LENGTH_IN_RESULTS);
    spellings.extend(lines.map(str::to_owned));
    spellings.retain(|spelling| !spelling.is_empty());
    spellings
}

/// Writes the digits of percent escapes in lower case.
fn lowercase_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |escaped, part| {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        format!("{escaped}%{}{rest}", digits.to_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_in_every_spelling() {
        register_login("unit-user", "p/ss w+rd\"é");
        register("line one of a key\nline two of a key");
        for (text, expected) in [
            ("as it is: p/ss w+rd\"é!", "as it is: …!"),
            ("Basic dW5pdC11c2VyOnAvc3MgdytyZCLDqQ==", "Basic …=="),
            ("password=p%2Fss+w%2Brd%22%C3%A9&x=1", "password=…&x=1"),
            ("password=p%2fss+w%2brd%22%c3%a9&x=1", "password=…&x=1"),
            ("password=p%2Fss%20w%2Brd%22%C3%A9", "password=…"),
            (r#"{"Secret":"p/ss w+rd\"é"}"#, r#"{"Secret":"…"}"#),
            ("  line two of a key", "  …"),
            ("unit-user", "unit-user"),
        ] {
            assert_eq!(mask(text), expected);
        }
    }

    #[test]
    fn short_secrets_stay_in_results() {
        register("unit-word");
        register("ab");
        register("");
        assert_eq!(mask("r.example/unit-word/ab"), "r.example/…/ab");
        assert_eq!(mask_result("r.example/unit-word/ab"), "r.example/unit-word/ab");
        register("unit-token-0123456789");
        assert_eq!(mask_result("a unit-token-0123456789"), "a …");
    }
}
