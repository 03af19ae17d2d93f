//! The shipped files for systemd, with the settings of an installation. The texts are those of `dist/systemd`.

use std::path::{Path, PathBuf};

pub(crate) const UNIT: &str = include_str!("../../dist/systemd/scanbridge.service");
pub(crate) const TEMPLATE: &str = include_str!("../../dist/systemd/scanbridge@.service");
pub(crate) const TIMER: &str = include_str!("../../dist/systemd/scanbridge@.timer");
const SYSUSERS: &str = include_str!("../../dist/systemd/scanbridge.sysusers");

/// The directory of units that hide those of packages.
pub(crate) const UNITS: &str = "/etc/systemd/system";

/// What differs between installations.
pub(crate) struct UnitSettings<'a> {
    /// Name of the unit and of its directories.
    pub(crate) name: &'a str,
    pub(crate) description: &'a str,
    pub(crate) account: &'a str,
    /// What follows `scanbridge serve`: nothing, or words that begin with a space.
    pub(crate) serve_arguments: String,
    /// Directory of the pipelines.
    pub(crate) pipelines: String,
    /// Whether single pipelines run by a timer.
    pub(crate) has_timer: bool,
}

/// A shipped file.
pub(crate) struct ShippedFile {
    /// Its path in an installation without a package.
    pub(crate) path: String,
    /// Its text as it is shipped, and as it is in packages.
    pub(crate) shipped: &'static str,
    /// Its text with the settings of this installation.
    pub(crate) text: String,
}

/// The files that an installation needs.
pub(crate) fn shipped_files(settings: &UnitSettings<'_>) -> Vec<ShippedFile> {
    let name = settings.name;
    let mut files = vec![
        ShippedFile {
            path: format!("/etc/sysusers.d/{name}.conf"),
            shipped: SYSUSERS,
            text: sysusers(settings),
        },
        ShippedFile { path: unit_path(name), shipped: UNIT, text: unit(settings, UNIT) },
    ];
    if settings.has_timer {
        let template = unit(settings, TEMPLATE);
        files.push(ShippedFile {
            path: format!("{UNITS}/{name}@.service"),
            shipped: TEMPLATE,
            text: template,
        });
        files.push(ShippedFile {
            path: format!("{UNITS}/{name}@.timer"),
            shipped: TIMER,
            text: TIMER.to_owned(),
        });
    }
    files
}

/// The path of the unit of the service.
pub(crate) fn unit_path(name: &str) -> String {
    format!("{UNITS}/{name}.service")
}

/// The path of the drop-in of a unit.
pub(crate) fn drop_in(unit: &str) -> String {
    format!("{unit}.d/10-site.conf")
}

impl ShippedFile {
    /// Its path in this installation.
    pub(crate) fn path_below(&self, root: &Path) -> PathBuf {
        if self.is_packaged(root) { below(root, &self.packaged_path()) } else { below(root, &self.path) }
    }

    /// Whether a package has installed this file below `root`.
    pub(crate) fn is_packaged(&self, root: &Path) -> bool {
        below(root, &self.packaged_path()).exists()
    }

    /// The path at which a package installs it.
    pub(crate) fn packaged_path(&self) -> String {
        self.path.replacen("/etc/", "/usr/lib/", 1)
    }

    /// Whether it is a unit, which can be changed by a drop-in.
    pub(crate) fn has_drop_ins(&self) -> bool {
        self.path.starts_with(UNITS)
    }

    /// A drop-in with the lines that differ from the shipped unit; empty if none does.
    pub(crate) fn changes(&self) -> String {
        let mut text = String::new();
        let (mut section, mut written) = ("", "");
        for (shipped, line) in self.shipped.lines().zip(self.text.lines()) {
            if line.starts_with('[') {
                section = line;
            }
            if shipped == line {
                continue;
            }
            if written != section {
                text = text + section + "\n";
                written = section;
            }
            // systemd would run both commands.
            if line.starts_with("ExecStart=") {
                text += "ExecStart=\n";
            }
            text = text + line + "\n";
        }
        text
    }
}

/// The shipped unit with the names of this installation.
fn unit(settings: &UnitSettings<'_>, shipped: &str) -> String {
    let line = |line: &str| match line.split_once('=') {
        Some(("Description", "Scanbridge")) => {
            format!("Description={}", settings.description.replace('%', "%%"))
        }
        Some((key @ ("User" | "Group"), _)) => format!("{key}={}", settings.account),
        Some((key, value)) if key.ends_with("Directory") => {
            format!("{key}={}", value.replace("scanbridge", settings.name))
        }
        Some(("ExecStart", serve @ "/usr/bin/scanbridge serve")) => {
            format!("ExecStart={serve}{}", settings.serve_arguments)
        }
        Some(("ExecStart", value)) => {
            format!("ExecStart={}", value.replace("/etc/scanbridge/pipelines", &settings.pipelines))
        }
        _ => line.to_owned(),
    };
    shipped.lines().map(|text| line(text) + "\n").collect()
}

fn sysusers(settings: &UnitSettings<'_>) -> String {
    let home = format!("/var/lib/{}", settings.name);
    SYSUSERS
        .replace("u scanbridge ", &format!("u {} ", settings.account))
        .replace("/var/lib/scanbridge", &home)
}

/// The absolute form of a path below a root directory.
pub(crate) fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}
