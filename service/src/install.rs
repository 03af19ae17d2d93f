//! `scanbridge service install`: account, directories and systemd unit. The texts are those of `dist/systemd`.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use scanbridge_observe::{UNIT_DESCRIPTION_RULE, UNIT_PATH_RULE, is_unit_description, is_unit_path};

use crate::terminal::{print, print_error};
use crate::unit_files::{ShippedFile, UNITS, UnitSettings, below, drop_in, shipped_files, unit_path};

pub(crate) const USAGE: u8 = 64;
const SYSTEMD: u8 = 69;
pub(crate) const CANNOT_CREATE: u8 = 73;
const NOT_ROOT: u8 = 77;

/// Options of `install`.
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// Name of the unit, and of its directories below /etc, /var/lib, /run and /var/log
    #[arg(long, default_value = "scanbridge")]
    name: String,
    /// Description of the unit
    #[arg(long, default_value = "Scanbridge")]
    description: String,
    /// Account of the service; it is created if it does not exist
    #[arg(long, default_value = "scanbridge")]
    account: String,
    /// Service file [default: /etc/scanbridge/service.yaml, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory with the pipeline files [default: `pipelines` of the service file with --config, else
    /// /etc/NAME/pipelines]
    #[arg(long, value_name = "DIR")]
    pipelines: Option<PathBuf>,
    /// Credential for `${credential:NAME}` and its file; can be repeated
    #[arg(long = "credential", value_name = "NAME=PATH")]
    credentials: Vec<String>,
    /// Directory in which pipelines write files; can be repeated
    #[arg(long = "path-write", value_name = "DIR")]
    paths_write: Vec<PathBuf>,
    /// Directory that pipelines read although the unit hides it, such as one below /home; can be repeated
    #[arg(long = "path-read", value_name = "DIR")]
    paths_read: Vec<PathBuf>,
    /// Start the service at boot
    #[arg(long, overrides_with = "no_enable")]
    enable: bool,
    /// Do not start the service at boot (default)
    #[arg(long)]
    no_enable: bool,
    /// Start the service now
    #[arg(long, overrides_with = "no_start")]
    start: bool,
    /// Do not start the service now (default)
    #[arg(long)]
    no_start: bool,
    /// Also install a timer that runs one pipeline without the service, for example `Mon..Fri 05:00` emea
    #[arg(long, num_args = 2, value_names = ["CALENDAR", "PIPELINE"])]
    timer: Vec<String>,
    /// Print the files instead of writing them
    #[arg(long)]
    print: bool,
    /// Root directory, for packaging: write files only
    #[arg(long, default_value = "/", value_name = "DIR")]
    root: PathBuf,
}

/// Exit code and message.
pub(crate) type Failure = (u8, String);

/// Installs or updates the unit. Returns the exit code.
pub(crate) fn install(options: &Install) -> u8 {
    conclude(try_to_install(options))
}

pub(crate) fn conclude(result: Result<String, Failure>) -> u8 {
    match result {
        Ok(done) => {
            print(&done);
            0
        }
        Err((code, message)) => {
            print_error(&message);
            code
        }
    }
}

fn try_to_install(options: &Install) -> Result<String, Failure> {
    let files = files(options)?;
    if options.print {
        let show = |(path, text): &(String, String)| format!("# {path}\n{text}\n");
        return Ok(files.iter().map(show).collect());
    }
    let is_system = options.root == Path::new("/");
    require_root(is_system)?;
    let mut done = String::new();
    let folder_of_pipelines = (!is_by_config(options)).then(|| (pipelines(options), 0o755));
    let credentials = (format!("/etc/{}/credentials", options.name), 0o700);
    for (folder, mode) in folder_of_pipelines.into_iter().chain([credentials]) {
        let path = below(&options.root, &folder);
        let made = DirBuilder::new().recursive(true).mode(mode).create(&path);
        made.map_err(|error| (CANNOT_CREATE, format!("cannot create {}: {error}", path.display())))?;
    }
    for (path, text) in &files {
        write(&below(&options.root, path), text, &mut done)?;
    }
    for file in shipped(options).iter().filter(|file| file.is_packaged(&options.root)) {
        // Written before the package was installed, it would hide that of the package.
        if files.iter().all(|(path, _)| *path != file.path) {
            move_away(&below(&options.root, &file.path), &mut done)?;
            let _ = writeln!(done, "from the package: {}", file.packaged_path());
        }
    }
    let name = &options.name;
    if is_system {
        call("systemd-sysusers", &[&format!("{name}.conf")])?;
        let unit = shipped(options).into_iter().find(|file| file.path == unit_path(name));
        for unit in unit.iter().map(|unit| unit.path_below(&options.root).display().to_string()) {
            call("systemd-analyze", &["verify", &unit])?;
        }
        call("systemctl", &["daemon-reload"])?;
        for (is_wanted, verb) in [(options.enable, "enable"), (options.start, "restart")] {
            if is_wanted {
                call("systemctl", &[verb, &format!("{name}.service")])?;
                let _ = writeln!(done, "systemctl {verb} {name}");
            }
        }
        if let [_, pipeline] = options.timer.as_slice() {
            call("systemctl", &["enable", "--now", &format!("{name}@{pipeline}.timer")])?;
        }
    }
    if let Some(config) = &options.config {
        let _ = writeln!(done, "service file: {}", config.display());
    }
    if !is_by_config(options) {
        let _ = writeln!(done, "pipelines: {}", pipelines(options));
    }
    let _ = writeln!(done, "log: journalctl -u {name}");
    if !options.start {
        let first = if is_by_config(options) { "" } else { "write pipeline files, then " };
        let verb = if options.enable { "start" } else { "enable --now" };
        let _ = writeln!(done, "next: {first}systemctl {verb} {name}");
    }
    Ok(done)
}

