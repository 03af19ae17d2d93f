//! Values as the settings need them.

use std::time::Duration;

use scanbridge_plugin_api::{Options, PluginError, Result};

/// A version becomes part of an address.
pub(super) fn version(options: &Options, option: &str, default: &str) -> Result<String> {
    let version = text(options, option)?.unwrap_or_else(|| default.to_owned());
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match version.split_once('.') {
        Some((major, minor)) if digits(major) && digits(minor) => Ok(version),
        _ => Err(PluginError::config(format!("option `{option}` must be a version such as {default}"))),
    }
}

/// `extra_parameters`: names with values.
pub(super) fn extra(options: &Options) -> Result<Vec<(String, String)>> {
    let pairs = options.list("extra_parameters")?.into_iter().map(|pair| {
        let pair = pair.split_once('=').filter(|(name, _)| !name.trim().is_empty());
        pair.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .ok_or_else(|| PluginError::config("option `extra_parameters` takes name=value"))
    });
    pairs.collect()
}

/// A text without the blanks around it; none when nothing is left.
pub(super) fn text(options: &Options, name: &str) -> Result<Option<String>> {
    Ok(options.text(name)?.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned))
}

/// A list.
pub(super) fn owned(options: &Options, name: &str) -> Result<Vec<String>> {
    Ok(options.list(name)?.into_iter().map(str::to_owned).collect())
}

/// A number of minutes.
pub(super) fn minutes(options: &Options, name: &str) -> Result<Option<Duration>> {
    Ok(options.integer::<u64>(name)?.map(|minutes| Duration::from_secs(minutes * 60)))
}
