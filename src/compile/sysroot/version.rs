//! Compares Debian package versions (deb-version(7)).

use std::cmp::Ordering;

/// Compares two versions as dpkg does.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let ((epoch_a, upstream_a, revision_a), (epoch_b, upstream_b, revision_b)) = (split(a), split(b));
    let by_epoch = compare_part(epoch_a, epoch_b);
    by_epoch.then_with(|| compare_part(upstream_a, upstream_b)).then_with(|| compare_part(revision_a, revision_b))
}

/// Splits a version into epoch, upstream version and revision.
fn split(version: &str) -> (&str, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// Compares digits as numbers, and other characters in dpkg's order.
fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = split_before(a, |c| c.is_ascii_digit());
        let (text_b, rest_b) = split_before(b, |c| c.is_ascii_digit());
        let (number_a, next_a) = split_before(rest_a, |c| !c.is_ascii_digit());
        let (number_b, next_b) = split_before(rest_b, |c| !c.is_ascii_digit());
        let order = compare_text(text_a, text_b).then_with(|| compare_numbers(number_a, number_b));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (next_a, next_b);
    }
    Ordering::Equal
}

fn split_before(text: &str, is_end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(is_end).unwrap_or(text.len()))
}

/// A tilde sorts before the end, and letters before other characters.
fn compare_text(a: &str, b: &str) -> Ordering {
    let weight = |c: Option<char>| match c {
        Some('~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i64::from(u32::from(c)),
        Some(c) => i64::from(u32::from(c)) + 256,
    };
    let length = a.chars().count().max(b.chars().count());
    let weights = |text: &str| (0..length).map(|at| weight(text.chars().nth(at))).collect::<Vec<_>>();
    weights(a).cmp(&weights(b))
}

fn compare_numbers(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_versions_as_dpkg_does() {
        for (a, order, b) in [
            ("1.0", Ordering::Equal, "1.0"),
            ("1.0", Ordering::Less, "1.0-1"),
            ("1.0-0", Ordering::Equal, "1.0"),
            ("3.0.9-1", Ordering::Less, "3.0.17-1~deb12u2"),
            ("3.0.17-1~deb12u2", Ordering::Less, "3.0.17-1"),
            ("1:1.0", Ordering::Greater, "2.0"),
            ("1.0~rc1", Ordering::Less, "1.0"),
            ("1.0~~", Ordering::Less, "1.0~"),
            ("1.0+b1", Ordering::Greater, "1.0"),
            ("1.0a", Ordering::Less, "1.0+"),
            ("1.001", Ordering::Equal, "1.1"),
            ("2.36-9+deb12u10", Ordering::Greater, "2.36-9+deb12u9"),
            ("1-2-1", Ordering::Less, "1-10-1"),
            ("9", Ordering::Less, "10"),
        ] {
            assert_eq!(compare(a, b), order, "{a} {b}");
            assert_eq!(compare(b, a), order.reverse(), "{b} {a}");
        }
    }
}
