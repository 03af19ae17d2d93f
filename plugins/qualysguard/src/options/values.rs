//! Readers for option values.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use scanbridge_plugin_api::{Options, PluginError, Result};

/// An API version, such as `2.0`. It is checked because it becomes part of a URL.
pub(super) fn version(options: &Options, option: &str, default: &str) -> Result<String> {
    let version = text(options, option)?.unwrap_or_else(|| default.to_owned());
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match version.split_once('.') {
        Some((major, minor)) if digits(major) && digits(minor) => Ok(version),
        _ => {
            Err(PluginError::config(format!("option `{option}` must be a version number such as {default}")))
        }
    }
}

/// `extra_parameters` as pairs of name and value.
pub(super) fn extra(options: &Options) -> Result<Vec<(String, String)>> {
    let pairs = options.map("extra_parameters")?.into_iter();
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// A trimmed text; `None` if it is empty.
pub(super) fn text(options: &Options, name: &str) -> Result<Option<String>> {
    Ok(options.text(name)?.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned))
}

/// A list of texts.
pub(super) fn owned(options: &Options, name: &str) -> Result<Vec<String>> {
    Ok(options.list(name)?.into_iter().map(str::to_owned).collect())
}

/// A date or time in the format of API parameters.
pub(super) fn time(options: &Options, option: &str) -> Result<Option<String>> {
    let time = text(options, option)?;
    let is_time = |time: &String| match time.split_once('T') {
        None => time.parse::<Date>().is_ok() && time.len() == "2026-01-31".len(),
        Some(_) => time.parse::<Timestamp>().is_ok() && time.len() == "2026-01-31T12:00:00Z".len(),
    };
    match time {
        Some(time) if !is_time(&time) => Err(PluginError::config(format!(
            "option `{option}` must be a date or time, for example 2026-01-31 or 2026-01-31T12:00:00Z"
        ))),
        time => Ok(time),
    }
}

/// A duration given in minutes.
pub(super) fn minutes(options: &Options, name: &str) -> Result<Option<Duration>> {
    Ok(options.integer::<u64>(name)?.map(|minutes| Duration::from_secs(minutes * 60)))
}
