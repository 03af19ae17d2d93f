//! Where the old commands look for files that the command line does not name: in the working directory, then in the
//! directory of the program, as the scripts of 2014 were called with and without `cd` in front.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The directories, in the order in which they are searched.
pub(super) struct SearchFolders {
    folders: Vec<PathBuf>,
}

impl SearchFolders {
    /// The working directory and the directory of the program. The script `command.pl` sets the second one in
    /// `SCANBRIDGE_LEGACY_HOME`, because the program may be elsewhere.
    pub(super) fn of_this_process() -> Self {
        let own = || env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
        let home = env::var_os("SCANBRIDGE_LEGACY_HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        Self { folders: [Some(PathBuf::new()), home.or_else(own)].into_iter().flatten().collect() }
    }

    /// The settings file of a plugin: the first that exists, else the path in the working directory.
    pub(super) fn settings_file(&self, plugin: &str) -> PathBuf {
        let name = format!("InputPlugins/{plugin}.yaml");
        let found = self.folders.iter().map(|folder| folder.join(&name)).find(|path| path.exists());
        found.unwrap_or_else(|| PathBuf::from(name))
    }

    /// The first `*.pkcs12` file by name of the second directory. `None` if the working directory has one: then the output
    /// chooses it.
    pub(super) fn certificate_of_home(&self) -> Option<PathBuf> {
        match self.folders.as_slice() {
            [working, home] if first_certificate(working).is_none() => first_certificate(home),
            _ => None,
        }
    }

    /// The second directory, for messages.
    pub(super) fn home(&self) -> Option<&Path> {
        self.folders.get(1).map(PathBuf::as_path)
    }
}

/// The first `*.pkcs12` file of a directory by name.
pub(crate) fn first_certificate(folder: &Path) -> Option<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(folder).ok()?;
    let is_certificate = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "pkcs12");
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_certificate).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders_of(working: &Path, home: &Path) -> SearchFolders {
        SearchFolders { folders: vec![working.to_owned(), home.to_owned()] }
    }

    #[test]
    fn working_directory_comes_first() {
        let (working, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = folders_of(working.path(), home.path());
        assert_eq!(folders.settings_file("P"), Path::new("InputPlugins/P.yaml"), "none exists");
        assert_eq!(folders.certificate_of_home(), None);
        for folder in [home.path(), working.path()] {
            fs::create_dir(folder.join("InputPlugins")).unwrap();
            fs::write(folder.join("InputPlugins/P.yaml"), "").unwrap();
            assert_eq!(folders.settings_file("P"), folder.join("InputPlugins/P.yaml"));
        }
        for name in ["b.pkcs12", "a.pkcs12", "0.p12"] {
            fs::write(home.path().join(name), "").unwrap();
        }
        assert_eq!(folders.certificate_of_home(), Some(home.path().join("a.pkcs12")));
        fs::write(working.path().join("z.pkcs12"), "").unwrap();
        assert_eq!(folders.certificate_of_home(), None, "the output takes the one of the working directory");
    }
}
