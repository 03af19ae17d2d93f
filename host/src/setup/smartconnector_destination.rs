//! The destination of a SmartConnector.

use super::conversion::Treatment;
use super::old_option::OldInstance;
use super::properties::Property;
use crate::config::Written;

/// Converts the properties of the destinations: the first becomes an output for CEF.
pub(super) fn destination(instance: &mut OldInstance<'_>, all: &[&Property]) {
    let text = |text: &str| Written::Text(text.to_owned());
    let (mut address, mut transport, mut kind) = ((None, None), None, None);
    let mut address_key = "destination".to_owned();
    for Property { key, value, .. } in all.iter().copied() {
        let name = short(key);
        let is_first = name.starts_with("destination[0]");
        if !is_first && name != "destinationcount" {
            let note = "another destination; add an output for it, for example with `scanbridge init FILE`";
            instance.conversion.add(Treatment::LeftOut, key, "", note);
        } else if name == "destination[0]type" {
            kind = Some((key.clone(), value.to_lowercase()));
        } else if name == "destination[0]params" {
            for (parameter, value) in parameters(value) {
                let old = format!("{key} {parameter}");
                match parameter.to_lowercase().as_str() {
                    "host" | "ip" | "iphost" => {
                        address.0 = Some(value);
                        address_key = old;
                    }
                    "port" => address.1 = Some(value),
                    "protocol" | "transport" => transport = Some((old, value.to_lowercase())),
                    _ => instance.conversion.add(Treatment::LeftOut, &old, "", "there is no such setting"),
                }
            }
        } else {
            instance.conversion.add(Treatment::LeftOut, key, "", "internal to the old product");
        }
    }
    let is_cef = kind.as_ref().is_none_or(|(_, kind)| kind.contains("cef") || kind.contains("syslog"));
    if let Some((key, kind)) = &kind {
        let place = instance.place("plugin");
        let note = if is_cef {
            "an output for CEF"
        } else {
            "an ArcSight Manager is reached through a receiver of CEF: a Syslog connector or Logger before it"
        };
        instance.conversion.add(Treatment::Changed, &format!("{key}={kind}"), &place, note);
    }
    let known = transport.as_ref().map(|(key, word)| (key.as_str(), word.as_str()));
    let (key, word) = known.filter(|_| is_cef).unwrap_or(("destination", "tls"));
    let (word, change) = match word {
        "udp" => ("udp", ""),
        "tcp" | "raw tcp" => ("tcp", ""),
        _ => ("tls", "over TLS; set `tls_ca_file` if the receiver's certificate has an authority of its own"),
    };
    instance.take(key, "transport", &text(word), change);
    match address {
        (Some(host), Some(port)) if is_cef => {
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            instance.take(&address_key, "address", &text(&format!("{host}:{port}")), "with its port");
        }
        _ => instance.ask(&address_key, "address", "address and port of the receiver of CEF"),
    }
}

/// Names and values in the XML of a destination: `<Parameter Name="port" Value="514"/>`.
fn parameters(xml: &str) -> Vec<(String, String)> {
    let attribute = |element: &str, name: &str| {
        let rest = element.split_once(&format!("{name}=\""))?.1;
        Some(unescaped(rest.split_once('"')?.0))
    };
    let elements = xml.split("<Parameter ").skip(1);
    elements
        .filter_map(|element| {
            let element = element.split('>').next()?;
            Some((attribute(element, "Name")?, attribute(element, "Value")?))
        })
        .collect()
}

fn unescaped(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, c)| text.replace(entity, c))
}

/// A key without case, dots and `agents[N].`
pub(super) fn short(key: &str) -> String {
    let rest = match key.strip_prefix("agents[").and_then(|rest| rest.split_once("].")) {
        Some((_, rest)) => rest,
        None => key.strip_prefix("agents.").unwrap_or(key),
    };
    rest.to_lowercase().chars().filter(|c| !matches!(c, '.' | '_' | '-' | ' ' | '(' | ')')).collect()
}
