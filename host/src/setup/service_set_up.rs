//! The service file that goes with a pipeline, and the command that installs the unit.

use std::fs;
use std::path::{Path, PathBuf};

use scanbridge_observe::{ConsoleKeys, UNIT_PATH_RULE, is_unit_path};

use super::draft_text::entries;
use crate::config::{self, Commented, Problems, ServicePlan, Written, WrittenEntry, escaped, keep_comments};
use crate::shell::shell_word;
use crate::telemetry::without_controls;
use crate::yaml_text::scalar;

/// Name of the service file, next to the pipeline file.
const NAME: &str = "service.yaml";
/// Where the service looks for pipelines if its file names none.
const DEFAULT_PIPELINES: &str = "/etc/scanbridge/pipelines";
/// Directories that the unit hides, with everything in them.
const HIDDEN: [&str; 3] = ["/home", "/root", "/run/user"];

/// What the service needs besides the pipeline file.
#[derive(Debug)]
pub(crate) struct ServiceSetUp {
    /// The service file.
    pub(crate) file: PathBuf,
    /// Its content.
    pub(crate) content: Commented,
    /// The command that installs the unit.
    pub(crate) command: String,
}

/// Why a service cannot be set up.
#[derive(Debug)]
pub(crate) enum NoService {
    /// The service file exists and is invalid.
    Invalid(Problems),
    /// Its path cannot be used; a sentence.
    Path(String),
}

impl From<Problems> for NoService {
    fn from(problems: Problems) -> Self {
        Self::Invalid(problems)
    }
}

impl ServiceSetUp {
    /// The service that runs this pipeline file. Other pipelines and keys of a service file that exists stay.
    ///
    /// # Errors
    /// When there can be no service file next to this pipeline file, or it exists and is invalid.
    pub(crate) fn of(pipeline: &Path, plan: &ServicePlan) -> Result<Self, NoService> {
        let file = service_file(pipeline);
        check_path(pipeline, &file)?;
        let content =
            if file.exists() { changed_text(&file, pipeline, plan)? } else { new_text(pipeline, plan) };
        let command = install_command(&file, plan);
        Ok(Self { file, content, command })
    }

    /// Whether the file has this content already.
    pub(crate) fn is_written(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|text| text == self.content.text)
    }
}

/// The service file of a pipeline file.
pub(crate) fn service_file(pipeline: &Path) -> PathBuf {
    pipeline.with_file_name(NAME)
}

/// The answers that a service file has; the defaults without one.
///
/// # Errors
/// Like [`ServiceSetUp::of`].
pub(super) fn plan_of_file(pipeline: &Path) -> Result<ServicePlan, NoService> {
    let file = service_file(pipeline);
    check_path(pipeline, &file)?;
    if !file.exists() {
        return Ok(ServicePlan::default());
    }
    let (known, _) = config::read_service_file(&file)?;
    Ok(ServicePlan { console: known.console.map(|console| console.listen), ..ServicePlan::default() })
}

/// The path of the service file in a unit.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn check_path(pipeline: &Path, file: &Path) -> Result<(), NoService> {
    let shown = without_controls(&file.display().to_string()).into_owned();
    if pipeline == file {
        let problem = format!("{shown} is the name of the service file, so the pipeline needs another one");
        return Err(NoService::Path(problem));
    }
    if !is_unit_path(&absolute(file)) {
        let problem =
            format!("the service file {shown} cannot be in a unit: its path must be {UNIT_PATH_RULE}");
        return Err(NoService::Path(problem));
    }
    Ok(())
}

fn install_command(file: &Path, plan: &ServicePlan) -> String {
    let file = absolute(file);
    let word = |text: &str| shell_word(text);
    let mut command = format!(
        "scanbridge service install --config {} --name {} --description {} {} --start",
        word(&file.to_string_lossy()),
        word(&plan.name),
        word(&plan.description),
        if plan.start_at_boot { "--enable" } else { "--no-enable" },
    );
    if HIDDEN.iter().any(|hidden| file.starts_with(hidden)) {
        let folder = file.parent().unwrap_or(Path::new("/"));
        command += &format!(" --path-read {}", word(&folder.to_string_lossy()));
    }
    command
}

