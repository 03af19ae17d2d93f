//! The global parameters of a SmartConnector: its identity, FIPS mode and field encryption.

use super::conversion::{Conversion, Treatment};
use super::properties::Property;
use crate::config::{Written, WrittenEntry};

/// Fields that the old product encrypted, and the fields here that become these fields of an event.
const FIELDS: [(&str, &str); 4] = [
    ("destinationaddress", "asset.address, asset.ipv6"),
    ("destinationhostname", "asset.dns, asset.netbios, finding.fqdn, finding.facts"),
    ("devicecustomstring1", "finding.result"),
    ("oldfilepath", "report.path"),
];

/// Sets `section.key` of the pipeline.
pub(super) fn set_in_pipeline(conversion: &mut Conversion, old: &str, place: &str, value: String) {
    let (section, key) = place.split_once('.').unwrap_or(("", place));
    let rest = &mut conversion.draft.rest;
    let new = WrittenEntry::new(key, Written::Text(value));
    match rest.iter_mut().find(|entry| entry.key == section).map(|entry| &mut entry.value) {
        Some(Written::Mapping(entries)) => entries.push(new),
        _ => rest.push(WrittenEntry::new(section, Written::Mapping(vec![new]))),
    }
    conversion.add(Treatment::TakenOver, old, place, "");
}

/// FIPS mode of the whole pipeline, or Suite B of its output.
pub(super) fn fips(conversion: &mut Conversion, property: &Property, is_suite_b: bool) {
    let Property { key, value, .. } = property;
    let value = value.trim().to_lowercase();
    if matches!(value.as_str(), "false" | "no" | "disabled" | "none" | "0") {
        conversion.add(Treatment::LeftOut, key, "", "off is the default");
        return;
    }
    let (place, word, note) = match is_suite_b {
        false => {
            ("fips", "on", "it needs the FIPS build (scanbridge-fips), and key files as PEM: docs/fips.md")
        }
        true => {
            let word = if value.contains("128") { "suite-b-128" } else { "suite-b-192" };
            (
                "outputs.siem.fips",
                word,
                "for this output only: Qualys has a certificate with RSA; Suite B was retired",
            )
        }
    };
    let setting = WrittenEntry::new("fips", Written::Text(word.to_owned()));
    let settings =
        if is_suite_b { &mut conversion.draft.outputs[0].rest } else { &mut conversion.draft.rest };
    settings.push(setting);
    conversion.add(Treatment::Changed, key, place, note);
}

/// The list of encrypted fields as one of fields here. It is not set: without a secret it would be refused, and the new
/// values differ from the old ones.
pub(super) fn encrypted_fields(conversion: &mut Conversion, property: &Property) {
    let Property { key, value, .. } = property;
    let (mut fields, mut unknown) = (Vec::new(), Vec::new());
    for name in value.split([',', ';', '|', ' ']).map(str::trim).filter(|name| !name.is_empty()) {
        match FIELDS.iter().find(|(old, _)| name.eq_ignore_ascii_case(old)) {
            Some((_, new)) => fields.push(*new),
            None => unknown.push(name),
        }
    }
    let mut note = if fields.is_empty() {
        "set `encrypt.fields` at the output".to_owned()
    } else {
        format!("set `encrypt.fields: [{}]` at the output", fields.join(", "))
    };
    if !unknown.is_empty() {
        note = format!("{note}; choose a field for {}", unknown.join(", "));
    }
    conversion.add(Treatment::LeftOut, key, "", &format!("{note}: docs/field-encryption.md"));
}
