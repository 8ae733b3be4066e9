//! Credentials in environment variables: `MULTIARCH_USERNAME` and `MULTIARCH_PASSWORD` for the registry that a run
//! publishes to, and `MULTIARCH_USERNAME_HOST` and `MULTIARCH_PASSWORD_HOST` for one host.

use std::collections::BTreeSet;

use super::Credentials;
use super::host::canonical;
use crate::error::{Class, Failure};
use crate::secrets;

/// The variables with credentials for the registry that a run publishes to.
pub(crate) const VARIABLES: [&str; 2] = [USERNAME, PASSWORD];
const USERNAME: &str = "MULTIARCH_USERNAME";
const PASSWORD: &str = "MULTIARCH_PASSWORD";

/// Returns the names of the variables for a host, such as `MULTIARCH_USERNAME_GHCR_IO` and `MULTIARCH_PASSWORD_GHCR_IO`.
pub(crate) fn variable_names(host: &str) -> [String; 2] {
    let suffix = suffix(canonical(host));
    [format!("{USERNAME}_{suffix}"), format!("{PASSWORD}_{suffix}")]
}

/// Reports whether an environment variable contains credentials for one host.
pub(crate) fn is_host_variable(name: &str) -> bool {
    let suffix = VARIABLES.into_iter().find_map(|prefix| name.strip_prefix(prefix)?.strip_prefix('_'));
    suffix.is_some_and(|suffix| host(suffix).is_some())
}

/// Registers the passwords in the environment as secrets, including those in the URLs of proxies.
pub(crate) fn register_secrets() {
    for (name, value) in std::env::vars_os() {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        if name.starts_with(PASSWORD) {
            secrets::register(&value);
        } else if name.to_ascii_uppercase().ends_with("_PROXY")
            && let Some((user, password)) = proxy_login(&value)
        {
            secrets::register_login(user, password);
        }
    }
}

/// Returns the user name and password in a proxy's URL.
fn proxy_login(url: &str) -> Option<(&str, &str)> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next()?;
    authority.rsplit_once('@')?.0.split_once(':')
}

/// Returns the host part of a variable's name. Each character of a host has its own replacement, so that variables for
/// `a-b.example` are never sent to `a.b.example`.
fn suffix(host: &str) -> String {
    let replacement = |c: char| match c {
        '.' => "_".to_owned(),
        '-' => "__".to_owned(),
        ':' => "___".to_owned(),
        c => c.to_ascii_uppercase().to_string(),
    };
    host.chars().filter(|c| !matches!(c, '[' | ']')).map(replacement).collect()
}

/// Decodes the suffix of a variable's name into a host. Returns `None` if the suffix is invalid.
fn host(suffix: &str) -> Option<String> {
    let mut host = String::new();
    let mut rest = suffix;
    while !rest.is_empty() {
        let word = rest.find('_').unwrap_or(rest.len());
        host.push_str(&rest[..word].to_ascii_lowercase());
        rest = &rest[word..];
        let underscores = rest.find(|c| c != '_').unwrap_or(rest.len());
        host.push_str(match underscores {
            0 => "",
            1 => ".",
            2 => "-",
            3 => ":",
            // Internationalized names contain `--`.
            4 => "--",
            _ => return None,
        });
        rest = &rest[underscores..];
    }
    let is_host = host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:".contains(c));
    (is_host && !host.is_empty() && !host.ends_with(['.', '-', ':'])).then_some(host)
}

/// Returns the hosts that have their own variables.
pub(super) fn hosts<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().filter_map(|name| host(name.strip_prefix(PASSWORD)?.strip_prefix('_')?)).collect()
}

/// Credentials from variables, and the name of the password's variable.
#[derive(PartialEq, Eq)]
pub(super) struct FromEnvironment {
    pub credentials: Credentials,
    pub variable: String,
}

