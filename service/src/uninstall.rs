//! `scanbridge service uninstall`: stops and removes the unit, with `--purge` also configuration and state.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind, IsTerminal, stdin};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::install::{CANNOT_CREATE, Failure, USAGE, call, check_name, conclude, require_root};
use crate::terminal::print;
use crate::unit_files::below;

/// Options of `uninstall`.
#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    /// Name of the unit
    #[arg(long, default_value = "scanbridge")]
    name: String,
    /// Also delete pipelines, credentials, saved state, dead letters and logs. Asks once
    #[arg(long)]
    purge: bool,
    /// Delete without asking
    #[arg(long, requires = "purge")]
    yes: bool,
    /// Root directory, for packaging
    #[arg(long, default_value = "/", value_name = "DIR")]
    root: PathBuf,
}

/// Exit code of a command that its operator has ended.
const INTERRUPTED: u8 = 130;

/// Removes the unit. Returns the exit code.
pub(crate) fn uninstall(options: &Uninstall) -> u8 {
    conclude(try_to_uninstall(options, ask))
}

fn try_to_uninstall(
    options: &Uninstall,
    ask: impl FnOnce(&str) -> Result<bool, Failure>,
) -> Result<String, Failure> {
    let Uninstall { name, root, .. } = options;
    let is_system = root == Path::new("/");
    check_name(name)?;
    require_root(is_system)?;
    let units = below(root, "/etc/systemd/system");
    require_own(name, root, &units)?;
    let doomed = if options.purge { existing(name, root) } else { Vec::new() };
    if !doomed.is_empty() && !options.yes && !ask(&question(&doomed))? {
        return Err((INTERRUPTED, "nothing was removed".to_owned()));
    }
    let timers = timers(name, &units)?;
    let packaged = below(root, &format!("/usr/lib/systemd/system/{name}.service"));
    if is_system && (units.join(format!("{name}.service")).exists() || packaged.exists()) {
        call("systemctl", &["disable", "--now", &format!("{name}.service")])?;
    }
    let mut done = String::new();
    for timer in &timers {
        if is_system {
            call("systemctl", &["disable", "--now", timer])?;
        }
        remove(&units.join(format!("{timer}.d")), &mut done)?;
    }
    for unit in [name.clone(), format!("{name}@")] {
        for end in ["service", "service.d/10-site.conf"] {
            remove(&units.join(format!("{unit}.{end}")), &mut done)?;
        }
        // Other drop-ins are the operator's.
        let _ = fs::remove_dir(units.join(format!("{unit}.service.d")));
    }
    remove(&units.join(format!("{name}@.timer")), &mut done)?;
    if is_system {
        call("systemctl", &["daemon-reload"])?;
    }
    for path in &doomed {
        remove(path, &mut done)?;
    }
    if packaged.exists() {
        let _ = writeln!(done, "kept: {}, which the package removes", packaged.display());
    }
    let _ = if options.purge {
        writeln!(done, "kept: the account")
    } else {
        writeln!(done, "kept: /etc/{name}, /var/lib/{name}, /var/log/{name} and the account")
    };
    Ok(done)
}

/// The unit, or else the configuration, must be that of an installation: `--name ssh` must not remove another service.
fn require_own(name: &str, root: &Path, units: &Path) -> Result<(), Failure> {
    let unit = units.join(format!("{name}.service"));
    let is_own = match fs::read_to_string(&unit) {
        Ok(text) => text.lines().any(|line| line.starts_with("ExecStart=") && line.contains("scanbridge")),
        Err(_) => below(root, &format!("/etc/{name}/pipelines")).is_dir(),
    };
    if is_own {
        return Ok(());
    }
    Err((USAGE, format!("{} is not a unit of Scanbridge; nothing was removed", unit.display())))
}

/// What `--purge` deletes and what is there.
fn existing(name: &str, root: &Path) -> Vec<PathBuf> {
    let sysusers = format!("/etc/sysusers.d/{name}.conf");
    let folders = ["/etc", "/var/lib", "/var/log"].map(|folder| format!("{folder}/{name}"));
    let paths = folders.into_iter().chain([sysusers]).map(|path| below(root, &path));
    paths.filter(|path| path.symlink_metadata().is_ok()).collect()
}

fn question(doomed: &[PathBuf]) -> String {
    let mut text =
        "This deletes, with all pipelines, credentials, saved state, dead letters and logs:\n".to_owned();
    for path in doomed {
        let _ = writeln!(text, "  {}", path.display());
    }
    text + "Delete? [y/N] "
}

