//! The wizard with random plugins and answers: what it accepts is a valid pipeline.

use std::fs;

use fastrand::Rng;
use proptest::prelude::*;
use scanbridge_plugin_api::{
    EndpointPort, OptionCondition, OptionDescriptor, OptionKind, OptionSpec, PluginKind,
};

use super::draft::Draft;
use super::draft_reader::read_draft;
use super::draft_text::{Secrets, draft_text};
use super::fake_plugins::{Nothing, Plugins, plugin};
use super::prompts::{Check, Leave, Prompts, Reply};
use super::saved_answers::{Saved, SavedAnswers};
use super::wizard::{Start, Wizard};
use super::wizard_script::write;
use super::write::Target;
use crate::config::{self, Written, WrittenEntry};

fn text_kinds(random: &mut Rng) -> OptionKind {
    let words = ["alpha", "beta", "gamma"].map(str::to_owned).to_vec();
    match random.u8(..12) {
        0 => OptionKind::Flag,
        1 => OptionKind::Integer { min: 1, max: 9_999 },
        2 => OptionKind::Size { min: 1, max: 1 << 20 },
        3 => OptionKind::Duration { min_ms: 1_000, max_ms: 600_000 },
        4 | 5 => OptionKind::Choice { words },
        6 => OptionKind::Path,
        7 => OptionKind::Endpoint { port: EndpointPort::Required },
        8 => OptionKind::Url { schemes: vec!["https".to_owned()], default_scheme: None, path: true },
        9 => OptionKind::List { of: Box::new(OptionKind::Integer { min: 0, max: 9 }) },
        10 => OptionKind::Map { of: Box::new(OptionKind::Text) },
        _ => OptionKind::Text,
    }
}

/// An option table with any rules.
fn random_options(random: &mut Rng) -> Vec<OptionDescriptor> {
    let mut options: Vec<OptionDescriptor> = Vec::new();
    for number in 0..random.usize(..8) {
        let mut option = OptionDescriptor::from(&OptionSpec::text("x").help("Helps\nwith \u{7} it."));
        option.name = format!("option_{number}");
        option.kind = text_kinds(random);
        option.required = random.u8(..4) == 0;
        option.secret =
            !matches!(option.kind, OptionKind::Flag | OptionKind::Choice { .. }) && random.u8(..4) == 0;
        let earlier = (!options.is_empty()).then(|| random.usize(..options.len()));
        if let Some(earlier) = earlier.map(|index| &options[index]) {
            let words = match &earlier.kind {
                OptionKind::Flag => vec!["yes".to_owned()],
                OptionKind::Choice { words } => words[..2].to_vec(),
                _ => Vec::new(),
            };
            let condition = OptionCondition { option: earlier.name.clone(), words };
            match random.u8(..6) {
                0 if !option.required && !condition.words.is_empty() => {
                    option.only_with = Some(condition.clone());
                    option.required_with = random.bool().then_some(condition);
                }
                1 if !option.required => option.conflicts = vec![earlier.name.clone()],
                2 => option.requires = vec![earlier.name.clone()],
                3 if !option.required && !condition.words.is_empty() => {
                    option.required_with = Some(condition)
                }
                _ => {}
            }
        }
        options.push(option);
    }
    options
}

const MARKER: &str = "s3cret";

/// Answers without sense, and after a while answers that lead to the end.
struct RandomAnswers {
    random: Rng,
    asked: usize,
}

impl RandomAnswers {
    fn is_settled(&self) -> bool {
        self.asked > 60
    }

