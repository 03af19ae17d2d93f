//! The host and its plugins, installed as on an operator's machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The executable of the installed host. The plugins are in the directory `plugins` next to it.
///
/// The build directory cannot be used: the host would also find the plugins of an earlier `cargo build`, and the same
/// plugin in two files is an error.
pub(crate) fn host() -> &'static Path {
    static HOST: OnceLock<PathBuf> = OnceLock::new();
    HOST.get_or_init(install)
}

/// An installed command of 2014.
pub(crate) fn legacy(name: &str) -> PathBuf {
    host().with_file_name(name)
}

/// Installs a command of 2014 in another directory, with the host, which it needs there. Returns its path.
pub(crate) fn legacy_in(folder: &Path, name: &str) -> PathBuf {
    for program in [name, "scanbridge"] {
        let _ = fs::hard_link(host().with_file_name(program), folder.join(program));
    }
    folder.join(name)
}

fn install() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("installation");
    // Removes the files of the previous test run.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("plugins")).unwrap();
    let host = folder.join("scanbridge");
    // Links instead of copies: executing a file that was just written can fail with "text file busy".
    for (name, built) in [
        ("scanbridge", env!("CARGO_BIN_EXE_scanbridge-under-test")),
        ("qualys_connector", env!("CARGO_BIN_EXE_qualys-connector-under-test")),
        ("scanbridge-service", env!("CARGO_BIN_EXE_scanbridge-service-under-test")),
        ("process_multiple", env!("CARGO_BIN_EXE_process-multiple-under-test")),
    ] {
        fs::hard_link(built, folder.join(name)).unwrap();
    }
    for plugin in [
        "scanbridge_qualysguard_file",
        "scanbridge_csv",
        "scanbridge_arcsight_cef",
        "scanbridge_json",
        "scanbridge_http",
        "scanbridge_qualysguard",
        "scanbridge_sourcefire",
    ] {
        link(plugin, &folder.join("plugins"));
    }
    host
}

/// The folder of the plugins that misbehave on purpose, which are not installed.
pub(crate) fn rogue_plugins() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rogue-plugins");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        link("scanbridge_rogue_plugins", &folder);
        folder
    })
}

/// Links a library that was built next to the test into a folder.
/// The file name of a plugin.
pub(crate) fn library(plugin: &str) -> String {
    format!("{}{plugin}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

fn link(plugin: &str, folder: &Path) {
    let library = library(plugin);
    let from = std::env::current_exe().unwrap().with_file_name(&library);
    fs::hard_link(&from, folder.join(&library)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// A file of the project, by its path relative to the project root.
pub(crate) fn project_file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path).canonicalize().expect(path)
}
