//! Parses any bytes as input of the host's startup: a plugin library, or the command lines of 2014. They are accepted,
//! or rejected with a one-line message. The plugin names of an accepted library can be printed.
//!
//! The first byte selects the function. Arguments are separated by zero bytes.
#![no_main]

mod folder;

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use scanbridge::config::{self, Catalogue};
use scanbridge::legacy;
use scanbridge::plugins::{FilePermissionCheck, Library};
use scanbridge_plugin_api::abi::Identity;
use scanbridge_plugin_api::{Descriptor, OptionDescriptor, OptionSpec, PluginKind};

use folder::FOLDER;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| FOLDER.path().join("libplugin.so"));

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((first, rest)) = input.split_first() else { return Corpus::Reject };
    match first % 3 {
        0 => library(rest),
        1 => records(rest),
        _ => command_line(rest),
    }
    Corpus::Keep
});

fn library(bytes: &[u8]) {
    fs::write(&*FILE, bytes).expect("the file system in memory is not full");
    match Library::read(FILE.clone(), &FILE, FilePermissionCheck::Disabled) {
        Ok(library) => check_identity(library.identity()),
        Err(refusal) => check(&refusal.to_string()),
    }
}

fn records(bytes: &[u8]) {
    match Identity::parse(bytes) {
        Ok(identity) => check_identity(&identity),
        Err(error) => check(&error.to_string()),
    }
}

fn check_identity(identity: &Identity) {
    let Identity {
        target, api, crate_name, crate_version, toolchain, needs, plugins, unknown_plugins, ..
    } = identity;
    let library = [target, api, crate_name, crate_version, toolchain].into_iter().chain(needs);
    let plugins = plugins.iter().flat_map(|plugin| plugin.needs.iter().chain([&plugin.name]));
    let unknown = unknown_plugins.iter().flat_map(|(kind, name)| [kind, name]);
    library.chain(plugins).chain(unknown).for_each(|text| check(text));
}

fn command_line(bytes: &[u8]) {
    let words = || bytes.split(|byte| *byte == 0);
    let anything = words().map(|word| OsString::from_vec(word.to_vec())).collect();
    if let Ok(pipeline) = legacy::pipeline_of(anything) {
        assert!(config::read_text(Path::new("the command line"), &pipeline).is_ok(), "{pipeline}");
    }
    let mut texts = words().map(String::from_utf8_lossy).filter(|text| !text.is_empty());
    if let (Some(server), Some(password)) = (texts.next(), texts.next()) {
        check_translation(&server, &password);
    }
}

/// The value of an argument is passed unchanged, also with characters that are special in YAML.
fn check_translation(server: &str, password: &str) {
    let arguments = ["-multiinfo=1".to_owned(), format!("-server={server}"), format!("-password={password}")];
    let pipeline = legacy::pipeline_of(arguments.map(OsString::from).to_vec()).expect("both have a value");
    let pipeline = pipeline.replace("    config: \"settings.yaml\"\n", "");
    let document = config::read_text(Path::new("the command line"), &pipeline);
    let checked = document.and_then(|document| config::check(&document, &TranslationPlugins));
    // The word of `config example` for a value that is not chosen yet.
    if [server, password].contains(&"REPLACE-ME") {
        assert!(checked.is_err(), "{pipeline}");
        return;
    }
    let checked = checked.unwrap_or_else(|problems| panic!("{problems}\n{pipeline}"));
    let options = &checked.outputs[0].instance.options;
    assert_eq!(options["server"], server);
    assert_eq!(options["password"], password);
}

/// A catalogue with the plugins that a translated command line uses.
struct TranslationPlugins;

const INPUT: &[OptionSpec] = &[OptionSpec::text("template_id").help("Report template.")];
const OUTPUT: &[OptionSpec] =
    &[OptionSpec::text("server").help("Server."), OptionSpec::text("password").secret().help("Password.")];

static PLUGINS: LazyLock<[Descriptor; 2]> = LazyLock::new(|| {
    let plugins = [("QualysGuard", PluginKind::Input, INPUT), ("Sourcefire", PluginKind::Output, OUTPUT)];
    plugins.map(|(name, kind, options)| Descriptor {
        api: "2.0".to_owned(),
        tables: Vec::new(),
        capabilities: serde_json::Value::Null,
        name: name.to_owned(),
        kind,
        version: "1.0.0".to_owned(),
        summary: "a plugin".to_owned(),
        options: options.iter().map(OptionDescriptor::from).collect(),
        crypto: None,
    })
});

impl Catalogue for TranslationPlugins {
    fn find(&self, kind: PluginKind, name: &str) -> Option<&Descriptor> {
        PLUGINS.iter().find(|plugin| plugin.kind == kind && plugin.name == name)
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        PLUGINS.iter().filter(|plugin| plugin.kind == kind).map(|plugin| plugin.name.clone()).collect()
    }
}

/// Checks that the text is one line of bounded length without control characters.
fn check(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.len() < 1_000, "{} bytes", text.len());
}