/// A path or an address as it is, without references.
fn literal(text: &str) -> Written {
    Written::Text(escaped(text))
}

fn name_of(pipeline: &Path) -> Written {
    literal(&pipeline.file_name().unwrap_or_default().to_string_lossy())
}

fn new_text(pipeline: &Path, plan: &ServicePlan) -> Commented {
    let mut text = "\
# Settings of the service. `scanbridge config service FILE` checks them.
service: 1
# Pipeline files, and directories that contain them. Relative paths begin at the directory of this file.
"
    .to_owned();
    entries(&mut text, 0, &[WrittenEntry::new("pipelines", Written::List(vec![name_of(pipeline)]))]);
    text += "# The console and the API. Without this key there is no TCP listener. Addresses other than loopback use TLS.\n";
    match &plan.console {
        Some(listen) => {
            let listen = WrittenEntry::new("listen", literal(listen));
            entries(&mut text, 0, &[WrittenEntry::new("console", Written::Mapping(vec![listen]))]);
        }
        None => text += &format!("# console: {{ listen: {} }}\n", scalar(ConsoleKeys::DEFAULT_LISTEN)),
    }
    text += "\
# Simultaneous runs; the others wait, the oldest first.
# max_running: 4
# Where the lines of the log go: stderr, journal or file.
# log: { to: stderr, level: info }
";
    Commented { text, kept: 0, lost: 0 }
}

fn changed_text(file: &Path, pipeline: &Path, plan: &ServicePlan) -> Result<Commented, Problems> {
    let (known, _) = config::read_service_file(file)?;
    let old = config::read(file)?;
    let mut keys = old.written().into_entries();
    if !lists(&known.pipelines, pipeline) {
        add_pipeline(&mut keys, pipeline);
    }
    match &plan.console {
        None => keys.retain(|key| key.key != "console"),
        Some(listen) => set_listen(&mut keys, listen),
    }
    let mut text = String::new();
    entries(&mut text, 0, &keys);
    let new = config::read_text(file, &text)?;
    Ok(keep_comments(&old, &new))
}

/// Whether one of these files or directories has the pipeline.
fn lists(known: &[String], pipeline: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    let folder =
        real(service_file(pipeline).parent().filter(|path| *path != Path::new("")).unwrap_or(Path::new(".")));
    let at = folder.as_ref().map(|folder| folder.join(pipeline.file_name().unwrap_or_default()));
    known.iter().map(Path::new).any(|path| {
        let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let file = real(parent).map(|parent| parent.join(path.file_name().unwrap_or_default()));
        real(path).is_some_and(|path| Some(path) == folder) || file.is_some() && file == at
    })
}

fn add_pipeline(keys: &mut Vec<WrittenEntry>, pipeline: &Path) {
    let name = name_of(pipeline);
    let Some(known) = keys.iter_mut().find(|key| key.key == "pipelines") else {
        // Those of the default directory would not run any more.
        let default = Some(literal(DEFAULT_PIPELINES)).filter(|_| Path::new(DEFAULT_PIPELINES).is_dir());
        let list = default.into_iter().chain([name]).collect();
        return keys.push(WrittenEntry::new("pipelines", Written::List(list)));
    };
    let items = match std::mem::replace(&mut known.value, Written::Nothing) {
        Written::List(items) => items,
        Written::Nothing => Vec::new(),
        one => vec![one],
    };
    known.value = Written::List(items.into_iter().chain([name]).collect());
}

fn set_listen(keys: &mut Vec<WrittenEntry>, listen: &str) {
    let at = keys.iter().position(|key| key.key == "console");
    let at = at.unwrap_or_else(|| {
        keys.push(WrittenEntry::new("console", Written::Nothing));
        keys.len() - 1
    });
    let console = &mut keys[at].value;
    let mut of_console = std::mem::replace(console, Written::Nothing).into_entries();
    match of_console.iter_mut().find(|key| key.key == "listen") {
        // A reference with this value stays.
        Some(known) if resolves_to(&known.value, listen) => {}
        Some(known) => known.value = literal(listen),
        None => of_console.insert(0, WrittenEntry::new("listen", literal(listen))),
    }
    *console = Written::Mapping(of_console);
}

