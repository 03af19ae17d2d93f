//! Converts `agent.properties` of the SmartConnector for QualysGuard File.
//!
//! What is known of its properties is in `smartconnector.tsv`. All other properties are listed in the report.

use std::path::Path;

use scanbridge_plugin_api::PluginKind;

use super::conversion::{Conversion, Treatment};
use super::draft::{Draft, Instance, Schedule, Timing};
use super::old_option::OldInstance;
use super::old_text::{NotConverted, read_old};
use super::properties::{Property, properties};
use super::smartconnector_destination::{destination, short};
use crate::config::{Catalogue, Written, WrittenEntry};

/// A row of the table.
struct Row {
    names: Vec<&'static str>,
    treatment: &'static str,
    key: &'static str,
    note: &'static str,
}

const TABLE: &str = include_str!("smartconnector.tsv");

fn table() -> Vec<Row> {
    let row = |line: &'static str| {
        let mut cells = line.split('\t');
        let mut next = || cells.next().unwrap_or_default();
        let (names, _label) = (next().split(' ').collect(), next());
        Row { names, treatment: next(), key: next(), note: next() }
    };
    TABLE.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

fn is_known(table: &[Row], property: &Property) -> bool {
    let name = short(&property.key);
    table.iter().any(|row| row.names.contains(&name.as_str()))
}

/// Properties that have a meaning only together.
#[derive(Default)]
struct Together<'p> {
    is_automatic: Option<bool>,
    minutes: Option<&'p Property>,
    certificate_required: Option<bool>,
    proxy_used: Option<bool>,
    proxy_host: Option<&'p Property>,
    proxy_port: Option<&'p Property>,
}

/// Converts a file `agent.properties`, or that of the directory of a connector.
///
/// # Errors
/// When the file cannot be read, or has no properties of a connector.
pub(crate) fn from_smartconnector(
    path: &Path,
    catalogue: &dyn Catalogue,
) -> Result<Conversion, NotConverted> {
    let usual = ["agent.properties", "user/agent/agent.properties", "current/user/agent/agent.properties"];
    let found = usual.iter().map(|name| path.join(name)).find(|file| file.is_file());
    let file = if path.is_dir() { found } else { Some(path.to_owned()) };
    let file = file.ok_or_else(|| NotConverted::Missing {
        place: path.display().to_string(),
        what: "file agent.properties",
    })?;
    let old = read_old(&file)?;
    let all = properties(&old.text);
    if !all.iter().any(|property| is_known(&table(), property)) {
        let place = file.display().to_string();
        return Err(NotConverted::Missing { place, what: "properties of a SmartConnector" });
    }
    let missing = |kind: PluginKind, name: &str| {
        NotConverted::Invalid(format!("the {} plugin {name} is not installed", kind.word()))
    };
    let input = catalogue.find(PluginKind::Input, "QualysGuard");
    let input = input.ok_or_else(|| missing(PluginKind::Input, "QualysGuard"))?;
    let output = catalogue.find(PluginKind::Output, "ArcSightCEF");
    let output = output.ok_or_else(|| missing(PluginKind::Output, "ArcSightCEF"))?;

    let mut conversion = Conversion { draft: Draft::new(), lines: Vec::new() };
    let instance = |id: &str, plugin: &str| Instance {
        id: id.to_owned(),
        plugin: plugin.to_owned(),
        ..Instance::default()
    };
    conversion.draft.inputs[0] = instance("qualys", &input.name);
    conversion.draft.outputs[0] = instance("siem", &output.name);
    let (kept, destinations) = without_repeated(&all, &mut conversion);
    let mut instance =
        OldInstance { conversion: &mut conversion, catalogue, kind: PluginKind::Input, plugin: input };
    let change = "the connector reads stored results of scans";
    instance.take("connector type", "source", &Written::Text("scan-reports".to_owned()), change);
    take_all(&mut instance, &kept);
    let mut instance =
        OldInstance { conversion: &mut conversion, catalogue, kind: PluginKind::Output, plugin: output };
    destination(&mut instance, &destinations);
    Ok(conversion)
}

