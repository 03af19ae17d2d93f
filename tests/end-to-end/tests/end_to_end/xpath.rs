//! Counts by xmllint, a program that shares nothing with ours.

use std::io::{self, Write};
use std::process::{Command, Stdio};

/// What the XPath expression counts in the document; none when xmllint is not installed.
///
/// Without xmllint a test says aloud that it compares less; on a machine that sets `CI=true` it fails.
pub(crate) fn count(document: &[u8], expression: &str) -> Option<u64> {
    let child = Command::new("xmllint")
        .args(["--huge", "--nonet", "--xpath", &format!("count({expression})"), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "xmllint is missing (package libxml2-utils)");
        // Past the test harness, which would swallow it.
        let _ =
            writeln!(io::stderr(), "xmllint is missing: counts are NOT compared with an independent reader");
        return None;
    };
    // Saved reports may begin with a line break, which XML itself does not allow.
    let document = document.trim_ascii_start();
    child.stdin.take().unwrap().write_all(document).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "xmllint refuses the document");
    Some(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap())
}
