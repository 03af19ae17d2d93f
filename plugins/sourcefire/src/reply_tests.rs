use super::*;

fn body() -> Body {
    Body::about(ALL.into_iter().map(|text| text.parse().unwrap()))
}

fn refused(text: &str) -> Refused {
    evaluate("dc", text, &body()).unwrap().into_refused(&body())
}

fn names(refused: &Refused) -> Vec<String> {
    refused.keys().map(ToString::to_string).collect()
}

const ALL: [&str; 3] = ["192.0.2.1", "192.0.2.11", "2001:db8::1"];

#[test]
fn only_the_done_line_with_the_exact_count_is_success() {
    assert_eq!(evaluate("dc", "Done processing 3 commands.\n", &body()), Ok(Evaluation::default()));
    for text in [
        "Done processing 2 commands.\n",
        "Done processing 4 commands.\n",
        "Done processing 03 commands.\n",
        "Done processing +3 commands.\n",
        "Done processing  commands.\n",
        "Done processing 99999999999999999999999 commands.\n",
        "Done processing 3 commands.",
        "\nDone processing 3 commands.\n",
        "Done processing 3 commands.\n\n",
        "Done processing 3 commands.\nhm\n",
    ] {
        assert_eq!(names(&refused(text)), ALL, "{text:?}");
    }
    for text in ["", "done processing 3 commands.\n", "Done processing 3 commands\n", "Done"] {
        let error = evaluate("dc", text, &body()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Protocol, "{text:?}");
    }
}

#[test]
fn failed_assets_are_found_in_the_reply() {
    for (text, expected) in [
        (
            "Failed to send UserMessage [f,1]\nFailed to Execute Command: AddHost\nfield 1: 192.0.2.1 [f,1]\n\
             Done processing 3 commands.\n",
            &["192.0.2.1"][..],
        ),
        (
            "Done processing 3 commands.\nFailure to Run Scan API:\nCommand: ScanUpdate, IP: 2001:db8::1, \
             vuln_count = 5\n",
            &["2001:db8::1"],
        ),
        ("Something about 192.0.2.1: odd.\nDone processing 3 commands.\n", &["192.0.2.1"]),
        ("Something about 192.0.2.111\nDone processing 3 commands.\n", &ALL),
        ("[AddHost]: Must set source application [f,1]\nDone processing 3 commands.\n", &ALL),
        (
            "Failure to Run Scan API:\nCommand: ScanUpdate, IP: 192.0.2.1, vuln_count = 1\n\
             Done processing 2 commands.\n",
            &ALL,
        ),
    ] {
        assert_eq!(names(&refused(text)), expected, "{text}");
    }
}

#[test]
fn messages_with_and_without_an_asset_are_distinguished() {
    for (text, named, of_any) in [
        ("Something about 192.0.2.1\nDone processing 3 commands.\n", 1, None),
        ("Something about 192.0.2.1\nDone processing 2 commands.\n", 1, Some("processed 2 of 3")),
        ("Done processing 3 commands.\nhm\n", 0, Some("replied `hm`")),
    ] {
        let evaluation = evaluate("dc", text, &body()).unwrap();
        assert_eq!(evaluation.refused.len(), named, "{text}");
        assert_eq!(evaluation.of_any.is_some(), of_any.is_some(), "{text}");
        let reason = evaluation.of_any.unwrap_or_default();
        assert!(reason.contains(of_any.unwrap_or_default()), "{reason}");
    }
}

#[test]
fn every_known_error_fragment_is_explained() {
    for (reply, meaning) in [
        ("Failed to Execute Command: X", "a command failed on the Defense Center"),
        (
            "Failure to Run Scan API:\nCommand: ScanUpdate, IP: 1, vuln_count = 1",
            "the scan results could not be stored",
        ),
        ("[AddHost]: Must set source application [f,1]", "the source of the commands is not set"),
        ("Failed to recognize IP address: x", "invalid IP address of the asset"),
        ("Failed to recognize MAC address: x", "invalid MAC address"),
        ("'x' is not a valid address", "invalid IP address in a list"),
        ("'x' is not a valid address range", "invalid IP address in a list"),
        ("Wrong protocol icmp entered", "unknown protocol"),
        ("can not find the header: 'cve_ids:'", "the list of CVE or BugTraq IDs is missing"),
        ("can not find the header: 'bugtraq_ids:'", "the list of CVE or BugTraq IDs is missing"),
        ("Wrong command syntax on Vuln ID: 5", "the list of CVE or BugTraq IDs is missing"),
        ("Wrong command syntax on DeleteScanResult", "invalid command DeleteScanResult"),
        ("Invalid Attribute Name Syntax", "invalid host attribute"),
        ("Invalid Attribute Type", "invalid host attribute"),
        ("Can not Find Attribute Name", "unknown host attribute"),
        ("Can not Delete x", "in use cannot be deleted"),
        ("unknown vuln type", "unknown vulnerability type"),
        ("Unknown proto 'x'", "unknown protocol"),
        ("Failed to send UserMessage", "internal error on the Defense Center"),
        ("'Global' is not a leaf domain", "only leaf domains contain hosts"),
    ] {
        let refused = refused(&format!("{reply}\nDone processing 3 commands.\n"));
        assert_eq!(names(&refused), ALL, "{reply}");
        assert!(refused.values().all(|reason| reason.contains(meaning)), "{reply}: {refused:?}");
    }
}

#[test]
fn aborted_message_error_names_the_option() {
    for (reply, kind, part) in [
        ("Failed to find map 'x' [f,1]\n", ErrorKind::Config, "unknown third-party map"),
        (
            "'x' is not in the certificate domain [f,1]\n",
            ErrorKind::Config,
            "unknown domain, or the client certificate",
        ),
        ("Invalid domain uuid [f,1]\n", ErrorKind::Config, "unknown domain UUID"),
        ("'Global' is not a leaf domain [f,1]\n", ErrorKind::Config, "not a leaf domain"),
        ("Failed to send UserMessage\n", ErrorKind::Protocol, "internal error on the Defense Center"),
        ("hello\u{1b}[31m\n", ErrorKind::Protocol, "it replied `hello?[31m`"),
    ] {
        let error = evaluate("dc", reply, &body()).unwrap_err();
        assert_eq!(error.kind, kind, "{reply}");
        assert!(error.message.contains(part), "{error}");
        assert_eq!(error.hint.is_some(), kind == ErrorKind::Config, "{reply}");
    }
}

proptest::proptest! {
    #[test]
    fn no_reply_causes_a_panic_and_only_the_done_line_passes(
        pieces in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::sample::select(vec![
                    "Done processing 3 commands.", "Done processing ", "3", " commands.", "\n", "Failed to Execute Command:",
                    "192.0.2.1", ":", "Failure to Run Scan API:", "is not a leaf domain", "\r", "é",
                ]).prop_map_into_string(),
                proptest::prelude::any::<String>(),
            ], 0..8),
    ) {
        let text = pieces.concat();
        let passed = evaluate("dc", &text, &body()).is_ok_and(|evaluation| evaluation == Evaluation::default());
        proptest::prop_assert_eq!(passed, text == "Done processing 3 commands.\n");
    }
}

/// Turns a strategy of literals into one of `String`.
trait IntoStrings {
    fn prop_map_into_string(self) -> proptest::strategy::BoxedStrategy<String>;
}

impl<S: proptest::strategy::Strategy<Value = &'static str> + 'static> IntoStrings for S {
    fn prop_map_into_string(self) -> proptest::strategy::BoxedStrategy<String> {
        proptest::strategy::Strategy::boxed(self.prop_map(str::to_owned))
    }
}
