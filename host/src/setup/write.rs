//! Writes the files of a set-up, each completely or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::Secret;

use super::draft_text::SECRETS;
use crate::config::default_name;

/// Where the pipeline file is to be.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// In this directory; the name of the pipeline is the name of its file.
    Folder(PathBuf),
    /// This file.
    File(PathBuf),
}

impl Target {
    /// The target that an argument means: a YAML file, otherwise a directory.
    pub(crate) fn of(path: &Path) -> Self {
        let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if (is_yaml && !path.is_dir()) || path.is_file() {
            Self::File(path.to_owned())
        } else {
            Self::Folder(path.to_owned())
        }
    }

    /// The pipeline file.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(format!("{name}.yaml")),
            Self::File(file) => file.clone(),
        }
    }

    /// The name that the file gives the pipeline; `None` if it is to be asked for.
    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Self::Folder(_) => None,
            Self::File(file) => Some(default_name(file)),
        }
    }

    /// The directory of the pipeline file.
    pub(super) fn folder(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.clone(),
            Self::File(file) => folder_of(file).to_owned(),
        }
    }
}

/// The directory of a file; that of a name alone is the working directory.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// An error with the file that it is about.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {error}", file.display())]
pub(crate) struct NotWritten {
    file: PathBuf,
    #[source]
    error: io::Error,
}

/// Writes the secrets and then the pipeline file. A file that exists is kept with `.old` added to its name. Returns the
/// path of that copy, if there is one.
///
/// # Errors
/// The first file that cannot be written. The files before it are complete.
pub(crate) fn write_files(
    file: &Path,
    text: &str,
    secrets: &[(String, &Secret)],
) -> Result<Option<PathBuf>, NotWritten> {
    let folder = folder_of(file);
    let of = |file: PathBuf| move |error| NotWritten { file, error };
    fs::create_dir_all(folder).map_err(of(folder.to_owned()))?;
    if !secrets.is_empty() {
        let secrets_folder = folder.join(SECRETS);
        if !secrets_folder.is_dir() {
            fs::DirBuilder::new().mode(0o700).create(&secrets_folder).map_err(of(secrets_folder.clone()))?;
        }
    }
    for (name, secret) in secrets {
        let path = folder.join(name);
        replace(&path, secret.expose(), PRIVATE).map_err(of(path.clone()))?;
    }
    // The file behind a link is replaced, and not the link.
    let real = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let old = keep_old(&real).map_err(of(real.clone()))?;
    let metadata = fs::metadata(&real).ok();
    let mode = metadata.as_ref().map_or(READABLE, |metadata| metadata.permissions().mode() & 0o777);
    replace(&real, text, mode).map_err(of(real.clone()))?;
    if let Some(metadata) = metadata {
        // Only an administrator can, and then the account of the service keeps its file.
        let _ = chown(&real, Some(metadata.uid()), Some(metadata.gid()));
    }
    Ok(old)
}

/// Mode of a file with a secret.
const PRIVATE: u32 = 0o600;
/// Mode of a new pipeline file, before the umask.
const READABLE: u32 = 0o644;

/// Writes a file that is readable only by its owner, in the place of an old one.
pub(super) fn replace_private(path: &Path, text: &str) -> Result<(), NotWritten> {
    let of = |error| NotWritten { file: path.to_owned(), error };
    fs::create_dir_all(folder_of(path)).and_then(|()| replace(path, text, PRIVATE)).map_err(of)
}

/// Writes a new file completely, and then gives it the name of the old one.
fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let folder = folder_of(path);
    let mut new = tempfile::Builder::new()
        .prefix(".init-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// Keeps the old content under a second name; the first one exists at any time. `None` if there is no old file.
fn keep_old(path: &Path) -> io::Result<Option<PathBuf>> {
    if !path.exists() {
        return Ok(None);
    }
    let mut old = path.as_os_str().to_owned();
    old.push(".old");
    let old = PathBuf::from(old);
    let folder = folder_of(path);
    let second = tempfile::Builder::new().prefix(".init-").make_in(folder, |name| {
        // Some network file systems have no links.
        fs::hard_link(path, name).or_else(|_| fs::copy(path, name).map(|_| ()))
    })?;
    second.into_temp_path().persist(&old).map_err(|error| error.error)?;
    Ok(Some(old))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_file_is_kept_and_modes_are_right() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/p.yaml");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let secret = Secret::new("s3cret".to_owned());
        let secrets = [("secrets/p-a-b".to_owned(), &secret)];
        assert_eq!(write_files(&file, "one", &secrets).unwrap(), None);
        let secret_file = folder.path().join("new/secrets/p-a-b");
        assert_eq!(fs::read_to_string(&secret_file).unwrap(), "s3cret");
        assert_eq!((mode(&secret_file), mode(secret_file.parent().unwrap())), (0o600, 0o700));
        assert_eq!(mode(&file) & 0o133, 0, "{:o}", mode(&file));

        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link.yaml");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let old = write_files(&link, "two", &[]).unwrap().unwrap();
        assert_eq!(
            (fs::read_to_string(&old).unwrap(), fs::read_to_string(&link).unwrap()),
            ("one".into(), "two".into())
        );
        assert_eq!(mode(&file), 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        write_files(&file, "three", &[]).unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "two");
        let names: Vec<_> =
            fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 3, "{names:?}");
    }

    #[test]
    fn files_and_directories_are_distinguished() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("d.yaml")).unwrap();
        fs::write(folder.path().join("plain"), "").unwrap();
        for (name, is_file) in
            [("a.yaml", true), ("a.yml", true), ("a", false), ("d.yaml", false), ("plain", true)]
        {
            let target = Target::of(&folder.path().join(name));
            assert_eq!(matches!(target, Target::File(_)), is_file, "{name}");
        }
    }
}
