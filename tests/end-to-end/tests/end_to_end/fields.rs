//! Every element and attribute of a report reaches JSON, and CSV under the same name, or is on the list of dropped ones.
//!
//! Each value of a report of `fixtures/reports/fields` is changed, one in each copy of the report. What differs in the
//! lines of a copy is where the value arrives. `docs/fields.md` is the table of the result. Set `UPDATE_DOCS=1` to write
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;

use quick_xml::Reader;
use quick_xml::events::Event;
use scanbridge_fixtures::{Group, published};
use serde_json::Value;

use crate::installation::project_file;
use crate::sandbox::Sandbox;

/// The columns of the CSV file that are not named here are those of JSON with the same names.
const REPORTS: [Report; 4] = [
    Report { file: "scan.xml", about: "SCAN", needs: None },
    Report { file: "template-report.xml", about: "ASSET_DATA_REPORT", needs: None },
    Report {
        file: "detections.xml",
        about: "HOST_LIST_VM_DETECTION_OUTPUT",
        needs: Some("knowledge-base.xml"),
    },
    Report { file: "knowledge-base.xml", about: "KNOWLEDGE_BASE_VULN_LIST_OUTPUT", needs: None },
];

struct Report {
    file: &'static str,
    about: &'static str,
    /// The knowledge base that it is read with.
    needs: Option<&'static str>,
}

/// Paths, as regular ends, that reach no output, with the reason.
const DROPPED: &[(&str, &str)] = &[
    ("REQUEST/DATETIME", "part of the request, which may contain a login and data"),
    ("REQUEST/USER_LOGIN", "part of the request, which may contain a login and data"),
    ("REQUEST/RESOURCE", "part of the request, which may contain a login and data"),
    ("PARAM/KEY", "part of the request, which may contain a login and data"),
    ("PARAM/VALUE", "part of the request, which may contain a login and data"),
    ("REQUEST/POST_DATA", "part of the request, which may contain a login and data"),
    ("KEY=USERNAME", "login name of a person"),
    ("HEADER/USERNAME", "login name of a person"),
    ("LAST_CUSTOMIZATION/USER_LOGIN", "login name of a person"),
    ("CVE_ID/URL", "made of the ID"),
    ("CVE/URL", "made of the ID"),
    ("BUGTRAQ_ID/URL", "made of the ID"),
    ("BUGTRAQ/URL", "made of the ID"),
    ("TAG/COLOR", "decoration of the vendor's pages"),
    ("TAG/BACKGROUND_COLOR", "decoration of the vendor's pages"),
    ("VULN_INFO/QID", "repeats the attribute `id`"),
    ("HOSTS/IP_ADDRESS@v6", "joins the risk with an asset that has no IPv4 address"),
    ("VULN_DETAILS/QID@id", "repeats the attribute `id` of VULN_DETAILS"),
    ("HOST/ERROR", "the asset is not delivered; the run warns with the text"),
    ("HOST/ERROR@number", "the asset is not delivered; the run warns with the number"),
    ("WARNING/CODE", "a note of the run, not of a finding"),
    ("WARNING/TEXT", "a note of the run, not of a finding"),
    ("WARNING/URL", "repeats the query"),
    ("KNOWLEDGE_BASE_VULN_LIST_OUTPUT/RESPONSE/DATETIME", "time of the download, not of a finding"),
    ("CVSS_V3/ATTACK/VECTOR", "the vector of CVSS 3 contains it; without a vector `definition.cvss_metrics`"),
    (
        "CVSS_V3/ATTACK/COMPLEXITY",
        "the vector of CVSS 3 contains it; without a vector `definition.cvss_metrics`",
    ),
    ("NO_VULNS/IP_LIST/RANGE@network_id", "outputs clear addresses whatever their network"),
    ("NO_VULNS/IP_LIST/RANGE/START", "not in the lines: the addresses are cleared at a Defense Center"),
    ("NO_VULNS/IP_LIST/RANGE/END", "not in the lines: the addresses are cleared at a Defense Center"),
];

/// A value of a report: where it is, and its bytes.
struct Place {
    path: String,
    from: usize,
    to: usize,
}

