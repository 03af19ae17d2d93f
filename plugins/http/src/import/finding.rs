//! A finding in the "Generic Findings Import" format of DefectDojo. It refuses a file that has any other key than those of its
//! list.

use scanbridge_html_text::{append_decoded, append_text};
use scanbridge_plugin_api::batch::FindingView;
use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingField, list_items};
use serde_json::{Map, Value};

use crate::content::Content;

/// Appends the finding as one line of JSON.
pub(crate) fn append(out: &mut Vec<u8>, content: Content<'_>) {
    let Content { finding, id, .. } = content;
    let title = title(finding);
    let mut object = Map::new();
    object.insert("title".to_owned(), title.as_str().into());
    object.insert("severity".to_owned(), severity(finding).into());
    object.insert("description".to_owned(), description(finding, &title).into());
    let mut add = |name: &str, value: Value| {
        let is_empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if !is_empty {
            object.insert(name.to_owned(), value);
        }
    };
    add_texts(finding, &mut add);
    add_scores(finding, &mut add);
    add_state(finding, &mut add);
    let definition = finding.definition();
    add("unique_id_from_tool", id.into());
    add("vuln_id_from_tool", definition.id().into());
    add("service", finding.get(FindingField::Service).into());
    add("component_name", list_items(definition.get(DefinitionField::Software)).next().map(component).into());
    add("endpoints", endpoints(finding).into());
    let cves: Vec<&str> = list_items(definition.get(DefinitionField::Cves)).collect();
    add("vulnerability_ids", cves.into());
    let tags: Vec<String> = list_items(finding.asset().get(AssetField::Tags)).map(tag).collect();
    add("tags", tags.into());
    out.extend_from_slice(Value::Object(object).to_string().as_bytes());
}

fn add_texts(finding: FindingView<'_>, add: &mut impl FnMut(&str, Value)) {
    let definition = finding.definition();
    add("mitigation", plain(definition.get(DefinitionField::Solution)).into());
    add("impact", plain(definition.get(DefinitionField::Consequence)).into());
    let references =
        list_items(definition.get(DefinitionField::VendorReferences)).map(|item| item.replace('\t', " "));
    add("references", references.collect::<Vec<_>>().join("\n").into());
}

fn add_scores(finding: FindingView<'_>, add: &mut impl FnMut(&str, Value)) {
    let definition = finding.definition();
    let vector = |field, start: &str| {
        let vector = definition.get(field);
        Value::from(if vector.starts_with(start) { vector } else { "" })
    };
    add("cvssv3", vector(DefinitionField::Cvss3Vector, "CVSS:3."));
    // The vector can follow the score.
    let score = definition.get(DefinitionField::Cvss3Base).split(' ').next().unwrap_or_default();
    add("cvssv3_score", score.parse::<f64>().ok().filter(|score| (0.0..=10.0).contains(score)).into());
    add("cvssv4", vector(DefinitionField::Cvss4Vector, "CVSS:4."));
    let epss = finding.typed(FindingField::Epss).decimal().filter(|epss| (0.0..=1.0).contains(epss));
    add("epss_score", epss.into());
    add("known_exploited", finding.typed(FindingField::KnownExploited).flag().into());
}

fn add_state(finding: FindingView<'_>, add: &mut impl FnMut(&str, Value)) {
    let day = |cell: &str| cell.get(..10).filter(|_| cell.len() >= 10).map(str::to_owned);
    let first = [FindingField::FirstFound, FindingField::LastFound].map(|field| finding.get(field));
    let scan = finding.asset().get(AssetField::LastScan);
    add("date", first.into_iter().chain([scan]).find_map(day).into());
    add("publish_date", day(finding.definition().get(DefinitionField::Published)).into());
    add("active", finding.is_open().into());
    if finding.is_fixed() {
        add("is_mitigated", true.into());
        let fixed = [FindingField::LastFixed, FindingField::LastFound].map(|field| finding.get(field));
        add("mitigated", fixed.into_iter().find_map(day).into());
    }
}

/// At most 511 characters, the length of the column.
fn title(finding: FindingView<'_>) -> String {
    let definition = finding.definition();
    let mut title = String::new();
    append_decoded(&mut title, definition.get(DefinitionField::Title), 4096);
    let title: String = title.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(511).collect();
    if title.is_empty() { format!("{} {}", definition.scheme(), definition.id()) } else { title }
}

fn severity(finding: FindingView<'_>) -> &'static str {
    const WORDS: [&str; 5] = ["Info", "Low", "Medium", "High", "Critical"];
    let number = finding.severity().map_or(1, |severity| usize::from(severity.number()));
    WORDS[number.clamp(1, 5) - 1]
}

/// What it is, and what the scanner has found. Never empty.
fn description(finding: FindingView<'_>, title: &str) -> String {
    let diagnosis = plain(finding.definition().get(DefinitionField::Diagnosis));
    let mut description = if diagnosis.is_empty() { title.to_owned() } else { diagnosis };
    let result = finding.get(FindingField::Result);
    if !result.is_empty() {
        // A fence that the result cannot contain.
        let fence = "`".repeat(longest_run(result, '`').max(2) + 1);
        description += &format!("\n\n{fence}\n{}\n{fence}", result.trim_end());
    }
    description
}

fn longest_run(text: &str, of: char) -> usize {
    text.split(|letter| letter != of).map(str::len).max().unwrap_or_default()
}

/// A text of the scanner without HTML.
fn plain(html: &str) -> String {
    let mut text = String::new();
    append_text(&mut text, html, 1 << 20);
    text
}

/// `tcp://HOST:PORT`, or the host alone.
fn endpoints(finding: FindingView<'_>) -> Vec<String> {
    let asset = finding.asset();
    let hosts = [
        asset.address(),
        asset.get(AssetField::Fqdn),
        asset.get(AssetField::Dns),
        asset.get(AssetField::Netbios),
    ];
    let Some(host) = hosts.into_iter().find(|host| !host.is_empty()) else { return Vec::new() };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    vec![match (finding.port(), finding.protocol()) {
        (Some(port), Some(protocol)) => format!("{}://{host}:{port}", protocol.name()),
        (Some(port), None) => format!("{host}:{port}"),
        (None, _) => host,
    }]
}

/// The product of an item `VENDOR<tab>PRODUCT`.
fn component(item: &str) -> &str {
    item.rsplit('\t').next().unwrap_or(item)
}

/// A tag without what DefectDojo refuses in tags.
fn tag(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_whitespace() || ",\"'".contains(letter) { '_' } else { letter })
        .collect()
}
