//! `cargo multiarch verify`: verifies existing images, no matter which tool built them.

use anyhow::{Context, Result};
use camino::Utf8Path;

use super::findings;
use crate::cli::{MessageFormat, VerifyArgs, environment};
use crate::credentials::CredentialSources;
use crate::error::{self, Class, Failure, message_with_causes};
use crate::finding::Finding;
use crate::host::cache_dir::cache_dir;
use crate::oci::cache::Cache;
use crate::oci::digest::shorten_reference;
use crate::oci::transport::ImageLocation;
use crate::registry::Registry;
use crate::report::{self, FailedVerification};
use crate::threads::CancelToken;
use crate::ui::{Ui, wrap};
use crate::verify;

/// Runs `cargo multiarch verify`.
pub(crate) fn verify(args: &VerifyArgs, ui: &Ui) -> Result<()> {
    if let Some(code) = args.explain {
        let width = ui.data_width();
        let text = code.map_or_else(
            || report::checks_table::render(width),
            |code| wrap::wrap_paragraphs(&code.0.explanation(), width),
        );
        return Ok(ui.data(&text)?);
    }
    environment::check_unknown_variables()?;
    let registry = Registry::new(&args.insecure_registries, &CancelToken::default(), ui.bars())?;
    let registry = match args.access.limit() {
        Some(limit) => {
            registry.with_credentials(CredentialSources::default().with_helper_limit(limit)).with_answer_limit(limit)
        }
        None => registry,
    };
    // If there is no per-user cache directory, use a temporary one, because other users could write to a shared one.
    let user_cache = cache_dir();
    let temporary = user_cache.is_none().then(tempfile::tempdir).transpose()?;
    let temporary = temporary.as_ref().and_then(|dir| Utf8Path::from_path(dir.path()));
    let cache =
        Cache::new(user_cache.as_deref().or(temporary).context("the temporary directory's path is not valid UTF-8")?);
    let options = verify::VerifyOptions {
        platforms: args.platforms.clone(),
        required: args.require.clone(),
        policy: args.policy.config().policy(),
    };
    let (mut images, mut failed, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for location in &args.images {
        ui.status("Verifying", shorten_reference(&location.to_string()));
        reject_local_path(location)?;
        match verify::inspect_location(location, &options, &registry, &cache) {
            Ok(found) => images.extend(found),
            Err(error) if error::failure_class(&error) == Class::Interrupted => return Err(error),
            // Report this error only after the other images have been verified.
            Err(error) => {
                failed.push(FailedVerification { reference: location.to_string(), error: message_with_causes(&error) });
                failures.push(error);
            }
        }
    }
    match args.message_format {
        _ if images.is_empty() => {}
        MessageFormat::Human => ui.data(&report::verify_table::render(&images, ui.data_width()))?,
        MessageFormat::Json => ui.data(&report::verify_report::to_json(&images, &failed)?)?,
    }
    images.iter().filter_map(verify::InspectedImage::no_index_note).for_each(|note| ui.note(&note));
    let names: Vec<&str> = images
        .iter()
        .filter(|image| image.all_findings().any(Finding::is_error))
        .map(|image| image.reference.as_str())
        .collect();
    let all = images.iter().flat_map(verify::InspectedImage::all_findings);
    failures.extend(findings::print_and_check(&names.join(", "), all, ui).err().map(anyhow::Error::from));
    let last = failures.pop();
    failures.iter().for_each(|failure| ui.error(failure));
    last.map_or(Ok(()), Err)
}

/// Fails if an image reference is really the path of a local layout or archive, as shell completion may insert it.
fn reject_local_path(location: &ImageLocation) -> Result<(), Failure> {
    let ImageLocation::Registry(text) = location else { return Ok(()) };
    let path = Utf8Path::new(text);
    let transports = match (path.join("oci-layout").is_file(), path.is_file() && text.contains(['/', '.'])) {
        (true, _) => vec!["oci"],
        (_, true) => vec!["oci-archive", "docker-archive"],
        _ => return Ok(()),
    };
    let commands = transports.iter().map(|transport| format!("`cargo multiarch verify {transport}:{text}`"));
    let commands = commands.collect::<Vec<_>>().join(" or ");
    Err(Failure::new(Class::Config, format!("'{text}' is a local path, not an image reference"))
        .hint(format!("specify the format: {commands}")))
}
