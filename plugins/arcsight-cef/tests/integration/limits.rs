//! Over-long texts. Acceptance row A-174.

use scanbridge_doubles::syslog_sink::{Framing, SinkBehavior, SyslogSink};
use scanbridge_plugin_api::batch::RawBatch2;
use scanbridge_plugin_api::model::{AssetField as A, DefinitionField as D};
use serde_json::json;

use crate::case::{Filling, event_of, scan, text_of};
use crate::network;
use crate::reader;

const KEY: &str = "ScanbridgeTruncated";

fn with_result(result: &str) -> RawBatch2 {
    let cells = [("kind", "vulnerability"), ("result", result)];
    Filling::default().asset(&[]).finding(&[(D::Id, "7")], &cells).done()
}

/// The raw value in the line, with escapes, up to the space before the next key.
fn raw<'a>(line: &'a str, key: &str, next: &str) -> &'a str {
    let from = line.find(&format!(" {key}=")).unwrap() + key.len() + 2;
    let to = from + line[from..].find(&format!(" {next}=")).unwrap();
    &line[from..to]
}

#[test]
fn long_result_is_truncated_marked_and_named() {
    for (unit, escaped, decoded) in [
        ("x", "x", "x"),
        ("=", r"\=", "="),
        ("\\", r"\\", "\\"),
        ("\r\n=", r"\n\=", "\n="),
        ("é", "é", "é"),
        ("漢", "漢", "漢"),
        ("a𝄞\\", r"a𝄞\\", "a𝄞\\"),
    ] {
        let text = text_of(json!({}), &scan(), &[with_result(&format!("a{}", unit.repeat(20_000)))]);
        let line = text.trim_end_matches('\n');
        let value = raw(line, "cs1", KEY);
        assert!(value.len() <= 4000 && value.len() > 4000 - 8, "{} bytes of {unit:?}", value.len());
        let event = reader::read(line).unwrap();
        let kept = event.get("cs1").unwrap().strip_suffix("...").unwrap();
        assert!(format!("a{}", decoded.repeat(4000)).starts_with(kept), "{unit:?}");
        assert!(value.len() >= escaped.len());
        assert_eq!(event.get(KEY), Some("cs1"));
    }
}

#[test]
fn text_of_exactly_the_limit_is_complete() {
    for (length, truncated) in [(4000, None), (4001, Some("cs1"))] {
        let event = event_of(json!({}), with_result(&"x".repeat(length)));
        assert_eq!((event.get("cs1").unwrap().len(), event.get(KEY)), (4000, truncated));
    }
    // Trimmed spaces do not count.
    let event = event_of(json!({}), with_result(&format!("{}   \r\n", "x".repeat(4000))));
    assert_eq!(event.get(KEY), None);
}

#[test]
fn every_field_has_its_own_limit() {
    let long = "x".repeat(9000);
    let html = format!("<p>{long}");
    let exploit = format!("\t\t{long}\t");
    let definition = [
        (D::Id, "7"),
        (D::Title, long.as_str()),
        (D::Category, &long),
        (D::Cves, &long),
        (D::CvssBase, &long),
        (D::Exploits, &exploit),
        (D::Diagnosis, &html),
        (D::Consequence, &html),
        (D::Solution, &html),
    ];
    let cells = [("kind", "potential"), ("protocol", &long), ("result", &long), ("status", "Active")];
    let asset = [(A::Dns, long.as_str()), (A::Netbios, &long)];
    let mut report = scan();
    (report.path, report.id, report.source.product_version) = (long.clone(), long.clone(), long.clone());
    let options = json!({ "derive": false, "extra_fields": ["externalId", "outcome"] });
    let batch = Filling::default().asset(&asset).finding(&definition, &cells).done();
    let event = reader::read(text_of(options, &report, &[batch]).trim_end_matches('\n')).unwrap();
    for (key, limit) in [
        ("dhost", 1023),
        ("proto", 31),
        ("cat", 1023),
        ("oldFilePath", 1023),
        ("externalId", 40),
        ("cs6", 4000),
        ("cs2", 4000),
        ("ad.ExpltDescription", 4000),
        ("cs1", 4000),
        ("cs3", 4000),
        ("cs4", 4000),
        ("cs5", 4000),
    ] {
        assert_eq!(event.get(key).map(str::len), Some(limit), "{key}");
    }
    assert_eq!((event.header[2].len(), event.header[4].len()), (31, 512));
    let truncated = "name,dhost,proto,cat,oldFilePath,externalId,cs6,cs2,cs1,cs3,cs4,cs5,ad.ExpltDescription";
    assert_eq!(event.get(KEY), Some(truncated));
    assert_eq!(event.extension.last().unwrap().0, KEY);
}