fn resolves_to(value: &Written, text: &str) -> bool {
    let Some(written) = value.text() else { return false };
    let service = format!("service: 1\nconsole: {{ listen: {} }}\n", scalar(written));
    let known = config::read_service_text(Path::new(NAME), service);
    known.is_ok_and(|(known, _)| known.console.is_some_and(|console| console.listen == text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(console: Option<&str>) -> ServicePlan {
        ServicePlan { console: console.map(str::to_owned), ..ServicePlan::default() }
    }

    /// The real parser reads what is written.
    fn read(set_up: &ServiceSetUp) -> scanbridge_observe::ServiceFile {
        config::read_service_text(&set_up.file, set_up.content.text.clone()).unwrap().0
    }

    #[test]
    fn new_service_file_names_the_pipeline_and_the_console() {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = folder.path().join("a b.yaml");
        for console in [None, Some("127.0.0.1:9001"), Some("[::1]:9")] {
            let set_up = ServiceSetUp::of(&pipeline, &plan(console)).unwrap();
            let known = read(&set_up);
            assert_eq!(known.pipelines, [pipeline.display().to_string()]);
            assert_eq!(known.console.map(|console| console.listen).as_deref(), console);
            // Written again, nothing changes.
            fs::write(&set_up.file, &set_up.content.text).unwrap();
            assert!(ServiceSetUp::of(&pipeline, &plan(console)).unwrap().is_written());
            fs::remove_file(&set_up.file).unwrap();
        }
    }

    #[test]
    fn other_keys_pipelines_and_comments_of_a_service_file_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (pipeline, file) = (folder.path().join("p.yaml"), folder.path().join(NAME));
        for (old, console, expected) in [
            (
                "service: 1 # ours\npipelines: other.yaml\nmax_running: 2\nconsole: { listen: 0.0.0.0:9001, anonymous_metrics: yes }\n",
                Some("127.0.0.1:9001"),
                "service: 1  # ours\npipelines:\n  - other.yaml\n  - p.yaml\nmax_running: 2\nconsole:\n  listen: 127.0.0.1:9001\n  anonymous_metrics: yes\n",
            ),
            (
                "service: 1\n# all of here\npipelines: [.]\nconsole:\n",
                Some("127.0.0.1:9001"),
                "service: 1\n# all of here\npipelines:\n  - '.'\nconsole:\n  listen: 127.0.0.1:9001\n",
            ),
            (
                "service: 1\npipelines: [./p.yaml]\nconsole: {}\n",
                None,
                "service: 1\npipelines:\n  - './p.yaml'\n",
            ),
            (
                "service: 1\npipelines: [p.yaml]\nconsole: { listen: '${env:SCANBRIDGE_NO_SUCH:-127.0.0.1:7}' }\n",
                Some("127.0.0.1:7"),
                "service: 1\npipelines:\n  - p.yaml\nconsole:\n  listen: '${env:SCANBRIDGE_NO_SUCH:-127.0.0.1:7}'\n",
            ),
        ] {
            fs::write(&file, old).unwrap();
            let set_up = ServiceSetUp::of(&pipeline, &plan(console)).unwrap();
            assert_eq!(set_up.content.text, expected);
            read(&set_up);
        }
        fs::write(&file, "service: 2\n").unwrap();
        assert!(ServiceSetUp::of(&pipeline, &plan(None)).is_err());
        assert!(plan_of_file(&pipeline).is_err());
    }

    #[test]
    fn command_is_one_that_a_shell_reads_back() {
        let plan = ServicePlan {
            name: "bridge".to_owned(),
            description: "Anna's $bridge".to_owned(),
            start_at_boot: false,
            console: None,
        };
        let command = install_command(Path::new("/home/anna/p/service.yaml"), &plan);
        assert_eq!(
            command,
            "scanbridge service install --config /home/anna/p/service.yaml --name bridge --description \
             'Anna'\\''s $bridge' --no-enable --start --path-read /home/anna/p"
        );
        let command = install_command(Path::new("/etc/scanbridge/service.yaml"), &ServicePlan::default());
        assert!(command.ends_with("--description Scanbridge --enable --start"), "{command}");
    }
}
