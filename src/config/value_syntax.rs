//! Syntax of signals, owners and durations in configuration values.

/// The shortest duration that Docker accepts for a health check, in nanoseconds.
pub(crate) const MIN_HEALTHCHECK_DURATION: u64 = 1_000_000;

/// Names of Linux signals without the `SIG` prefix, except real-time signals (signal(7)).
pub(crate) const SIGNALS: &[&str] = &[
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "RTMAX", "RTMIN", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Reports whether Docker accepts `text` as a signal: a number, or a name with or without `SIG`.
pub(crate) fn is_signal(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let is_real_time = |start: &str, max: u32| {
        let number = name.strip_prefix(start).filter(|number| !number.starts_with(['0', '+']));
        number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number <= max)
    };
    text.parse::<i32>().is_ok_and(|number| number > 0)
        || SIGNALS.contains(&name)
        || is_real_time("RTMIN+", 15)
        || is_real_time("RTMAX-", 14)
}

/// Reports whether `text` is an owner in the form `user[:group]`, by name or number.
pub(crate) fn is_owner(text: &str) -> bool {
    let is_name = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    text.split(':').count() <= 2 && text.split(':').all(is_name)
}

/// Parses a duration such as `1m30s`, `1.5h` or `500ms` into nanoseconds. The format is that of Go's
/// `time.ParseDuration`.
pub(crate) fn parse_nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() && text != "0" {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |at| digits + at);
        total += number
            * match &rest[digits..unit] {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the sum is not negative, and fractions of a nanosecond are dropped"
    )]
    (!text.is_empty() && total < i64::MAX as f64).then_some(total as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_durations() {
        for (text, length) in [
            ("1m30s", Some(90_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("1s.5s", Some(1_500_000_000)),
            ("3µs", Some(3_000)),
            ("0", Some(0)),
            ("5", None),
            ("5x", None),
            ("s", None),
            (".s", None),
            ("1.2.3s", None),
            ("-1s", None),
            ("", None),
            ("é", None),
            ("9999999999h", None),
        ] {
            assert_eq!(parse_nanoseconds(text), length, "{text}");
        }
    }

    #[test]
    fn recognizes_owners() {
        for good in ["0", "65532:65532", "worker", "www-data:www-data", "a.b_c:0"] {
            assert!(is_owner(good), "{good}");
        }
        for bad in ["", ":", "a:", ":a", "a:b:c", "a b", "$USER", "a/b"] {
            assert!(!is_owner(bad), "{bad}");
        }
    }

    #[test]
    fn recognizes_signals() {
        for good in ["SIGTERM", "term", "sigint", "9", "1000", "SIGRTMIN+3", "RTMAX-14", "rtmin"] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["", "SIGNOPE", "0", "-9", "SIGRTMIN+99", "RTMIN+", "RTMIN++3", "SIGSIGTERM", "é"] {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}
