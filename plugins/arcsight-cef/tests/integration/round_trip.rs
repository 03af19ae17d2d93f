//! Any text is read back unchanged by the strict reader. Acceptance row A-173.

use proptest::prelude::*;
use scanbridge_plugin_api::model::{AssetField as A, DefinitionField as D};
use serde_json::json;

use crate::case::{Filling, event_of, events_of};

/// Texts that try to break a line, and texts of any characters.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[|=\\\\\"' \t\r\n]{1,4}",
        "(<b>|&amp;lt;|<!--|CEF:0\\||key=|dst=6| \\| )",
        "[\u{0}-\u{1f}\u{7f}-\u{a0}\u{2028}-\u{202e}\u{2066}-\u{2069}\u{200b}\u{feff}\u{fe0f}]",
        "\\PC{1,3}",
        any::<char>().prop_map(|character| character.to_string()),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A text without what shows nothing at its ends, by the list of the README.
fn visible(text: &str) -> &str {
    let is_margin = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{2800}\u{3164}\u{feff}\u{ffa0}"
                .contains(c)
            || ('\u{180B}'..='\u{180F}').contains(&c)
            || ('\u{200B}'..='\u{200F}').contains(&c)
            || ('\u{202A}'..='\u{202E}').contains(&c)
            || ('\u{2060}'..='\u{206F}').contains(&c)
            || ('\u{FFF9}'..='\u{FFFB}').contains(&c)
            || ('\u{E0000}'..='\u{E007F}').contains(&c)
    };
    let is_selector =
        |c: char| ('\u{FE00}'..='\u{FE0F}').contains(&c) || ('\u{E0100}'..='\u{E01EF}').contains(&c);
    let text = text.trim_matches(is_margin);
    if text.chars().all(|c| is_margin(c) || is_selector(c)) { "" } else { text }
}

/// The value that the README promises, computed character by character and without the encoder.
fn cleaned(text: &str) -> String {
    let mut out = String::new();
    let mut last = ' ';
    for character in visible(text).chars() {
        match character {
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => out.push('\u{FFFD}'),
            '\n' if last == '\r' => {}
            '\n' | '\r' => out.push('\n'),
            '\u{2028}' | '\u{2029}' => out.push(' '),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
        last = character;
    }
    out
}

proptest! {
    #[test]
    fn values_round_trip(result in hostile(), dns in hostile(), title in hostile(), cves in hostile()) {
        let definition = [(D::Id, "7"), (D::Title, title.as_str()), (D::Cves, cves.as_str())];
        let cells = [("kind", "information"), ("result", result.as_str())];
        let asset = [(A::Address, "192.0.2.1"), (A::Dns, dns.as_str())];
        let batch = Filling::default().asset(&asset).finding(&definition, &cells).done();
        let event = event_of(json!({ "profile": "generic" }), batch);
        let get = |key| event.get(key).unwrap_or_default().to_owned();
        prop_assert_eq!(get("cs1"), cleaned(&result));
        let name = cleaned(&dns);
        prop_assert_eq!(get("dhost"), if name == "-" { "" } else { &name });
        let name = cleaned(&title).replace('\n', " ");
        prop_assert_eq!(&event.header[4], if name.is_empty() { "QID 7" } else { &name });
        let cves: Vec<_> = cves.split('\n').map(visible).filter(|cve| !cve.is_empty()).collect();
        prop_assert_eq!(get("cs2"), cleaned(&cves.join(",")));
        prop_assert_eq!(event.get("cs1Label").is_some(), event.get("cs1").is_some());
    }

    #[test]
    fn any_html_gives_a_valid_line(
        html in hostile(), os in hostile(), facts in hostile(), kind in "vulnerability|potential|service",
    ) {
        let definition = [(D::Diagnosis, html.as_str()), (D::Exploits, &html), (D::Category, &html), (D::Id, &os)];
        let cells = [("kind", kind.as_str()), ("facts", facts.as_str()), ("port", &html), ("severity", &os),
            ("protocol", &html), ("last_found", &os)];
        let batch = Filling::default().asset(&[(A::Id, "1"), (A::Os, &os), (A::Address, &html)]).finding(&definition, &cells).done();
        // `events_of` reads every line with the strict reader.
        let events = events_of(json!({ "class_id_style": "concat", "asset_events": true }), batch);
        prop_assert!(events.len() >= 2);
        let os = visible(&os);
        prop_assert_eq!(events.iter().any(|event| event.header[3].starts_with("Qualys|URI|")), !os.is_empty());
    }
}
