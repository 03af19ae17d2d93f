//! The key `fips`: the strictest mode wins, and a plugin that FIPS mode refuses is not loaded.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]

mod config_catalogue;

use std::cell::Cell;
use std::path::Path;

use config_catalogue::FakeCatalogue;
use scanbridge::config::{self, Catalogue, Pipeline, Problems};
use scanbridge_plugin_api::{Descriptor, Fips, PluginKind};

/// Plugins in the FIPS build. `Relay` has cryptography outside a FIPS module.
struct FipsCatalogue {
    plugins: FakeCatalogue,
    minimum: Fips,
    is_relay_loaded: Cell<bool>,
}

impl Catalogue for FipsCatalogue {
    fn find(&self, kind: PluginKind, name: &str) -> Option<&Descriptor> {
        self.is_relay_loaded.set(self.is_relay_loaded.get() || name == "Relay");
        self.plugins.find(kind, name)
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        self.plugins.names(kind)
    }

    fn fips(&self) -> Fips {
        self.minimum
    }

    fn is_fips_build(&self) -> bool {
        true
    }

    fn refusal_in_fips_mode(&self, _: PluginKind, name: &str) -> Option<String> {
        (name == "Relay").then(|| "librelay.so: relay 1.0 has cryptography outside a FIPS module".to_owned())
    }
}

fn pipeline(top: &str, output: &str, plugin: &str) -> String {
    let with = if plugin == "CSV" { "{ path: a.csv }" } else { "{ address: a.example.com }" };
    format!(
        "version: 1\n{top}\ninputs:\n  - {{ id: scans, plugin: QualysGuardFile, with: {{ path: a.xml }} }}\noutputs:\n  - \
         {{ id: out, plugin: {plugin}, {output} with: {with} }}\n"
    )
}

/// The pipeline, and whether `Relay` was loaded.
fn check(text: &str, minimum: Fips) -> (Result<Pipeline, Problems>, bool) {
    let catalogue =
        FipsCatalogue { plugins: FakeCatalogue::new(), minimum, is_relay_loaded: Cell::new(false) };
    let document = config::read_text(Path::new("p.yaml"), text).unwrap();
    let pipeline = config::check(&document, &catalogue);
    (pipeline, catalogue.is_relay_loaded.get())
}

#[test]
fn strictest_mode_wins() {
    for (top, output, minimum, expected) in [
        ("", "", Fips::Off, [Fips::Off, Fips::Off]),
        ("fips: on", "", Fips::Off, [Fips::On, Fips::On]),
        ("fips: on", "fips: off,", Fips::Off, [Fips::On, Fips::On]),
        ("", "fips: suite-b-192,", Fips::Off, [Fips::Off, Fips::SuiteB192]),
        ("fips: off", "fips: on,", Fips::SuiteB128, [Fips::SuiteB128, Fips::SuiteB128]),
        ("fips: suite-b-128", "fips: suite-b-192,", Fips::On, [Fips::SuiteB128, Fips::SuiteB192]),
    ] {
        let (pipeline, _) = check(&pipeline(top, output, "CSV"), minimum);
        let pipeline = pipeline.unwrap();
        let found = [pipeline.inputs[0].instance.fips, pipeline.outputs[0].instance.fips];
        assert_eq!(found, expected, "{top} {output} {minimum}");
    }
}

#[test]
fn refused_plugin_is_named_and_not_loaded() {
    for (top, output, minimum) in [
        ("fips: on", "", Fips::Off),
        ("", "fips: on,", Fips::Off),
        ("", "", Fips::On),
        ("", "fips: off,", Fips::On),
    ] {
        let (checked, is_loaded) = check(&pipeline(top, output, "Relay"), minimum);
        let problems = checked.unwrap_err();
        let found: Vec<&str> = problems.list.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            found,
            ["librelay.so: relay 1.0 has cryptography outside a FIPS module"],
            "{top} {output}"
        );
        assert_eq!(problems.list[0].code, "refused-plugin");
        assert!(!is_loaded, "{top} {output} {minimum}");
    }
    let (_, is_loaded) = check(&pipeline("", "", "Relay"), Fips::Off);
    assert!(is_loaded);
}
