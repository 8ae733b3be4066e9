//! `cargo multiarch login` and `cargo multiarch logout`: store credentials for a registry, and remove them.

use std::io::Read;

use anyhow::{Context, Result};

use crate::cli::{LoginArgs, LogoutArgs, environment};
use crate::credentials::{self, CredentialSources, Credentials, StoredIn};
use crate::error::{Class, Failure};
use crate::registry::{LoginCheck, Registry};
use crate::threads::CancelToken;
use crate::ui::{Ui, prompt};

/// Runs `cargo multiarch login`.
pub(crate) fn login(args: &LoginArgs, ui: &Ui) -> Result<()> {
    environment::check_unknown_variables()?;
    let host = &args.host;
    let (user, password) = (user_name(args)?, password(args)?);
    let given = CredentialSources::given(host, Credentials::password(&user, &password));
    let registry =
        Registry::new(&args.insecure_registries, &CancelToken::default(), ui.bars())?.with_credentials(given);
    let registry = match args.access.limit() {
        Some(limit) => registry.with_answer_limit(limit),
        None => registry,
    };
    if registry.check_login(host, &user)? == LoginCheck::NotRequired {
        ui.warning(format!("{host} accepts requests without credentials, so your password was not checked"));
    }
    let limit = args.access.limit().unwrap_or(credentials::DEFAULT_HELPER_TIMEOUT);
    let stored = credentials::store(host, &user, &password, limit)?;
    ui.status("Logged in", format!("to {host} as {user}"));
    match stored {
        StoredIn::Helper(program) => ui.status("Stored", format!("the password with {program}")),
        StoredIn::File(path) => {
            let path = path.display();
            ui.status("Stored", format!("the password in {path}"));
            ui.warning(format!(
                "the password in {path} is not encrypted; to encrypt it, set `credsStore` in this file to a credential \
                 helper and log in again: https://docs.docker.com/reference/cli/docker/login/#credential-stores"
            ));
        }
    }
    if let Some(source) = CredentialSources::default().source_before_login(host)? {
        ui.warning(format!(
            "{source} also contains credentials for {host}, which are used instead of the ones you entered"
        ));
    }
    Ok(())
}

/// Runs `cargo multiarch logout`.
pub(crate) fn logout(args: &LogoutArgs, ui: &Ui) -> Result<()> {
    environment::check_unknown_variables()?;
    let host = &args.host;
    match credentials::erase(host, credentials::DEFAULT_HELPER_TIMEOUT)? {
        Some(StoredIn::Helper(program)) => ui.status("Removed", format!("the password for {host} from {program}")),
        Some(StoredIn::File(path)) => ui.status("Removed", format!("the password for {host} from {}", path.display())),
        None => ui.note(format!("you were not logged in to {host}")),
    }
    if let Some(source) = CredentialSources::default().source_besides_login(host)? {
        ui.warning(format!("{source} still contains credentials for {host}"));
    }
    Ok(())
}

fn user_name(args: &LoginArgs) -> Result<String> {
    let user = match &args.username {
        Some(user) => user.clone(),
        None if prompt::is_possible() => prompt::ask(&format!("User name for {}", args.host))?,
        None => return Err(cannot_prompt(args, "user name").into()),
    };
    if user.is_empty() || user.contains(':') {
        let failure = Failure::new(Class::Config, format!("'{user}' is not a valid user name"));
        return Err(failure.hint("pass your user name: `--username you`").into());
    }
    Ok(user)
}

fn password(args: &LoginArgs) -> Result<String> {
    let password = if args.password_stdin {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read the password from stdin")?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    } else if prompt::is_possible() {
        prompt::ask_secret(&format!("Password or token for {}", args.host))?
    } else {
        return Err(cannot_prompt(args, "password").into());
    };
    if password.is_empty() {
        let failure = Failure::new(Class::Config, "the password is empty");
        return Err(failure.hint("check for unset shell variables, or for an empty secret in CI").into());
    }
    Ok(password)
}

fn cannot_prompt(args: &LoginArgs, what: &str) -> Failure {
    let (host, user) = (&args.host, args.username.as_deref().unwrap_or("you"));
    Failure::new(Class::Config, format!("cannot prompt for the {what}, because stdin is not a terminal"))
        .hint(format!("pass both: `echo \"$TOKEN\" | cargo multiarch login {host} --username {user} --password-stdin`"))
}