    fn count(&mut self, texts: &[&str]) -> Reply<()> {
        for text in texts {
            assert!(text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{text:?}");
        }
        self.asked += 1;
        match self.random.u8(..20) {
            _ if self.asked > 1_500 => Err(Leave::Interrupted),
            0 if !self.is_settled() => Err(Leave::Back),
            _ => Ok(()),
        }
    }

    fn typed(&mut self) -> String {
        const TEXTS: [&str; 31] = [
            "",
            "7",
            "1, 2",
            "10000",
            "0",
            "5 min",
            "100 KiB",
            "host:1",
            "[2001:db8::1]:443",
            "https://a.example/x",
            "a=b, c=d",
            "yes",
            "alpha",
            "plain",
            " spaces ",
            "it's",
            "a: b # c",
            "- x",
            "null",
            "~",
            "${env:PATH}",
            "$${x}",
            "${nonsense}",
            "REPLACE-ME",
            "\u{e4}\u{1f600}",
            "tab\there",
            "\u{202e}turned",
            "1:30",
            "127.0.0.1:9001",
            "[::1]:0",
            "localhost:9001",
        ];
        TEXTS[self.random.usize(..TEXTS.len())].to_owned()
    }
}

impl Prompts for RandomAnswers {
    fn width(&self) -> usize {
        60
    }