/// The properties of the first connector, those of its destinations apart. Others are reported.
fn without_repeated<'p>(
    all: &'p [Property],
    conversion: &mut Conversion,
) -> (Vec<&'p Property>, Vec<&'p Property>) {
    let (mut kept, mut destinations) = (Vec::new(), Vec::new());
    for (index, property) in all.iter().enumerate() {
        let Property { key, line, .. } = property;
        let later = all[index + 1..].iter().find(|later| later.key == *key);
        let is_other = agent_of(key).is_some_and(|agent| agent != 0);
        if let Some(later) = later {
            let note = format!("line {line}: set again on line {}, and the last one counted", later.line);
            conversion.add(Treatment::LeftOut, key, "", &note);
        } else if is_other {
            let note = "of another connector in the same file; convert it into a pipeline of its own";
            conversion.add(Treatment::LeftOut, key, "", note);
        } else if short(key).starts_with("destination") {
            destinations.push(property);
        } else {
            kept.push(property);
        }
    }
    (kept, destinations)
}

/// N of `agents[N].`
fn agent_of(key: &str) -> Option<u32> {
    let rest = key.strip_prefix("agents[")?;
    rest.split(']').next()?.parse().ok()
}

/// Takes what belongs to the input, and to the pipeline as a whole.
fn take_all(instance: &mut OldInstance<'_>, all: &[&Property]) {
    let table = table();
    let row = |property: &Property| {
        let name = short(&property.key);
        table.iter().find(|row| row.names.contains(&name.as_str()))
    };
    let mut together = Together::default();
    for property in all {
        let flag = Some(matches!(property.value.trim().to_lowercase().as_str(), "true" | "yes" | "enabled"));
        match row(property).map(|row| row.treatment) {
            Some("certificate-required") => together.certificate_required = flag,
            Some("proxy-used") => together.proxy_used = flag,
            Some("proxy-host") if !property.value.is_empty() => together.proxy_host = Some(property),
            Some("proxy-port") if !property.value.is_empty() => together.proxy_port = Some(property),
            Some("minutes") => together.minutes = Some(property),
            Some("mode") => {
                let mode = property.value.trim();
                together.is_automatic = Some(mode.eq_ignore_ascii_case("automatic"));
            }
            _ => {}
        }
    }
    for property in all {
        match row(property) {
            Some(row) => take(instance, property, row, &together),
            None => instance.conversion.add(Treatment::LeftOut, &property.key, "", UNKNOWN),
        }
    }
    proxy(instance, &together);
    schedule(instance.conversion, &together);
    for option in instance.plugin.options.iter().filter(|option| option.required) {
        if instance.conversion.draft.inputs[0].setting(&option.name).is_none() {
            instance.ask(&option.name, &option.name, "is missing in the old settings");
        }
    }
}

const UNKNOWN: &str = "unknown; if the connector needed it, look for an option with `plugin describe`";
const OBFUSCATED: &str = "the old password is obfuscated and is not decoded";

fn take(instance: &mut OldInstance<'_>, property: &Property, row: &Row, together: &Together<'_>) {
    let Property { key, value, .. } = property;
    let no_certificate = together.certificate_required == Some(false);
    let no_proxy = together.proxy_used == Some(false);
    let text = Written::Text(value.clone());
    let mut drop = |note: &str| instance.conversion.add(Treatment::LeftOut, key, "", note);
    match row.treatment {
        "drop" => drop(row.note),
        // They are part of another line.
        "proxy-host" | "proxy-port" | "minutes" if !value.is_empty() && !no_proxy => {}
        "certificate" | "certificate-password" if no_certificate => {
            drop("no client certificate was required");
        }
        "proxy-host" | "proxy-port" | "proxy-value" | "proxy-password" if no_proxy => {
            drop("no proxy was used");
        }
        "certificate-required" => {
            let note = if no_certificate {
                "no client certificate is set"
            } else {
                "`tls_certificate` is set instead"
            };
            drop(note);
        }
        "proxy-used" => drop(if no_proxy { "no proxy is set" } else { "`proxy` is set instead" }),
        _ if value.is_empty() => drop("has no value"),
        "password" | "certificate-password" | "proxy-password" => instance.ask(key, row.key, OBFUSCATED),
        "url" => url(instance, key, value, row.key, together),
        "no-proxy" => {
            let hosts = value.split('|').map(str::trim).filter(|host| !host.is_empty());
            let hosts = hosts.map(|host| Written::Text(host.to_owned())).collect();
            instance.take(key, row.key, &Written::List(hosts), "a list instead of a text with bars");
        }
        "ip-version" => {
            let word = value.trim().to_lowercase().replace([' ', '-'], "");
            set_in_pipeline(instance.conversion, key, row.key, word);
        }
        "pipeline" => set_in_pipeline(instance.conversion, key, row.key, value.clone()),
        "type" => {
            let note = "the plugin QualysGuard with `source: scan-reports`";
            instance.conversion.add(Treatment::Changed, key, "inputs.qualys.plugin", note);
        }
        "mode" => {
            let note = match together.is_automatic {
                Some(true) => "Automatic: a schedule",
                _ => "Interactive: `scanbridge reports pick FILE` offers the reports",
            };
            instance.conversion.add(Treatment::Changed, key, row.key, note);
        }
        "minutes" => {}
        _ => instance.take(key, row.key, &text, ""),
    }
}

