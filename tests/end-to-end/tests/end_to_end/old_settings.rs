//! The built host reads settings files of 2014 for the input `QualysGuard`. No request is sent to Qualys.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};

/// The three settings that are required.
const ACCOUNT: &str = "user_id: dirk_g\npassword: 'd0ntp@n1c'\ntemplate_id: 424242\n";
/// All settings of the guide, with comments, empty lines and a space after a value.
const EVERYTHING: &str = "# Account\nuser_id: dirk_g\npassword: 'd0ntp@n1c'\n\ntemplate_id: 424242\n\n\
    # Optional\nadd_host: y\nip_ranges: 192.168.1.0/24, 10.1.2.3-10.1.2.10, 42.4.2.1\n\n\
    proxy: https://192.168.1.100:443\nproxy_username: zaphod \nproxy_password: 't0w3L'\n";

/// A working directory with these settings, and two pipelines that use them.
fn laid_out(settings: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("InputPlugins")).unwrap();
    let path = sandbox.write("InputPlugins/QualysGuard.yaml", settings);
    // It has a password.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    for (name, output) in [
        ("file.yaml", "{ id: commands, plugin: CSV, with: { format: host-input, path: a.csv } }"),
        ("center.yaml", "{ id: center, plugin: Sourcefire, with: { server: 192.0.2.1 } }"),
    ] {
        let pipeline = format!(
            "version: 1\ninputs:\n  - {{ id: qualys, plugin: QualysGuard, config: InputPlugins/QualysGuard.yaml }}\n\
             outputs:\n  - {output}\n"
        );
        sandbox.write(name, pipeline);
    }
    sandbox
}

fn host(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    Outcome::of(sandbox.host(arguments).output().unwrap())
}

/// The settings in effect: those of the input, then those of the output.
fn shown(settings: &str) -> [Value; 2] {
    let outcome = host(&laid_out(settings), &["config", "show", "center.yaml", "--format", "json"]);
    let shown: Value = serde_json::from_str(&outcome.expect_code(0).stdout).unwrap();
    ["inputs", "outputs"].map(|side| shown[side][0]["options"].clone())
}

/// The error of the old command for invalid settings.
fn error_of(settings: &str) -> String {
    let sandbox = laid_out(settings);
    let program = installation::legacy("qualys_connector");
    let output = sandbox.program(&program, &["-csvfile=a.csv"]).output().unwrap();
    assert!(!sandbox.path("a.csv").exists());
    Outcome::of(output).expect_code(78).stderr
}

#[test]
fn missing_required_settings_are_reported() {
    for key in ["user_id", "password", "template_id"] {
        let settings: String =
            ACCOUNT.lines().filter(|line| !line.starts_with(key)).collect::<Vec<_>>().join("\n");
        let error = error_of(&settings);
        assert!(error.contains(&format!("`{key}`")), "{error}");
        // Only the plugin knows that `template_id` is required for this source, so the host cannot name the file.
        assert!(key == "template_id" || error.contains("InputPlugins/QualysGuard.yaml"), "{error}");
    }
}

#[test]
fn invalid_values_are_reported() {
    for (line, part) in [
        ("add_host: maybe", "`add_host` must be `yes` or `no`, found `maybe`"),
        ("ip_ranges: 192.0.2.1, 192.0.2.0/33", "invalid entry `192.0.2.0/33` in option `ip_ranges`"),
        ("proxy: https://192.0.2.1:70000", "`proxy` has an invalid port; expected a number from 1 to 65535"),
    ] {
        let error = error_of(&format!("{ACCOUNT}{line}\n"));
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn other_settings_have_their_defaults() {
    let [qualys, center] = shown(ACCOUNT);
    for (option, value) in [
        ("url", json!("https://qualysapi.qualys.com")),
        ("add_host", json!(false)),
        ("ip_ranges", Value::Null),
        ("proxy", Value::Null),
    ] {
        assert_eq!(qualys[option]["value"], value, "{option}");
    }
    assert_eq!(center["port"]["value"], 8307);
    host(&laid_out(ACCOUNT), &["check", "file.yaml"]).expect_code(0);
}

#[test]
fn all_settings_of_the_guide_are_accepted() {
    let [qualys, _] = shown(EVERYTHING);
    for (option, value) in [
        ("user_id", json!("dirk_g")),
        ("password", json!("[redacted]")),
        ("template_id", json!(["424242"])),
        ("add_host", json!(true)),
        ("ip_ranges", json!(["192.168.1.0/24", "10.1.2.3-10.1.2.10", "42.4.2.1"])),
        ("proxy", json!("https://192.168.1.100:443")),
        ("proxy_username", json!("zaphod")),
        ("proxy_password", json!("[redacted]")),
    ] {
        assert_eq!(qualys[option]["value"], value, "{option}");
    }
    let checked = host(&laid_out(EVERYTHING), &["check", "file.yaml"]).expect_code(0);
    assert!(checked.stderr.is_empty(), "{}", checked.stderr);
}

#[test]
fn old_spellings_of_yes_and_no_are_accepted() {
    for (word, value) in
        [("y", true), ("Y", true), ("yes", true), ("true", true), ("n", false), ("no", false)]
    {
        let [qualys, _] = shown(&format!("{ACCOUNT}add_host: {word}\n"));
        assert_eq!(qualys["add_host"]["value"], value, "{word}");
    }
}

#[test]
fn shipped_settings_file_is_valid_and_creates_assets() {
    let settings = fs::read_to_string(installation::project_file("InputPlugins/QualysGuard.yaml")).unwrap();
    assert!(settings.lines().any(|line| line == "add_host: y"));
    host(&laid_out(&settings), &["check", "file.yaml"]).expect_code(0);
}