/// Asks on the terminal.
fn ask(question: &str) -> Result<bool, Failure> {
    if !stdin().is_terminal() {
        return Err((USAGE, "--purge asks on a terminal; without one, use --yes".to_owned()));
    }
    print(question);
    let mut answer = String::new();
    // The end of the input is a no.
    let _ = stdin().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The timers that `install --timer` has enabled.
fn timers(name: &str, units: &Path) -> Result<Vec<String>, Failure> {
    let failed = |error: io::Error| (CANNOT_CREATE, format!("cannot read {}: {error}", units.display()));
    let entries = match fs::read_dir(units) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut timers = Vec::new();
    for entry in entries {
        let file = entry.map_err(failed)?.file_name();
        if let Some(timer) = file.to_str().and_then(|file| file.strip_suffix(".d"))
            && timer.starts_with(&format!("{name}@"))
            && timer.ends_with(".timer")
        {
            timers.push(timer.to_owned());
        }
    }
    timers.sort();
    Ok(timers)
}

/// Removes a file, or a directory with everything in it. Symbolic links are removed, not followed.
fn remove(path: &Path, done: &mut String) -> Result<(), Failure> {
    let is_folder = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    match if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) } {
        Ok(()) => {
            let _ = writeln!(done, "removed {}", path.display());
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err((CANNOT_CREATE, format!("cannot remove {}: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        uninstall: Uninstall,
    }

    fn remove_from(
        root: &Path,
        more: &[&str],
        ask: impl FnOnce(&str) -> Result<bool, Failure>,
    ) -> Result<String, Failure> {
        let words = ["uninstall", "--root", root.to_str().unwrap()].into_iter().chain(more.iter().copied());
        try_to_uninstall(&Line::try_parse_from(words).unwrap().uninstall, ask)
    }

    fn not_asked(question: &str) -> Result<bool, Failure> {
        panic!("{question}")
    }

    /// A root directory with an installation, its state and a timer, and with another service.
    fn installed() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("etc/systemd/system/scanbridge.service", "ExecStart=/usr/bin/scanbridge serve\n"),
            ("etc/systemd/system/scanbridge.service.d/10-site.conf", ""),
            ("etc/systemd/system/scanbridge@.timer", ""),
            ("etc/systemd/system/scanbridge@emea.timer.d/10-site.conf", ""),
            ("etc/sysusers.d/scanbridge.conf", ""),
            ("etc/scanbridge/pipelines/emea.yaml", ""),
            ("var/lib/scanbridge/emea/ledger.redb", ""),
            ("etc/systemd/system/ssh.service", "ExecStart=/usr/sbin/sshd -D\n"),
            ("etc/ssh/sshd_config", ""),
        ] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn files(root: &Path) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    files.push(entry.path().strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
        files.sort();
        files
    }

    const OTHER: [&str; 2] = ["etc/ssh/sshd_config", "etc/systemd/system/ssh.service"];

    #[test]
    fn units_are_removed_and_state_and_configuration_are_kept() {
        let root = installed();
        let done = remove_from(root.path(), &[], not_asked).unwrap();
        assert!(done.contains("kept: /etc/scanbridge, /var/lib/scanbridge"), "{done}");
        let kept = [
            "etc/scanbridge/pipelines/emea.yaml",
            OTHER[0],
            "etc/systemd/system/ssh.service",
            "etc/sysusers.d/scanbridge.conf",
            "var/lib/scanbridge/emea/ledger.redb",
        ];
        assert_eq!(files(root.path()), kept);
        // Later, the rest.
        remove_from(root.path(), &["--purge", "--yes"], not_asked).unwrap();
        assert_eq!(files(root.path()), OTHER);
    }

    #[test]
    fn purge_asks_once_and_a_no_changes_nothing() {
        let root = installed();
        let before = files(root.path());
        let mut questions = Vec::new();
        let refused = remove_from(root.path(), &["--purge"], |question| {
            questions.push(question.to_owned());
            Ok(false)
        });
        assert_eq!(refused.unwrap_err().0, INTERRUPTED);
        assert_eq!((questions.len(), files(root.path())), (1, before));
        assert!(questions[0].contains("/etc/scanbridge\n") && questions[0].contains("/var/lib/scanbridge\n"));
        let done = remove_from(root.path(), &["--purge"], |_| Ok(true)).unwrap();
        assert!(done.contains("kept: the account"), "{done}");
        assert_eq!(files(root.path()), OTHER);
        assert!(!root.path().join("etc/scanbridge").exists());
    }

    #[test]
    fn other_services_are_refused() {
        let root = installed();
        let before = files(root.path());
        for name in ["ssh", "absent", "../x"] {
            let refused = remove_from(root.path(), &["--name", name, "--purge", "--yes"], not_asked);
            assert_eq!(refused.unwrap_err().0, USAGE, "{name}");
        }
        assert_eq!(files(root.path()), before);
    }
}
