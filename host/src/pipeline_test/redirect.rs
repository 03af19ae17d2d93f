//! Redirects a pipeline into a temporary directory. Works on the option tables, and knows no plugin.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use scanbridge_plugin_api::{Descriptor, OptionKind, PluginKind, RuleRepair};
use serde_json::{Map, Value, json};

use crate::config::{Catalogue, OnFull, PATH, Pipeline, TestInput, writes_file};
use crate::plugins::Registry;

/// Makes the pipeline read copies of these reports and write below `folder`. Returns the outputs that cannot write to a
/// file; they are removed.
///
/// # Errors
/// When a report cannot be copied, or no output is left: a sentence.
pub(super) fn redirect(
    pipeline: &mut Pipeline,
    input: &TestInput,
    registry: &Registry,
    folder: &Path,
) -> Result<Vec<String>, String> {
    let copies = copy_reports(&input.files, &folder.join("in"))?;
    pipeline.inputs.retain(|other| other.instance.id == input.id);
    for reader in &mut pipeline.inputs {
        let instance = &mut reader.instance;
        if let Some((plugin, options)) = &input.plugin {
            (instance.plugin, instance.options) = (plugin.clone(), options.clone());
            instance.origins = BTreeMap::new();
        }
        if let Some(plugin) = registry.find(PluginKind::Input, &instance.plugin) {
            let is_list = plugin.option(PATH).is_some_and(|path| path.kind != OptionKind::Path);
            let path = if is_list { json!(copies) } else { json!(copies.first()) };
            into_folder(plugin, &mut instance.options, path, &folder.join("paths"));
        }
    }
    let mut left_out = Vec::new();
    for output in &mut pipeline.outputs {
        let instance = &mut output.instance;
        let plugin = registry.find(PluginKind::Output, &instance.plugin);
        let Some(plugin) = plugin.filter(|plugin| writes_file(plugin)) else {
            left_out.push(instance.id.clone());
            continue;
        };
        let path = folder_of(folder, &instance.id);
        fs::create_dir_all(&path).map_err(|error| format!("cannot create {}: {error}", path.display()))?;
        let name = file_name(instance.options.get(PATH).and_then(Value::as_str));
        into_folder(
            plugin,
            &mut instance.options,
            json!(path.join(name).display().to_string()),
            &folder.join("paths"),
        );
        // What takes time, or depends on it.
        output.delivery.max_findings_per_sec = None;
        output.delivery.on_full = OnFull::Block;
    }
    pipeline.outputs.retain(|output| !left_out.contains(&output.instance.id));
    let is_left_out = |id: &Option<String>| id.as_ref().is_some_and(|id| left_out.contains(id));
    for output in pipeline.outputs.iter_mut().filter(|output| is_left_out(&output.delivery.failover)) {
        output.delivery.failover = None;
    }
    pipeline.run.compare = false;
    if pipeline.outputs.is_empty() {
        return Err("no output of the pipeline can write to a file".to_owned());
    }
    Ok(left_out)
}

/// The files that an output has written.
pub(super) fn files_of(folder: &Path, id: &str) -> Vec<PathBuf> {
    let entries = folder_of(folder, id).read_dir();
    let entries = entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let is_visible =
        |path: &PathBuf| !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut files: Vec<PathBuf> = entries.filter(is_visible).collect();
    files.sort();
    files
}

fn folder_of(folder: &Path, id: &str) -> PathBuf {
    folder.join("out").join(id)
}

/// The configured name of the file, with its placeholders; a fixed one for devices and standard output.
fn file_name(path: Option<&str>) -> String {
    let name = path.filter(|path| !path.starts_with("/dev/") && *path != "-");
    let name = name.and_then(|path| Path::new(path).file_name()?.to_str());
    name.unwrap_or("output").to_owned()
}

/// Sets `path`, with what the option table requires for it, and removes options that do not apply then. Every other path
/// that is not an existing file leads into `elsewhere`: a directory for files that were read, for example.
fn into_folder(plugin: &Descriptor, options: &mut Map<String, Value>, path: Value, elsewhere: &Path) {
    options.insert(PATH.to_owned(), path);
    let condition = plugin.option(PATH).and_then(|option| option.only_with.as_ref());
    if let Some(condition) = condition {
        let current = options.get(&condition.option).and_then(Value::as_str);
        if !current.is_some_and(|word| condition.words.iter().any(|known| known == word)) {
            let word = condition.words.first().cloned().unwrap_or_default();
            options.insert(condition.option.clone(), word.into());
        }
    }
    // Removing an option can break a rule of another one.
    for _ in 0..plugin.options.len() {
        let broken = plugin.broken_rules(options).into_iter();
        let removed: Vec<String> =
            broken.filter(|rule| rule.repair == RuleRepair::Remove).map(|rule| rule.option).collect();
        if removed.is_empty() {
            break;
        }
        removed.iter().for_each(|name| _ = options.remove(name));
    }
    for option in plugin.options.iter().filter(|option| option.name != PATH) {
        let Some(Value::String(path)) = options.get(&option.name) else { continue };
        if option.kind == OptionKind::Path && !Path::new(path).is_file() {
            options.insert(option.name.clone(), json!(elsewhere.join(&option.name).display().to_string()));
        }
    }
}

/// Copies the reports under their names. The copies are old, so that no input waits for more of them.
fn copy_reports(files: &[PathBuf], folder: &Path) -> Result<Vec<String>, String> {
    let mut copies = Vec::new();
    for (number, file) in files.iter().enumerate() {
        // Several reports may have the same name.
        let copy = folder.join(number.to_string()).join(file.file_name().unwrap_or_default());
        let copied = copy.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            fs::copy(file, &copy)?;
            let yesterday = SystemTime::now() - Duration::from_secs(86_400);
            File::options().write(true).open(&copy)?.set_times(FileTimes::new().set_modified(yesterday))
        });
        copied.map_err(|error| format!("cannot copy the report {}: {error}", file.display()))?;
        copies.push(copy.display().to_string());
    }
    Ok(copies)
}
