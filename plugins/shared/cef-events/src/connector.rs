//! Who sends the events, as fields that are the same in all of them.

use std::net::IpAddr;

use scanbridge_plugin_api::{ConnectorIdentity, PluginError, Result};

use crate::escape::{self, EscapeResult};
use crate::field::Field;

/// How events show the connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectorStyle {
    /// Name, location and comment as additional data.
    AdditionalData,
    /// The connector as the device, in fields of the standard.
    Device,
    /// Not at all.
    None,
}

/// The encoded fields; empty without an identity.
#[derive(Debug, Clone, Default)]
pub struct ConnectorFields {
    /// Fields of the standard.
    pub(crate) device: Vec<u8>,
    /// Additional data.
    pub(crate) additional: Vec<u8>,
}

impl ConnectorFields {
    /// The fields of this connector. `dotted_keys`: keys of additional data begin with `ad.`.
    ///
    /// # Errors
    /// A configuration error: a text is longer than its field.
    pub fn new(style: ConnectorStyle, connector: &ConnectorIdentity, dotted_keys: bool) -> Result<Self> {
        let mut fields = Self::default();
        if connector.is_empty() {
            return Ok(fields);
        }
        let ConnectorIdentity { name, location, comment, host, .. } = connector;
        match style {
            ConnectorStyle::Device => {
                let out = &mut fields.device;
                append(out, "deviceExternalId=", ("name", name), 255)?;
                append(out, "deviceFacility=", ("location", location), 1023)?;
                append(out, "dvchost=", ("host", host), 100)?;
                match connector.address {
                    Some(IpAddr::V4(address)) => append(out, "dvc=", ("address", &address.to_string()), 15)?,
                    Some(IpAddr::V6(address)) => {
                        let opening = "c6a1Label=Connector IPv6 Address c6a1=";
                        append(out, opening, ("address", &address.to_string()), 39)?;
                    }
                    None => {}
                }
                append(out, "deviceProcessName=", ("program", "scanbridge"), 1023)?;
            }
            ConnectorStyle::None => {}
            ConnectorStyle::AdditionalData => {
                let prefix = if dotted_keys { "ad." } else { "Scanbridge" };
                for (key, (part, text)) in [
                    ("Name", ("name", name)),
                    ("Location", ("location", location)),
                    ("Comment", ("comment", comment)),
                ] {
                    let opening = format!("{prefix}Connector{key}=");
                    append(&mut fields.additional, &opening, (part, text), Field::Additional.limit())?;
                }
            }
        }
        Ok(fields)
    }
}

/// Appends the label and `key=value `; nothing for an empty value.
fn append(out: &mut Vec<u8>, opening: &str, (part, value): (&str, &str), limit: usize) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(opening.as_bytes());
    match escape::extension(out, value, limit) {
        EscapeResult::Complete => out.push(b' '),
        EscapeResult::Empty => out.truncate(start),
        EscapeResult::Truncated => {
            let message = format!("`connector.{part}` is longer than {limit} bytes after escaping");
            return Err(PluginError::config(message).with_hint("shorten it, or set `connector_fields: none`"));
        }
    }
    Ok(())
}