/// Returns the credentials in the variables for a host, or those for the registry that the run publishes to. Empty
/// variables count as unset, and so does a user name without a password, because CI services leave secrets empty for
/// pull requests from forks.
pub(super) fn find(
    host: &str,
    push_hosts: &BTreeSet<String>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<FromEnvironment>, Failure> {
    let host = canonical(host);
    if let Some(found) = pair(&variable_names(host), &variable)? {
        return Ok(Some(found));
    }
    if !push_hosts.contains(host) {
        return Ok(None);
    }
    let found = pair(&VARIABLES.map(str::to_owned), &variable)?;
    if found.is_some() && push_hosts.len() > 1 {
        let hosts: Vec<&str> = push_hosts.iter().map(String::as_str).collect();
        let names = variable_names(host);
        return Err(Failure::new(
            Class::Config,
            format!("{USERNAME} and {PASSWORD} are for one registry, but the images go to {}", hosts.join(" and ")),
        )
        .hint(format!("use variables for each host: {} and {}", names[0], names[1])));
    }
    Ok(found)
}

/// Returns the values of a pair of variables for user name and password.
fn pair(
    [username, password]: &[String; 2],
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Option<FromEnvironment>, Failure> {
    let value = |name: &str| variable(name).filter(|value| !value.is_empty());
    let Some(secret) = value(password) else { return Ok(None) };
    let Some(user) = value(username) else {
        return Err(Failure::new(Class::Config, format!("{password} is set, but {username} is not"))
            .hint(format!("set the user name: `export {username}=you`")));
    };
    Ok(Some(FromEnvironment { credentials: Credentials::password(&user, &secret), variable: password.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_variables_belong_to_one_host() {
        for (host_name, expected) in [
            ("ghcr.io", "GHCR_IO"),
            ("docker.io", "DOCKER_IO"),
            ("index.docker.io", "DOCKER_IO"),
            ("localhost:5000", "LOCALHOST___5000"),
            ("my-registry.example.com", "MY__REGISTRY_EXAMPLE_COM"),
            ("my.registry.example.com", "MY_REGISTRY_EXAMPLE_COM"),
            ("xn--80ak.example", "XN____80AK_EXAMPLE"),
        ] {
            let [username, password] = variable_names(host_name);
            assert_eq!(username, format!("MULTIARCH_USERNAME_{expected}"));
            assert!(is_host_variable(&username) && is_host_variable(&password));
            assert_eq!(hosts([password.as_str()]), BTreeSet::from([canonical(host_name).to_owned()]));
        }
        for name in ["MULTIARCH_USERNAMES", "MULTIARCH_PASSWORD_", "MULTIARCH_PASSWORD_A_", "MULTIARCH_TAGS"] {
            assert!(!is_host_variable(name), "{name}");
        }
    }

    #[test]
    fn book_lists_names_of_variables() {
        let page = include_str!("../../docs/registries.md");
        for host in ["ghcr.io", "docker.io", "my-registry.example:5000"] {
            let row = format!("| `{host}` | `{}` |", variable_names(host)[1]);
            assert!(page.contains(&row), "docs/registries.md does not contain this row:\n{row}");
        }
    }

    fn found(host: &str, push: &[&str], variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let push = push.iter().map(|host| (*host).to_owned()).collect();
        let variable = |name: &str| Some(variables.iter().find(|(other, _)| *other == name)?.1.to_owned());
        match find(host, &push, variable) {
            Ok(Some(FromEnvironment { credentials: Credentials::Password { user, .. }, .. })) => Ok(Some(user)),
            Ok(_) => Ok(None),
            Err(failure) => Err(failure.to_string()),
        }
    }

    #[test]
    fn variables_apply_to_their_registry_only() {
        const ONE: [(&str, &str); 2] = [("MULTIARCH_USERNAME", "me"), ("MULTIARCH_PASSWORD", "env-secret-1")];
        const OWN: [(&str, &str); 2] =
            [("MULTIARCH_USERNAME_DOCKER_IO", "hub"), ("MULTIARCH_PASSWORD_DOCKER_IO", "env-secret-2")];
        let user = |name: &str| Ok(Some(name.to_owned()));
        assert_eq!(found("ghcr.io", &["ghcr.io"], &ONE), user("me"));
        assert_eq!(found("index.docker.io", &["ghcr.io"], &ONE), Ok(None));
        assert_eq!(found("index.docker.io", &["docker.io"], &ONE), user("me"));
        assert_eq!(found("index.docker.io", &["ghcr.io"], &[ONE, OWN].concat()), user("hub"));
        assert_eq!(found("docker.io", &["docker.io"], &[ONE, OWN].concat()), user("hub"));
        let several = found("ghcr.io", &["docker.io", "ghcr.io"], &ONE).unwrap_err();
        assert!(several.ends_with("are for one registry, but the images go to docker.io and ghcr.io"), "{several}");
        assert_eq!(found("docker.io", &["docker.io", "ghcr.io"], &OWN), user("hub"));
    }

    #[test]
    fn incomplete_pairs_are_unset_or_reported() {
        let push = ["ghcr.io"];
        assert_eq!(found("ghcr.io", &push, &[("MULTIARCH_USERNAME", "me"), ("MULTIARCH_PASSWORD", "")]), Ok(None));
        assert_eq!(found("ghcr.io", &push, &[("MULTIARCH_USERNAME", "me")]), Ok(None));
        let missing = found("ghcr.io", &push, &[("MULTIARCH_PASSWORD", "env-secret-3")]).unwrap_err();
        assert_eq!(missing, "MULTIARCH_PASSWORD is set, but MULTIARCH_USERNAME is not");
    }

    #[test]
    fn passwords_of_proxies_are_found() {
        assert_eq!(proxy_login("http://me:pw@proxy:3128/"), Some(("me", "pw")));
        assert_eq!(proxy_login("me:pw@proxy:3128"), Some(("me", "pw")));
        assert_eq!(proxy_login("http://proxy:3128"), None);
    }
}
