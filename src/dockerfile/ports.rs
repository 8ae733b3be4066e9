//! Parses the ports of EXPOSE instructions, `[[address:]port:]port[-port][/protocol]`, like BuildKit's `parsePortSpec`.

use super::error::StageError;

/// Returns a port specification's container ports, each formatted like `8080/tcp`. Ignores host addresses and host
/// ports.
pub(crate) fn parse_ports(spec: &str) -> Result<Vec<String>, StageError> {
    let container_side = spec.rsplit(':').next().unwrap_or(spec);
    let (range, protocol) = container_side.split_once('/').unwrap_or((container_side, ""));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        _ => return Err(StageError::invalid(format!("'{spec}' has an unknown protocol (expected tcp, udp or sctp)"))),
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first <= last && !range.contains('+') => {
            Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
        }
        _ => Err(StageError::invalid(format!("'{spec}' is not a valid port or port range"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_port_specifications() {
        for (spec, expected) in [
            ("80", &["80/tcp"][..]),
            ("53/UDP", &["53/udp"]),
            ("9/", &["9/tcp"]),
            ("0", &["0/tcp"]),
            ("8000-8002/sctp", &["8000/sctp", "8001/sctp", "8002/sctp"]),
            ("7:8", &["8/tcp"]),
            ("127.0.0.1:80:90/tcp", &["90/tcp"]),
        ] {
            assert_eq!(parse_ports(spec).unwrap(), expected, "{spec}");
        }
        for invalid in ["", "a", "/tcp", "9-8", "1-2-3", "-1", "+1", "70000", "1/xx", "80:", "é"] {
            assert!(matches!(parse_ports(invalid), Err(StageError::Invalid(_))), "{invalid}");
        }
    }
}