/// Finds every text and attribute of a report with a reader that is not ours.
fn places(xml: &str) -> Vec<Place> {
    let mut reader = Reader::from_str(xml);
    let (mut path, mut found) = (Vec::<String>::new(), Vec::new());
    loop {
        let before = reader.buffer_position() as usize;
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                let name = tag.name().into_inner().to_owned();
                let mut shown = name.clone();
                for attribute in tag.attributes() {
                    let attribute = attribute.unwrap();
                    let key = attribute.key.into_inner();
                    let value = &*attribute.value;
                    if name == "KEY" {
                        shown = format!("KEY={value}");
                        continue;
                    }
                    let from =
                        xml[before..].find(&format!("{key}=\"{value}\"")).unwrap() + before + key.len() + 2;
                    let parents = path.iter().cloned().chain([name.clone()]).collect::<Vec<_>>().join("/");
                    found.push(Place { path: format!("{parents}@{key}"), from, to: from + value.len() });
                }
                path.push(shown);
            }
            Event::End(_) => drop(path.pop()),
            Event::Text(text) if !text.trim().is_empty() => {
                let from = before;
                found.push(Place { path: path.join("/"), from, to: from + text.len() });
            }
            Event::CData(text) => {
                let from = before + "<![CDATA[".len();
                found.push(Place { path: path.join("/"), from, to: from + text.len() });
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

/// Another value of the same form.
fn other_value(path: &str, value: &str) -> String {
    let swaps = [
        ("FINISHED", "NOVULNSFOUND"),
        ("Finish", "Finished"),
        ("Confirmed", "Potential"),
        ("Vuln", "Practice"),
        ("Active", "New"),
        ("Success", "success"),
        ("true", "false"),
        ("YES", "NO"),
        ("3.1", "3.0"),
        ("0.42", "0.43"),
        ("9.8", "9.7"),
        ("9.3", "9.2"),
        ("8.7", "8.6"),
        ("00:12:30", "00:12:31"),
        ("00:00:5e:00:53:31", "00:00:5e:00:53:32"),
        ("over ssl", "over tls"),
        ("RTI", "RTI_2"),
        ("epss", "epss_2"),
        ("Vulnerability", "Potential Vulnerability"),
        ("table", "text"),
    ];
    if let Some((_, other)) = swaps.iter().find(|(known, _)| *known == value) {
        return (*other).to_owned();
    }
    let is_address =
        value.trim_start_matches('/').split('/').next().unwrap().parse::<std::net::IpAddr>().is_ok();
    let digits = value.rfind(|c: char| c.is_ascii_digit());
    let ends_with_digit = digits == Some(value.len() - 1);
    // The last digit of a number, a time or an address; a text becomes longer.
    let is_time = value.len() == 20 && value.ends_with('Z') && value.starts_with("20");
    if path.ends_with("@number") || is_address || is_time || ends_with_digit {
        let at = if is_time { value.len() - 2 } else { digits.unwrap() };
        let digit = value.as_bytes()[at];
        let other = if digit == b'0' { '1' } else { char::from(digit - 1) };
        return format!("{}{other}{}", &value[..at], &value[at + 1..]);
    }
    if let Some(score) = value.strip_suffix(')') {
        return format!("{score}/X:Y)");
    }
    format!("{value} changed")
}

/// The values of all lines by path, without the numbers of list items. The path of the report differs in each copy.
fn values_of(lines: &[Value]) -> BTreeMap<String, Vec<String>> {
    fn walk(path: &str, value: &Value, into: &mut BTreeMap<String, Vec<String>>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(&path, value, into);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(path, item, into)),
            _ => into.entry(path.to_owned()).or_default().push(value.to_string()),
        }
    }
    let mut values = BTreeMap::new();
    lines.iter().for_each(|line| walk("", line, &mut values));
    values.remove("report.path");
    values
}

fn differences(
    left: &BTreeMap<String, Vec<String>>,
    right: &BTreeMap<String, Vec<String>>,
) -> BTreeSet<String> {
    let keys = left.keys().chain(right.keys());
    keys.filter(|key| left.get(*key) != right.get(*key)).cloned().collect()
}

/// Reads copies of a report with the built host. Returns the lines of each.
fn lines_of(copies: &[String], knowledge_base: Option<&str>) -> Vec<Vec<Value>> {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("in")).unwrap();
    for (number, copy) in copies.iter().enumerate() {
        sandbox.write(&format!("in/{number:04}.xml"), copy);
    }
    let mut options = "path: in, settle_secs: 0".to_owned();
    if let Some(text) = knowledge_base {
        sandbox.write("kb.xml", text);
        options += ", knowledge_base: kb.xml";
    }
    let text = format!(
        "version: 1
inputs:
  - {{ id: i, plugin: QualysGuardFile, with: {{ {options} }} }}
outputs:
  - {{ id: j, plugin: JSON, with: {{ path: out.ndjson, assets: yes }} }}
"
    );
    sandbox.run(&text).expect_code(0);
    let mut lines = vec![Vec::new(); copies.len()];
    for line in sandbox.read("out.ndjson").lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let path = line["report"]["path"].as_str().unwrap();
        let number: usize = path[path.len() - 8..path.len() - 4].parse().unwrap();
        lines[number].push(line);
    }
    lines
}

/// Where each value of a report arrives.
fn arrivals(report: &Report) -> Vec<(String, BTreeSet<String>)> {
    let read = |name: &str| fs::read_to_string(Group::Good.folder().join("../fields").join(name)).unwrap();
    let xml = read(report.file);
    let places = places(&xml);
    let change = |place: &Place| {
        let value = &xml[place.from..place.to];
        let other = other_value(&place.path, value);
        assert_ne!(other, value, "{}", place.path);
        format!("{}{other}{}", &xml[..place.from], &xml[place.to..])
    };
    let is_knowledge_base = report.file == "knowledge-base.xml";
    let lines = if is_knowledge_base {
        let detections = read("detections.xml");
        let texts = std::iter::once(xml.clone()).chain(places.iter().map(change));
        texts.map(|text| lines_of(std::slice::from_ref(&detections), Some(&text)).remove(0)).collect()
    } else {
        let copies: Vec<String> = std::iter::once(xml.clone()).chain(places.iter().map(change)).collect();
        lines_of(&copies, report.needs.map(read).as_deref())
    };
    let whole = values_of(&lines[0]);
    let changed = places.into_iter().zip(&lines[1..]);
    changed.map(|(place, lines)| (place.path, differences(&whole, &values_of(lines)))).collect()
}