#[test]
fn class_ids_and_systems_are_truncated() {
    let long = "x".repeat(9000);
    let asset = [(A::Os, long.as_str())];
    let definition = [(D::Id, "7"), (D::Category, long.as_str()), (D::Diagnosis, &long)];
    let cells = [("kind", "vulnerability"), ("facts", "os\tother\t")];
    let batch = Filling::default().asset(&asset).finding(&definition, &cells).done();
    let events = crate::case::events_of(json!({ "class_id_style": "concat" }), batch);
    // A `|` counts with its backslash.
    let escaped = |text: &str| text.replace('|', r"\|").len();
    assert_eq!(escaped(&events[0].header[3]), 1023);
    assert_eq!(events[0].get(KEY), Some("deviceEventClassId,cat,categoryTechnique,cs3"));
    assert_eq!((escaped(&events[1].header[3]), events[1].header[4].len()), (1023, 512));
    assert_eq!(
        (events[1].get("filePath").unwrap().len(), events[1].get("categoryTechnique").unwrap().len()),
        (1023, 1023)
    );
    assert_eq!(events[1].get(KEY), Some("deviceEventClassId,name,categoryTechnique,filePath"));
}

/// Lines of a file lose the same texts as messages without a header, and have the same mark.
#[test]
fn lines_of_a_file_are_truncated_like_messages() {
    let long = "x = y | ".repeat(600);
    let definition = [
        (D::Id, "7"),
        (D::Cves, long.as_str()),
        (D::Diagnosis, &long),
        (D::Consequence, &long),
        (D::Solution, &long),
    ];
    let batch = || {
        let cells = [("kind", "vulnerability"), ("result", long.as_str()), ("port", "443")];
        let filling = Filling::default().asset(&[(A::Address, "192.0.2.1"), (A::Os, "Linux")]);
        filling.finding(&definition, &cells).finding(&[(D::Id, "8")], &[("kind", "service")]).done()
    };
    let unlimited = text_of(json!({}), &scan(), &[batch()]);
    assert!(unlimited.lines().next().unwrap().len() > 12_000, "a file has no limit by default");
    for limit in [8096, 4000, 2000, 480] {
        let text = text_of(json!({ "max_message_bytes": limit }), &scan(), &[batch()]);
        let longest = text.lines().map(str::len).max().unwrap();
        // A text of 64 bytes is removed as a whole, with its label.
        assert!(longest <= limit && longest > limit - 90, "{longest} of {limit}");
        let event = reader::read(text.lines().next().unwrap()).unwrap();
        assert!(event.get(KEY).unwrap().contains("cs5"), "{limit}");
        // The solution is lost before the result.
        let length = |key| event.get(key).map_or(0, str::len);
        assert!(length("cs5") <= length("cs1"), "{limit}");
        let sink = SyslogSink::tcp(Framing::Newline, SinkBehavior::default());
        let more = json!({ "max_message_bytes": limit, "syslog_header": "none", "derive": true });
        network::deliver(&network::options("tcp", sink.address(), more), &[batch()], 1, |_| {}).unwrap();
        let sent: Vec<_> = sink.messages().into_iter().map(|line| String::from_utf8(line).unwrap()).collect();
        assert_eq!(sent, text.lines().collect::<Vec<_>>(), "{limit}");
    }
}
