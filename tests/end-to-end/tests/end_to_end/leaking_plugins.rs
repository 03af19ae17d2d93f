//! A plugin that reveals its secret option in errors and log lines: the host redacts it.

use std::fs;

use crate::sandbox::{Outcome, Sandbox};

#[test]
fn secret_option_is_redacted_in_errors_logs_summary_and_state() {
    let sandbox = Sandbox::new();
    sandbox.write("password", "t0w\"3L<ten>\n");
    sandbox.write(
        "pipeline.yaml",
        "version: 1
inputs:
  - { id: source, plugin: Rogue }
outputs:
  - { id: bad, plugin: Rogue, with: { act: leak-secret, password: '${file:password}' } }
",
    );
    for format in ["text", "json"] {
        let arguments = ["run", "pipeline.yaml", "--restart", "--log-format", format, "--summary", format];
        let outcome = Outcome::of(sandbox.host_with_rogue(&arguments).output().unwrap());
        let outcome = outcome.expect_code(77);
        let all = outcome.stdout + &outcome.stderr;
        assert!(all.contains("login with [redacted] failed"), "{all}");
        assert!(all.contains("the password is [redacted]"), "{all}");
        assert!(!all.contains("3L<ten>"), "{all}");
    }
    for entry in fs::read_dir(sandbox.path("state/pipeline")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(7).any(|part| part == b"3L<ten>"), "{}", path.display());
        }
    }
}
