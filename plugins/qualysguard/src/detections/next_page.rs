//! Reads the URL of the next page.

use scanbridge_plugin_api::{ErrorKind, PluginError, Result};
use scanbridge_qualys_xml::{Page, clean};
use url::Url;

use crate::source::SourceContext;

/// First asset ID of the next page.
pub(super) fn next_page(page: &Page, first: u64, context: &SourceContext) -> Result<Option<u64>> {
    let Some(address) = &page.next else {
        return match page.warning.as_str() {
            // Code 1980 means that there are more pages. Treating this as the end would silently lose the
            // rest.
            "1980" => protocol("Qualys announced a next page of detections without its URL"),
            _ => Ok(None),
        };
    };
    let id_min = id_min(address, "detections", context)?;
    match id_min {
        // Some responses have no code, but a URL that can only mean a next page.
        Some(next) if matches!(page.warning.as_str(), "1980" | "") => {
            let last = page.assets.iter().max().copied().unwrap_or(0);
            if next <= first || next < last {
                return protocol(&format!(
                    "the next page of detections starts at asset {next}, which is not after the current \
                     page"
                ));
            }
            // `id_min` may name the last asset of this page, which must not be delivered twice.
            let after_last = if page.assets.is_empty() { next } else { last.saturating_add(1) };
            Ok(Some(next.max(after_last)))
        }
        None if page.warning == "1980" => protocol("the URL of the next page of detections has no id_min"),
        _ => Ok(None),
    }
}

/// The ID in the URL of the rest of a list. Only `id_min` is used from the URL that Qualys sends, because credentials
/// are sent only to the configured host.
pub(super) fn id_min(address: &str, list: &str, context: &SourceContext) -> Result<Option<u64>> {
    let Ok(url) = Url::parse(address) else {
        return protocol(&format!("invalid URL for the next page of {list}"));
    };
    let ours = &context.settings.network.url;
    if url.origin() != ours.origin() {
        return protocol(&format!(
            "the URL of the next page of {list} points to {}, expected {}",
            clean(&url.origin().ascii_serialization()),
            ours.origin().ascii_serialization()
        ));
    }
    Ok(url.query_pairs().find(|(name, _)| name == "id_min").and_then(|(_, id)| id.parse().ok()))
}

fn protocol<T>(message: &str) -> Result<T> {
    Err(PluginError::new(ErrorKind::Protocol, message)
        .with_hint("download stopped, because the result would be incomplete"))
}