pub(crate) fn require_root(is_system: bool) -> Result<(), Failure> {
    if is_system && !rustix::process::geteuid().is_root() {
        return Err((NOT_ROOT, "permission denied; run as root, or use --print or --root DIR".to_owned()));
    }
    Ok(())
}

/// All files with their texts.
fn files(options: &Install) -> Result<Vec<(String, String)>, Failure> {
    for name in [&options.name, &options.account].into_iter().chain(options.timer.get(1)) {
        check_name(name)?;
    }
    if !is_unit_description(&options.description)
        || options.timer.iter().any(|text| !is_unit_description(text))
    {
        return Err((USAGE, format!("a description and a calendar must be {UNIT_DESCRIPTION_RULE}")));
    }
    let mut site = site(options)?;
    let mut files = Vec::new();
    for file in shipped(options) {
        if !file.is_packaged(&options.root) {
            files.push((file.path, file.text));
        } else if file.path == unit_path(&options.name) {
            site = file.changes() + &site;
        } else if file.has_drop_ins() {
            let changes = file.changes();
            files.extend((!changes.is_empty()).then(|| (drop_in(&file.path), changes)));
        } else if file.text != file.shipped {
            files.push((file.path, file.text));
        }
    }
    files.extend((!site.is_empty()).then(|| (drop_in(&unit_path(&options.name)), site)));
    if let [calendar, pipeline] = options.timer.as_slice() {
        let text = format!("[Timer]\nOnCalendar=\nOnCalendar={calendar}\n");
        files.push((drop_in(&format!("{UNITS}/{}@{pipeline}.timer", options.name)), text));
    }
    Ok(files)
}

/// The shipped files with the settings of this installation.
fn shipped(options: &Install) -> Vec<ShippedFile> {
    shipped_files(&UnitSettings {
        name: &options.name,
        description: &options.description,
        account: &options.account,
        serve_arguments: serve_arguments(options),
        pipelines: pipelines(options),
        has_timer: !options.timer.is_empty(),
    })
}

/// What follows `scanbridge serve`; nothing where that is the default.
fn serve_arguments(options: &Install) -> String {
    let config = options.config.as_ref().map(|config| format!(" --config {}", config.display()));
    let pipelines = Some(pipelines(options))
        .filter(|pipelines| !is_by_config(options) && pipelines != "/etc/scanbridge/pipelines");
    config.unwrap_or_default() + &pipelines.map(|pipelines| format!(" {pipelines}")).unwrap_or_default()
}

/// Whether the service file names the pipelines.
fn is_by_config(options: &Install) -> bool {
    options.config.is_some() && options.pipelines.is_none()
}

fn pipelines(options: &Install) -> String {
    let default = || format!("/etc/{}/pipelines", options.name);
    options.pipelines.as_ref().map_or_else(default, |path| path.display().to_string())
}

/// The drop-in with credentials and further directories; empty without any.
fn site(options: &Install) -> Result<String, Failure> {
    let mut text = "[Service]\n".to_owned();
    for credential in &options.credentials {
        let Some((name, path)) = credential.split_once('=').filter(|(_, path)| path.starts_with('/')) else {
            return Err((USAGE, format!("--credential {credential} must be NAME=/PATH")));
        };
        check_name(name)?;
        check_path(Path::new(path))?;
        let _ = writeln!(text, "LoadCredential={name}:{path}");
    }
    for (key, paths) in [("ReadWritePaths", &options.paths_write), ("BindReadOnlyPaths", &options.paths_read)]
    {
        for path in paths {
            check_path(path)?;
            let _ = writeln!(text, "{key}={}", path.display());
        }
    }
    for path in options.pipelines.iter().chain(&options.config) {
        check_path(path)?;
    }
    Ok(if text.lines().count() > 1 { text } else { String::new() })
}

pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.starts_with(['.', '-']) || !name.bytes().all(is_valid) {
        return Err((USAGE, format!("invalid name `{name}` (letters, digits, `-`, `_`, `.`)")));
    }
    Ok(())
}

fn check_path(path: &Path) -> Result<(), Failure> {
    if is_unit_path(path) {
        return Ok(());
    }
    Err((USAGE, format!("{} must be {UNIT_PATH_RULE}", path.display())))
}

/// Writes a file. One that differs is kept with the extension `.old`: an operator may have changed it.
fn write(path: &Path, text: &str, done: &mut String) -> Result<(), Failure> {
    let failed = |error: std::io::Error| (CANNOT_CREATE, format!("cannot write {}: {error}", path.display()));
    let known = fs::read_to_string(path).ok();
    if known.as_deref() == Some(text) {
        let _ = writeln!(done, "unchanged {}", path.display());
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    move_away(path, done)?;
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o644)))
        .map_err(failed)?;
    let _ = writeln!(done, "wrote {}", path.display());
    Ok(())
}

/// Renames a file that exists to `.old`.
fn move_away(path: &Path, done: &mut String) -> Result<(), Failure> {
    let mut old = path.as_os_str().to_owned();
    old.push(".old");
    match fs::rename(path, &old) {
        Ok(()) => {
            let _ = writeln!(done, "kept the earlier file as {}", Path::new(&old).display());
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err((CANNOT_CREATE, format!("cannot rename {}: {error}", path.display()))),
    }
}

pub(crate) fn call(program: &str, arguments: &[&str]) -> Result<(), Failure> {
    let output = Command::new(program).args(arguments).output();
    let output = output
        .map_err(|error| (SYSTEMD, format!("cannot run {program}: {error}; use --print or --root DIR")))?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err((SYSTEMD, format!("{program} {} failed: {why}", arguments.join(" "))))
}

#[cfg(test)]
#[path = "install_tests.rs"]
mod tests;
