//! Reads the service file and all pipeline files, with the host: this process parses no YAML.

use std::fs;
use std::path::{Path, PathBuf};

use scanbridge_observe::{BundleResult, ServiceFile};
use scanbridge_tls_policy::{Policy, is_fips_build, self_test};
use serde_json::Value;

use crate::ask::{HostProgram, ask};

/// Where the configuration is.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) host: HostProgram,
    /// `--config`; without it the default file, which may be missing.
    pub(crate) config: Option<PathBuf>,
    /// Folders and files of the command line.
    pub(crate) paths: Vec<PathBuf>,
    /// The FIPS mode that the environment sets.
    pub(crate) minimum: Policy,
    /// `--listen`: address and port instead of those of the service file.
    pub(crate) listen: Option<String>,
}

/// All configuration as it is on the disk now.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) service: ServiceFile,
    /// The FIPS mode of the service.
    pub(crate) fips: Policy,
    /// Warnings about the service file, as the host prints them.
    pub(crate) warnings: String,
    pub(crate) results: Vec<BundleResult>,
}

const SERVICE_FILE: &str = "/etc/scanbridge/service.yaml";
const PIPELINES: &str = "/etc/scanbridge/pipelines";

impl Sources {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// When the service file is invalid, or a folder or the host cannot be used. Nothing may change then.
    pub(crate) fn load(&self) -> Result<Loaded, String> {
        let (mut service, warnings) = self.service_file()?;
        if let Some(listen) = &self.listen {
            service.console.get_or_insert_default().listen.clone_from(listen);
        }
        let paths: Vec<PathBuf> = match (self.paths.is_empty(), service.pipelines.is_empty()) {
            (false, _) => self.paths.clone(),
            (true, false) => service.pipelines.iter().map(PathBuf::from).collect(),
            (true, true) => vec![PathBuf::from(PIPELINES)],
        };
        let files = list_files(&paths)?;
        let fips = self.fips_mode(&service)?;
        let host = HostProgram { fips, ..self.host.clone() };
        let results = if files.is_empty() { Vec::new() } else { bundle(&host, &files)? };
        let answered = files.iter().filter(|file| results.iter().any(|result| file_of(result) == **file));
        let answered = answered.count();
        if answered != files.len() {
            return Err(format!("the host answered for {answered} of {} pipeline files", files.len()));
        }
        let named: Vec<PathBuf> =
            list_files(&paths.into_iter().filter(|path| !path.is_dir()).collect::<Vec<_>>())?;
        let is_kept = |file: &Path, result: &BundleResult| {
            named.iter().any(|path| path == file) || !is_service_file(result)
        };
        let results = results.into_iter().filter(|result| is_kept(file_of(result), result));
        Ok(Loaded { service, fips, warnings, results: results.collect() })
    }

    /// The stricter mode of the service file and of the service until now. The host has checked the word of the file, but
    /// it may be another build than this program.
    fn fips_mode(&self, service: &ServiceFile) -> Result<Policy, String> {
        let own: Policy = service.fips.parse().map_err(|error| format!("the service file: {error}"))?;
        let mode = own.max(self.host.fips);
        require_module(mode).map(|()| mode)
    }

    fn service_file(&self) -> Result<(ServiceFile, String), String> {
        let file = match &self.config {
            Some(file) => file.clone(),
            None if Path::new(SERVICE_FILE).exists() => PathBuf::from(SERVICE_FILE),
            None => return Ok(Default::default()),
        };
        let mut command = self.host.command();
        let answer = ask({
            command.args(["config", "service"]).arg(&file).args(["--format", "json"]);
            command
        })?;
        if answer.code != Some(0) {
            return Err(format!(
                "the service file {} is invalid\n{}",
                file.display(),
                answer.stderr.trim_end()
            ));
        }
        let service = serde_json::from_slice(&answer.stdout)
            .map_err(|error| format!("unexpected answer of the host: {error}"))?;
        Ok((service, answer.stderr))
    }
}

/// Checks that this program can have this FIPS mode.
///
/// # Errors
/// A sentence, when it is another build, or its module does not run.
pub(crate) fn require_module(mode: Policy) -> Result<(), String> {
    if mode.is_off() {
        return Ok(());
    }
    if !is_fips_build() {
        return Err(format!(
            "FIPS mode `{mode}` needs the FIPS build of scanbridge-service, and this is the normal build; install the FIPS \
             build (scanbridge-fips), or set `fips: off`"
        ));
    }
    self_test().map_err(|error| error.to_string())
}

fn bundle(host: &HostProgram, files: &[PathBuf]) -> Result<Vec<BundleResult>, String> {
    let mut command = host.command();
    command.args(["config", "bundle"]).args(files);
    let answer = ask(command)?;
    let lines = answer.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(serde_json::from_slice)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("unexpected answer of the host: {error}; {}", answer.stderr.trim_end()))
}

/// The pipeline files, each once, by absolute path.
fn list_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in paths {
        let refuse = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
        if fs::metadata(path).map_err(refuse)?.is_dir() {
            let folder = path.canonicalize().map_err(refuse)?;
            let mut names = Vec::new();
            for entry in fs::read_dir(&folder).map_err(refuse)? {
                names.push(entry.map_err(refuse)?.file_name());
            }
            names.sort();
            files.extend(
                names.iter().filter(|name| is_pipeline(Path::new(name))).map(|name| folder.join(name)),
            );
        } else {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).canonicalize().map_err(refuse)?;
            files.extend(path.file_name().map(|name| folder.join(name)));
        }
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

/// The pipeline file of a result.
fn file_of(result: &BundleResult) -> &Path {
    Path::new(match result {
        BundleResult::Accepted(bundle) => &bundle.pipeline.path,
        BundleResult::Rejected { file, .. } => file,
    })
}

/// Whether a file has settings of the service. In a directory with pipelines it is none of them.
fn is_service_file(result: &BundleResult) -> bool {
    matches!(result, BundleResult::Rejected { problems, .. }
        if problems.iter().any(|problem| problem["code"] == "service-file"))
}

/// Names with a leading `.` or `_` are skipped: editors' files, and parts that operators keep next to their pipelines.
fn is_pipeline(name: &Path) -> bool {
    let text = name.to_string_lossy();
    let is_yaml = name.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    is_yaml && !text.starts_with(['.', '_'])
}

/// A problem as one line: place, message and help.
pub(crate) fn problem_in_words(problem: &Value) -> String {
    let text = |name: &str| problem[name].as_str().unwrap_or_default();
    let mut line = text("file").to_owned();
    for name in ["line", "column"] {
        if let Some(number) = problem[name].as_u64() {
            line.push_str(&format!(":{number}"));
        }
    }
    line.push_str(&format!(": {}", text("message")));
    if !text("hint").is_empty() {
        line.push_str(&format!("; {}", text("hint")));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_listed_without_hidden_files_and_subfolders() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", ".c.yaml", "_d.yaml", "e.yaml~", "f.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("deeper")).unwrap();
        fs::write(folder.path().join("deeper/g.yaml"), "").unwrap();
        let real = folder.path().canonicalize().unwrap();
        let twice = [folder.path().to_owned(), folder.path().join("b.yaml")];
        assert_eq!(list_files(&twice).unwrap(), [real.join("a.yml"), real.join("b.yaml")]);
        assert!(list_files(&[folder.path().join("absent")]).unwrap_err().contains("absent"));
    }
}