/// Sets `section.key` of the pipeline.
fn set_in_pipeline(conversion: &mut Conversion, old: &str, place: &str, value: String) {
    let (section, key) = place.split_once('.').unwrap_or(("", place));
    let entry = |key: &str, value| WrittenEntry { key: key.to_owned(), line: 0, value };
    let rest = &mut conversion.draft.rest;
    let new = entry(key, Written::Text(value));
    match rest.iter_mut().find(|entry| entry.key == section).map(|entry| &mut entry.value) {
        Some(Written::Mapping(entries)) => entries.push(new),
        _ => rest.push(entry(section, Written::Mapping(vec![new]))),
    }
    conversion.add(Treatment::TakenOver, old, place, "");
}

/// A URL is left out if it is the default of the old product, because the new one has the same default.
fn url(instance: &mut OldInstance<'_>, key: &str, value: &str, option: &str, together: &Together<'_>) {
    let with_certificate = together.certificate_required == Some(true);
    let host = if with_certificate { "certs.qualysguard.qualys.com" } else { "qualysguard.qualys.com" };
    let file = option.trim_end_matches("_url");
    if value.trim() == format!("https://{host}/msp/{file}.php") {
        let place = instance.place(option);
        instance.conversion.add(Treatment::TakenOver, key, &place, "it is the default");
        return;
    }
    instance.take(key, option, &Written::Text(value.to_owned()), "");
}

fn proxy(instance: &mut OldInstance<'_>, together: &Together<'_>) {
    if together.proxy_used == Some(false) {
        return;
    }
    match (together.proxy_host, together.proxy_port) {
        (Some(host), Some(port)) => {
            let keys = format!("{}, {}", host.key, port.key);
            let name = host.value.trim();
            let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
            let url = Written::Text(format!("http://{name}:{}", port.value.trim()));
            instance.take(&keys, "proxy", &url, "one URL");
        }
        (Some(one), None) | (None, Some(one)) => {
            instance.ask(&one.key, "proxy", "the host or the port is missing");
        }
        (None, None) if together.proxy_used == Some(true) => {
            instance.ask("proxyserverused", "proxy", "the host and the port are missing");
        }
        (None, None) => {}
    }
}

fn schedule(conversion: &mut Conversion, together: &Together<'_>) {
    let minutes = together.minutes.map(|property| (&property.key, property.value.trim()));
    let is_number = |text: &str| text.parse::<u32>().is_ok_and(|number| (1..=366 * 1440).contains(&number));
    let timing = match (together.is_automatic, minutes) {
        (Some(false), minutes) => {
            if let Some((key, _)) = minutes {
                conversion.add(Treatment::LeftOut, key, "", "has no effect in the mode Interactive");
            }
            Timing::Manual
        }
        (_, Some((key, text))) if is_number(text) => {
            conversion.add(Treatment::TakenOver, key, "schedule.every_minutes", "");
            Timing::Every(text.to_owned())
        }
        (automatic, minutes) => {
            let key = minutes.map_or("mode", |(key, _)| key);
            let note = "the interval is missing or invalid: runs start only on request";
            if automatic.is_some() || minutes.is_some() {
                conversion.add(Treatment::Asked, key, "schedule", note);
            }
            Timing::Manual
        }
    };
    conversion.draft.schedule = Some(Schedule { timing, rest: Vec::new() });
}
