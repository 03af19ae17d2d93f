//! Counts and values by xmllint, which shares no code with the product.

use std::io::{self, Write};
use std::process::{Command, Stdio};

/// The number of nodes that the XPath expression selects. None if xmllint is not installed.
///
/// Without xmllint a test reports that it does not compare with it; with `CI=true` it fails.
pub(crate) fn count(document: &[u8], expression: &str) -> Option<u64> {
    evaluate(document, &format!("count({expression})")).map(|text| text.trim().parse().unwrap())
}

/// The text of the first node that the XPath expression selects; empty without one. None as for [`count`].
pub(crate) fn text(document: &[u8], expression: &str) -> Option<String> {
    evaluate(document, &format!("string({expression})")).map(|text| text.trim_end_matches('\n').to_owned())
}

fn evaluate(document: &[u8], expression: &str) -> Option<String> {
    let child = Command::new("xmllint")
        .args(["--huge", "--nonet", "--xpath", expression, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "xmllint is missing (package libxml2-utils)");
        // Not with `eprintln!`, which the test harness captures.
        let _ =
            writeln!(io::stderr(), "xmllint is missing: values are NOT compared with an independent reader");
        return None;
    };
    // Saved reports may begin with a line break, which XML itself does not allow.
    let document = document.trim_ascii_start();
    child.stdin.take().unwrap().write_all(document).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "xmllint rejects the document");
    Some(String::from_utf8(output.stdout).unwrap())
}
