//! The accepted version of a pipeline: its texts in one JSON document, so that a run does not depend on files that are
//! being edited. References such as `${env:NAME}` are resolved by each run.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use scanbridge_observe::{Bundle, BundleResult, BundledFile};
use scanbridge_plugin_api::PluginKind;
use scanbridge_plugin_api::abi::REPORTS_1;
use xxhash_rust::xxh3::Xxh3;

use super::catalogue::Catalogue;
use super::check::check_with;
use super::checker::Checker;
use super::collector::Collector;
use super::document::{Document, read_for, read_text};
use super::pipeline::Pipeline;
use super::problem::Problems;
use super::reference::Environment;
use super::report::problem_to_json;

/// Checks a pipeline file without opening plugins, and bundles it with its settings files: once for each of its instances.
#[must_use]
pub fn bundle(file: &Path, catalogue: &dyn Catalogue) -> Vec<BundleResult> {
    let mut name = Pipeline::named_after(file).name;
    let result = read_for(file, catalogue).and_then(|document| {
        name = document.name();
        let mut checker = Checker::new(catalogue, Environment::of_process());
        let pipeline = check_with(&mut checker, &document)?;
        if pipeline.writes_to_stdout() {
            let mut collector = Collector::default();
            let message = "an output writes to standard output, which a run of the service does not have";
            collector.file_error("stdout", file, message.to_owned()).help("set a file as `path`");
            return Err(collector.finish());
        }
        Ok((pipeline, bundled(file, &document, &checker)))
    });
    match result {
        Ok((pipeline, mut bundle)) => {
            bundle.choosing = choosing(&pipeline, catalogue);
            bundle.service = pipeline.service.clone();
            bundle.warnings = pipeline.warnings.iter().map(problem_to_json).collect();
            let of_instance =
                |(instance, name)| BundleResult::Accepted(Bundle { name, instance, ..bundle.clone() });
            pipeline.all_instances().into_iter().map(of_instance).collect()
        }
        Err(problems) => vec![BundleResult::Rejected {
            file: file.display().to_string(),
            name,
            problems: problems.list.iter().map(problem_to_json).collect(),
        }],
    }
}

/// The inputs whose plugins have stored reports.
fn choosing(pipeline: &Pipeline, catalogue: &dyn Catalogue) -> Vec<String> {
    let has_reports = |plugin: &str| {
        let descriptor = catalogue.find(PluginKind::Input, plugin);
        descriptor.is_some_and(|descriptor| descriptor.tables.iter().any(|table| table == REPORTS_1))
    };
    let inputs = pipeline.inputs.iter().filter(|input| has_reports(&input.instance.plugin));
    inputs.map(|input| input.instance.id.clone()).collect()
}

fn bundled(file: &Path, document: &Document, checker: &Checker<'_>) -> Bundle {
    let mut settings: Vec<BundledFile> = checker
        .settings_texts()
        .map(|(path, text)| BundledFile { path: path.display().to_string(), text: text.to_owned() })
        .collect();
    settings.sort_by(|a, b| a.path.cmp(&b.path));
    let pipeline = BundledFile { path: file.display().to_string(), text: document.source.text().to_owned() };
    let mut hash = Xxh3::new();
    for file in [&pipeline].into_iter().chain(&settings) {
        for part in [&file.path, &file.text] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
    }
    let digest = format!("{:032x}", hash.digest128());
    Bundle { format: Bundle::FORMAT, pipeline, settings, digest, ..Bundle::default() }
}

/// Reads a bundle as if its files were read at their paths.
///
/// # Errors
/// When the bundle cannot be read, or has another format, or the YAML in it is invalid.
pub fn read_bundle(path: &Path) -> Result<Document, Problems> {
    let refuse = |message: String| {
        let mut collector = Collector::default();
        collector
            .file_error("unreadable", path, message)
            .help("`scanbridge config bundle FILE` writes bundles");
        collector.finish()
    };
    let text =
        fs::read_to_string(path).map_err(|error| refuse(format!("the bundle cannot be read: {error}")))?;
    let bundle: Bundle =
        serde_json::from_str(&text).map_err(|error| refuse(format!("the bundle is invalid: {error}")))?;
    if bundle.format != Bundle::FORMAT {
        return Err(refuse(format!("the bundle has format {}, expected {}", bundle.format, Bundle::FORMAT)));
    }
    let mut document = read_text(Path::new(&bundle.pipeline.path), &bundle.pipeline.text)?;
    let settings: HashMap<PathBuf, String> =
        bundle.settings.into_iter().map(|file| (PathBuf::from(file.path), file.text)).collect();
    document.settings = Some(settings);
    document.digest = bundle.digest;
    document.instance = bundle.instance;
    Ok(document)
}
