//! Arbitrary settings files cause no panic and no unbounded memory use, and reveal no secret.

mod config_catalogue;

use std::path::Path;

use config_catalogue::FakeCatalogue;
use proptest::prelude::*;
use scanbridge::cli::{self, Format};
use scanbridge::config::{self, Environment, RenderStyle};

/// At least 2,000 cases; `PROPTEST_CASES` can set more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(2_000), failure_persistence: None, ..default }
}

/// All output for a text: problems, or warnings and effective configuration.
fn everything_shown(text: &str) -> String {
    let catalogue = FakeCatalogue::new();
    let environment = Environment { variable: &|_| None };
    let checked = config::read_text_for(Path::new("hostile.yaml"), text, &catalogue)
        .and_then(|document| config::check_in(&document, &catalogue, environment));
    match checked {
        Err(problems) => {
            let colored = problems.render(RenderStyle { color: true, width: 40 });
            let json: String =
                problems.list.iter().map(|problem| config::problem_to_json(problem).to_string()).collect();
            format!("{problems}{colored}{json}{problems:?}")
        }
        Ok(pipeline) => {
            let warnings = config::render_all(&pipeline.warnings, RenderStyle::default());
            let text =
                cli::show_settings(&pipeline, &catalogue, &cli::RunLocations::default(), Format::Text, 80);
            let json =
                cli::show_settings(&pipeline, &catalogue, &cli::RunLocations::default(), Format::Json, 80);
            format!("{warnings}{text}{json}{pipeline:?}")
        }
    }
}

/// Texts similar to pipelines, which find more faults than arbitrary text.
fn pieces() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "version",
        "inputs",
        "outputs",
        "id",
        "plugin",
        "with",
        "config",
        "filter",
        "password",
        "path",
        "QualysGuard",
        "CSV",
        "kinds",
        "ip_ranges",
        "1",
        "~",
        "&a",
        "*a",
        "<<",
        "!!str",
        "'",
        "\"",
        "|",
        ">",
        "{",
        "}",
        "[",
        "]",
        ",",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "\t",
        "#",
        " #",
        "${env:X}",
        "${",
        "$${",
        "---",
        "...",
        "%",
        "é",
        "\u{feff}",
        "\0",
        "\u{1b}[2J",
        "\u{202e}",
        "\r",
        "192.0.2.0/24",
        "\\",
        "?",
        "\u{85}",
        "\u{2028}",
    ]);
    prop::collection::vec(words, 0..60).prop_map(|words| words.concat())
}

/// Passwords with arbitrary characters around a fixed part, by which they are found in the output.
fn passwords() -> impl Strategy<Value = String> {
    let part = "[ -~éß]{0,6}";
    (part, part).prop_map(|(before, after)| format!("{before}XYZZY{after}"))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn arbitrary_text_does_not_panic(text in any::<String>()) {
        everything_shown(&text);
    }

    #[test]
    fn near_valid_pipeline_does_not_panic(text in pieces()) {
        let shown = everything_shown(&text);
        prop_assert!(!shown.contains("\u{1b}[2J"), "an escape sequence reaches the terminal");
    }

    #[test]
    fn passwords_are_never_shown(
        password in passwords(),
        key in prop::sample::select(vec!["password", "passwrod", "pin", "Password", "secret", "user_pass"]),
        form in 0..9,
        other in prop::sample::select(vec!["username: u", "page_size: 0", "usrname: u", "username: [", "url: 'a"]),
    ) {
        let quoted = format!("'{}'", password.replace('\'', "''"));
        let escaped = serde_json::to_string(&password).unwrap();
        let value = match form {
            0 => password.clone(),
            1 => quoted,
            2 => escaped,
            3 => format!("[{quoted}]"),
            4 => format!("{{ a: {quoted} }}"),
            5 => format!("|\n        {password}"),
            6 => format!(">-\n        x\n        {password}"),
            7 => format!("'${{env:NO_SUCH:-{}}}'", password.replace('\'', "''")),
            _ => format!("&p {quoted}"),
        };
        // After an open quote or bracket, the password is part of another value, which may be shown.
        let closed = if other.ends_with(['[', 'a']) { "url: b" } else { other };
        for text in [
            format!("version: 1\ninputs:\n  - id: a\n    plugin: QualysGuard\n    with:\n      {key}: {value}\n      {other}\n"),
            format!("version: 1\ninputs:\n  - id: a\n    plugin: QualysGuard\n    {key}: {value}\n    {other}\n"),
            format!("version: 1\ninputs:\n  - id: a\n    plugin: Nameless\n    with:\n      {closed}\n      {key}: {value}\n"),
            format!("version: 1\ninputs: [{{ id: a, plugin: QualysGuard, with: {{ {closed}, {key}: {value}, page_size: 0 }} }}]\n"),
            format!("version: 1\noutputs: [{{ id: a, plugin: CSV, {key}: {value}, required: 0 }}]\n"),
            format!("{key}: {value}\n{other}\n"),
        ] {
            let shown = everything_shown(&text);
            prop_assert!(!shown.contains("XYZZY"), "text:\n{text}\noutput:\n{shown}");
        }
    }
}

#[test]
fn yaml_alias_expansion_is_limited() {
    let mut text = String::from("a0: &a0 [xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]\n");
    for level in 1..28 {
        let list = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    assert!(everything_shown(&text).contains("the file is too large after its aliases are expanded"));
    let long = "x".repeat(100_000);
    let text = format!("a: &a {long}\nb: [{}]\n", vec!["*a"; 5_000].join(", "));
    assert!(everything_shown(&text).contains("the file is too large after its aliases are expanded"));
}

#[test]
fn endless_file_is_rejected() {
    let problems = config::read(Path::new("/dev/zero")).unwrap_err();
    assert!(problems.to_string().contains("larger than 256 KiB"), "{problems}");
}
