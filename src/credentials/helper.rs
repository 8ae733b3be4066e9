//! Runs credential helpers: programs called `docker-credential-NAME` that store credentials, for example in a keyring.
//! Their protocol is described in the README of docker-credential-helpers.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::auth_file::HelperEntry;
use super::{Credentials, cannot_get, login_command};
use crate::error::{Class, Failure, failure_class, message_with_causes};
use crate::process::{Cmd, check_interrupt, ended, find_program};

/// How long to wait for a helper by default. It may prompt the user to unlock a keyring.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// The user name that marks a secret as an identity token.
const IDENTITY_TOKEN: &str = "<token>";
/// Helpers report missing credentials only through this message.
const NOT_FOUND: &str = "credentials not found";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperCredentials {
    username: String,
    secret: String,
}

/// A helper to run for a host.
pub(super) struct Helper<'a> {
    pub entry: &'a HelperEntry,
    pub host: &'a str,
    /// The file that names the helper.
    pub path: String,
    /// How long to wait for the helper.
    pub limit: Duration,
}

/// A failed run of a helper.
struct HelperError {
    /// The problem, as the end of a sentence that starts with the action.
    problem: String,
    /// How to fix the problem, if it is specific.
    hint: Option<String>,
    class: Class,
}

impl Helper<'_> {
    /// Returns the credentials that the helper stores for the host, or `None` if it has none.
    pub(super) fn get(&self) -> Result<Option<Credentials>, Failure> {
        let failed = |error: HelperError| self.failure(error, |problem| cannot_get(self.host, problem));
        let Some(stdout) = self.run("get", &self.entry.server).map_err(failed)? else { return Ok(None) };
        let found: HelperCredentials = serde_json::from_str(&stdout).map_err(|_| {
            // Omit serde's error, because it may quote the secret.
            failed(HelperError::new(format!("credential helper {} did not print valid credentials", self.program())))
        })?;
        Ok(Some(if found.username == IDENTITY_TOKEN {
            Credentials::identity_token(&found.secret)
        } else {
            Credentials::password(&found.username, &found.secret)
        }))
    }

    /// Stores credentials for the host.
    pub(super) fn store(&self, user: &str, password: &str) -> Result<(), Failure> {
        let input = json!({ "ServerURL": self.entry.server, "Username": user, "Secret": password }).to_string();
        self.run("store", &input).map(drop).map_err(|error| {
            self.failure(error, |problem| {
                Failure::new(Class::Other, format!("cannot store credentials for {}: {problem}", self.host))
            })
        })
    }

    /// Removes the credentials for the host. Returns whether there were any.
    pub(super) fn erase(&self) -> Result<bool, Failure> {
        if self.get()?.is_none() {
            return Ok(false);
        }
        let erased = self.run("erase", &self.entry.server).map_err(|error| {
            self.failure(error, |problem| {
                Failure::new(Class::Other, format!("cannot remove credentials for {}: {problem}", self.host))
            })
        })?;
        Ok(erased.is_some())
    }

    /// Returns the name of the helper's program.
    pub(super) fn program(&self) -> String {
        format!("docker-credential-{}", self.entry.name)
    }

    /// Runs the helper and returns its stdout, or `None` if it reports that it has no such credentials.
    fn run(&self, action: &str, input: &str) -> Result<Option<String>, HelperError> {
        let program = self.program();
        if find_program(&program).is_none() {
            let hint = Some(install_hint(&program));
            return Err(HelperError {
                hint,
                ..HelperError::new(format!("credential helper {program} not found on PATH"))
            });
        }
        let output = match Cmd::new(&program).arg(action).output_within(self.limit, input) {
            Ok(output) => output,
            Err(error) => {
                let class = failure_class(&error);
                return Err(HelperError { class, ..HelperError::new(message_with_causes(&error)) });
            }
        };
        // A helper that was killed because of Ctrl-C was not too slow.
        check_interrupt()
            .map_err(|failure| HelperError { class: failure.class(), ..HelperError::new(failure.to_string()) })?;
        let Some(output) = output else {
            let hint = format!("see what it is waiting for: `echo {} | {program} {action}`", self.entry.server);
            let seconds = self.limit.as_secs();
            let problem = format!("credential helper {program} did not respond within {seconds} s");
            return Err(HelperError { hint: Some(hint), ..HelperError::new(problem) });
        };
        if output.status.success() {
            return Ok(Some(output.stdout));
        }
        let messages = [output.stderr.trim(), output.stdout.trim()];
        if messages.iter().any(|message| message.contains(NOT_FOUND)) {
            return Ok(None);
        }
        let message = messages.into_iter().find(|message| !message.is_empty());
        let message = message.map_or_else(|| ended(output.status), |message| message.replace('\n', "; "));
        Err(HelperError::new(format!("credential helper {program} failed: {message}")))
    }

    /// Turns an error into a message with hints on how to fix the helper, and on how to do without it.
    fn failure(&self, error: HelperError, cannot: impl Fn(&str) -> Failure) -> Failure {
        if error.class == Class::Interrupted {
            return Failure::new(Class::Interrupted, error.problem);
        }
        let failure = error.hint.into_iter().fold(cannot(&error.problem), Failure::hint);
        let (setting, login) = (self.entry.setting, login_command(self.host));
        failure.hint(format!("or remove it from `{setting}` in {}, and log in again: {login}", self.path))
    }
}

/// Returns a hint on how to install a well-known helper.
fn install_hint(program: &str) -> String {
    let source = match program.trim_start_matches("docker-credential-") {
        "ecr-login" => {
            "`apt-get install amazon-ecr-credential-helper`, or https://github.com/awslabs/amazon-ecr-credential-helper"
        }
        "gcloud" => "it is part of the Google Cloud CLI: https://cloud.google.com/sdk/docs/install",
        "gcr" => "https://github.com/GoogleCloudPlatform/docker-credential-gcr",
        "acr-env" => "https://github.com/chrismellard/docker-credential-acr-env",
        "desktop" | "desktop.exe" => "it is part of Docker Desktop",
        "osxkeychain" | "pass" | "secretservice" | "wincred" => {
            "`apt-get install golang-docker-credential-helpers`, or https://github.com/docker/docker-credential-helpers"
        }
        _ => return format!("install {program}, or add its directory to PATH"),
    };
    format!("install {program}: {source}")
}

impl HelperError {
    fn new(problem: String) -> HelperError {
        HelperError { problem, hint: None, class: Class::Registry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_helpers_can_be_installed() {
        for (program, expected) in [
            ("docker-credential-ecr-login", "amazon-ecr-credential-helper"),
            ("docker-credential-gcloud", "Google Cloud CLI"),
            ("docker-credential-own", "install docker-credential-own, or add its directory to PATH"),
        ] {
            assert!(install_hint(program).contains(expected), "{program}");
        }
    }
}