fn reason(path: &str) -> Option<&'static str> {
    DROPPED.iter().find(|(end, _)| path.ends_with(end)).map(|(_, reason)| *reason)
}

#[test]
fn every_value_of_a_report_arrives_or_is_on_the_list_of_dropped_ones() {
    let mut page = include_str!("fields.head.md").to_owned();
    let mut lost = Vec::new();
    let mut used = BTreeSet::new();
    for report in &REPORTS {
        let _ =
            writeln!(page, "\n## {}\n\n| Element or attribute | Where it arrives |\n|---|---|", report.about);
        let mut rows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut order = Vec::new();
        for (path, fields) in arrivals(report) {
            let path = path.split_once('/').map_or(path.clone(), |(_, rest)| rest.to_owned());
            if !rows.contains_key(&path) {
                order.push(path.clone());
            }
            rows.entry(path).or_default().extend(fields);
        }
        for path in order {
            let whole = format!("{}/{path}", report.about);
            match (rows[&path].is_empty(), reason(&whole)) {
                (true, Some(reason)) => {
                    used.insert(reason);
                    let _ = writeln!(page, "| `{path}` | dropped: {reason} |");
                }
                (true, None) => lost.push(whole),
                (false, Some(_)) => {
                    lost.push(format!("{whole} is on the list, but arrives in {:?}", rows[&path]))
                }
                (false, None) => {
                    let fields: Vec<String> = rows[&path].iter().map(|field| format!("`{field}`")).collect();
                    let _ = writeln!(page, "| `{path}` | {} |", fields.join(", "));
                }
            }
        }
    }
    assert!(lost.is_empty(), "these values reach no output:\n{}", lost.join("\n"));
    assert_eq!(used.len(), DROPPED.iter().map(|(_, reason)| reason).collect::<BTreeSet<_>>().len());
    let file = project_file("docs/fields.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, &page).unwrap();
    }
    assert!(
        fs::read_to_string(&file).is_ok_and(|text| text == page),
        "docs/fields.md is not up to date: run this test with UPDATE_DOCS=1"
    );
}

/// The published grammars have no element and no attribute that the reports of this test lack.
#[test]
fn reports_have_every_element_of_the_grammars() {
    let Some(folder) = published::find("SCANBRIDGE_GRAMMARS", "dtd") else { return };
    for (report, grammar) in [
        (&REPORTS[0], "scan-1.dtd"),
        (&REPORTS[1], "asset_data_report.dtd"),
        (&REPORTS[2], "host_list_vm_detection_output.dtd"),
    ] {
        let xml = fs::read_to_string(Group::Good.folder().join("../fields").join(report.file)).unwrap();
        let grammar = fs::read_to_string(folder.join(grammar)).unwrap();
        for (element, attribute) in names_of_grammar(&grammar) {
            // A scan with an error is not complete.
            if report.about == "SCAN" && element == "ERROR" {
                continue;
            }
            let is_there = match attribute {
                None => xml.contains(&format!("<{element}>")) || xml.contains(&format!("<{element} ")),
                Some(key) => {
                    let tag = format!("<{element} ");
                    xml.split(&tag)
                        .skip(1)
                        .any(|tag| tag.split('>').next().unwrap().contains(&format!("{key}=\"")))
                }
            };
            assert!(is_there, "{}: no {element} {attribute:?}", report.file);
        }
    }
}

/// The elements and attributes that a grammar declares.
fn names_of_grammar(grammar: &str) -> Vec<(&str, Option<&str>)> {
    let mut names = Vec::new();
    for declaration in grammar.split("<!").skip(1) {
        let mut words = declaration.split_whitespace();
        match (words.next(), words.next()) {
            (Some("ELEMENT"), Some(element)) => names.push((element, None)),
            // The attributes of the four kinds of entries are those of an entity.
            (Some("ATTLIST"), Some("INFO" | "SERVICE" | "VULN" | "PRACTICE")) => {}
            (Some("ATTLIST"), Some(element)) => {
                let words: Vec<&str> = words.collect();
                let keys = words.windows(2).filter(|pair| pair[1] == "CDATA").map(|pair| pair[0]);
                names.extend(keys.map(|key| (element, Some(key))));
            }
            _ => {}
        }
    }
    names.extend(
        ["number", "severity", "cveid"]
            .map(|key| ("VULN", Some(key)))
            .into_iter()
            .filter(|_| grammar.contains("<!ELEMENT VULN ")),
    );
    names
}