    fn show(&mut self, text: &str) {
        assert!(text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{text:?}");
        assert!(!text.contains(MARKER), "{text}");
    }

    fn choose(&mut self, question: &str, rows: &[String], start: usize) -> Reply<usize> {
        let texts: Vec<&str> = rows.iter().map(String::as_str).chain([question]).collect();
        // The first screen is left at once by going back.
        if question == "ready?" {
            return Ok(0);
        }
        self.count(&texts)?;
        let is_leave = |row: usize| rows[row].starts_with("leave");
        let chosen = match self.random.usize(..rows.len()) {
            _ if self.is_settled() && (rows[0].starts_with("write") || start > 0) => start,
            _ if self.is_settled() && rows[0].starts_with("no more ") => 0,
            chosen => chosen,
        };
        Ok(if is_leave(chosen) { 0 } else { chosen })
    }

    fn mark(&mut self, question: &str, rows: &[String], _: &[usize]) -> Reply<Vec<usize>> {
        let texts: Vec<&str> = rows.iter().map(String::as_str).chain([question]).collect();
        self.count(&texts)?;
        let settled = self.is_settled();
        Ok((0..rows.len()).filter(|_| !settled && self.random.u8(..3) == 0).collect())
    }

    fn enter(
        &mut self,
        question: &str,
        hint: &str,
        default: Option<&str>,
        check: Check<'_>,
    ) -> Reply<String> {
        self.count(&[question, hint, default.unwrap_or_default()])?;
        let random = &mut self.random.clone();
        let default =
            default.filter(|_| self.is_settled() || random.bool()).filter(|text| check(text).is_ok());
        if let Some(default) = default {
            return Ok(default.to_owned());
        }
        let typed = (0..200).map(|_| self.typed()).find(|text| check(text).is_ok());
        typed.ok_or(Leave::Interrupted)
    }

    fn enter_secret(&mut self, question: &str, hint: &str, check: Check<'_>) -> Reply<String> {
        self.count(&[question, hint])?;
        let secret = format!("{MARKER}-{}'${{x}}\u{1}", self.random.u32(..));
        if check(&secret).is_ok() {
            return Ok(secret);
        }
        let typed = (0..200).map(|_| self.typed()).find(|text| check(text).is_ok());
        typed.ok_or(Leave::Interrupted)
    }
}

/// A filter as it may be in a file that exists, with a condition that nothing asks for.
fn random_filter(random: &mut Rng) -> Vec<WrittenEntry> {
    let text = |text: &str| Written::Text(text.to_owned());
    let of = WrittenEntry::new;
    let severities = ["1", "3", "5", "${env:SCANBRIDGE_NO_SUCH:-4}"];
    let kinds = [
        text("Service, potential"),
        text("${env:SCANBRIDGE_NO_SUCH:-service,potential}"),
        Written::List(vec![text("information, service"), text("${env:SCANBRIDGE_NO_SUCH:-vulnerability}")]),
        Written::List(vec![text("vulnerability")]),
    ];
    let mut filter = vec![of(OTHER_CONDITION, Written::List(vec![text("38170-38175")]))];
    if random.bool() {
        filter.push(of("min_severity", text(severities[random.usize(..severities.len())])));
    }
    if random.bool() {
        filter.push(of("kinds", kinds[random.usize(..kinds.len())].clone()));
    }
    filter
}

const OTHER_CONDITION: &str = "qids";

/// Sets up a pipeline with random plugins and answers, and checks the files. Returns its text if it came to an end.
fn attempt(seed: u64) -> Option<String> {
    let mut random = Rng::with_seed(seed);
    let plugins = Plugins(vec![
        plugin("Source", PluginKind::Input, random_options(&mut random)),
        plugin("Other.Source", PluginKind::Input, random_options(&mut random)),
        plugin("Sink", PluginKind::Output, random_options(&mut random)),
        plugin("\u{e9}vier", PluginKind::Output, random_options(&mut random)),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let target = Target::Folder(folder.path().to_owned());
    let saved = SavedAnswers::of(&target);
    let mut draft = Draft::new();
    let has_filter = random.bool();
    if has_filter {
        draft.filter = random_filter(&mut random);
    }
    let start = Start::Saved(Saved { draft, name: "p".to_owned(), at: "ready".to_owned() });
    let mut answers = RandomAnswers { random, asked: 0 };
    let result = Wizard::new(&plugins, &Nothing, &mut answers, &target, &saved).run(start);
    let stored = fs::read_to_string(saved.path()).unwrap();
    assert!(!stored.contains(MARKER), "{stored}");
    let Ok((draft, name)) = result else { return None };
    // The answers about the service can be read back.
    let document = config::read(saved.path()).unwrap();
    assert_eq!(SavedAnswers::read(&document, &plugins).unwrap().service, draft.service);

    let text = draft_text(&draft, Secrets::InFiles { pipeline: &name });
    assert!(!text.contains(MARKER), "{text}");
    let file = target.file(&name);
    assert_eq!(write(&file, &draft, &name), text);
    if let Some(plan) = &draft.service {
        let service = file.with_file_name("service.yaml");
        let known = config::read_service_file(&service);
        let (known, warnings) = known.unwrap_or_else(|problems| panic!("seed {seed}:\n{problems}"));
        assert!(warnings.list.is_empty(), "seed {seed}");
        assert_eq!(known.pipelines, [file.display().to_string()]);
        assert_eq!(known.console.map(|console| console.listen), plan.console);
    }
    let checked = config::read_for(&file, &plugins).and_then(|document| config::check(&document, &plugins));
    if let Err(problems) = checked {
        panic!("seed {seed}:\n{problems}\n{text}");
    }
    // What is read back is the same file.
    let again = read_draft(&config::read_for(&file, &plugins).unwrap(), &plugins);
    assert_eq!(draft_text(&again, Secrets::InFiles { pipeline: &name }), text);
    assert_eq!(text.contains(OTHER_CONDITION), has_filter, "{text}");
    Some(text + draft.service.as_ref().map_or("", |_| SERVICE))
}

/// What is added to the text of a pipeline with a service.
const SERVICE: &str = "# with a service";

#[test]
fn most_set_ups_come_to_an_end() {
    let texts: Vec<String> = (0..60).filter_map(attempt).collect();
    assert!(texts.len() > 36, "only {} of 60", texts.len());
    let inputs = |text: &String| {
        text[text.find("inputs:").unwrap()..text.find("outputs:").unwrap()].matches("  - id: ").count()
    };
    assert!(texts.iter().any(|text| inputs(text) > 1), "never several inputs");
    for part in ["  min_severity: ", "  kinds:\n    - ", SERVICE] {
        assert!(texts.iter().any(|text| text.contains(part)), "never {part}");
        assert!(texts.iter().any(|text| !text.contains(part)), "always {part}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn accepted_answers_are_a_valid_pipeline(seed in any::<u64>()) {
        attempt(seed);
    }
}
