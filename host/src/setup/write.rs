//! Writes the files of a set-up, each completely or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::Secret;

use super::draft_text::SECRETS;
use crate::config::{self, Commented, default_name, keep_comments};

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

/// The files of a set-up.
pub(crate) struct Files<'f> {
    /// The pipeline file.
    pub(crate) pipeline: (&'f Path, &'f str),
    /// The service file, if it is to be written.
    pub(crate) service: Option<(&'f Path, &'f str)>,
    /// Files with secrets, relative to the directory of the pipeline file.
    pub(crate) secrets: Vec<(String, &'f Secret)>,
}

/// Writes the secrets, then the service file, and last the pipeline file, so that a set-up is complete if there is a pipeline
/// file. Files that exist are kept with `.old` added to their names. Returns the paths of these copies.
///
/// # Errors
/// The first file that cannot be written. The files before it are complete.
pub(crate) fn write_files(files: &Files<'_>) -> Result<Vec<PathBuf>, NotWritten> {
    let (file, text) = files.pipeline;
    let folder = folder_of(file);
    let of = |file: PathBuf| move |error| NotWritten { file, error };
    fs::create_dir_all(folder).map_err(of(folder.to_owned()))?;
    remove_rest(folder);
    if !files.secrets.is_empty() {
        let secrets_folder = folder.join(SECRETS);
        if !secrets_folder.is_dir() {
            fs::DirBuilder::new().mode(0o700).create(&secrets_folder).map_err(of(secrets_folder.clone()))?;
        }
        remove_rest(&secrets_folder);
    }
    for (name, secret) in &files.secrets {
        let path = folder.join(name);
        replace(&path, secret.expose(), PRIVATE).map_err(of(path.clone()))?;
    }
    let mut kept = Vec::new();
    for (file, text) in files.service.into_iter().chain([(file, text)]) {
        kept.extend(replace_and_keep(file, text).map_err(of(file.to_owned()))?);
    }
    Ok(kept)
}

/// The new text of a pipeline file, with the comments of the file that exists. A file that is not readable has none.
pub(crate) fn with_comments(file: &Path, text: String) -> Commented {
    match (config::read(file), config::read_text(file, &text)) {
        (Ok(old), Ok(new)) => keep_comments(&old, &new),
        _ => Commented { text, kept: 0, lost: 0 },
    }
}

/// Replaces a file and keeps the old content. Returns the path of the copy, if there is one.
fn replace_and_keep(file: &Path, text: &str) -> io::Result<Option<PathBuf>> {
    // The file behind a link is replaced, and not the link.
    let real = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let old = keep_old(&real)?;
    let metadata = fs::metadata(&real).ok();
    let mode = metadata.as_ref().map_or(READABLE, |metadata| metadata.permissions().mode() & 0o777);
    replace(&real, text, mode)?;
    if let Some(metadata) = metadata {
        // Only an administrator can, and then the account of the service keeps its file.
        let _ = chown(&real, Some(metadata.uid()), Some(metadata.gid()));
    }
    Ok(old)
}

/// Removes incomplete files of a set-up that was killed: they can have secrets.
fn remove_rest(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| name.strip_prefix(UNFINISHED)).unwrap_or_default();
        let is_rest = random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_rest && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            // What cannot be removed does not prevent a new set-up.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// What the names of incomplete files begin with. The answers are in `.init-answers.yaml`, which is longer.
const UNFINISHED: &str = ".init-";
/// Characters after it.
const RANDOM: usize = 6;
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
        .prefix(UNFINISHED)
        .rand_bytes(RANDOM)
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
    let second = tempfile::Builder::new().prefix(UNFINISHED).rand_bytes(RANDOM).make_in(folder, |name| {
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
        let write = |file: &Path, text: &str| {
            let secrets = vec![("secrets/p-a-b".to_owned(), &secret)];
            write_files(&Files { pipeline: (file, text), service: None, secrets }).unwrap()
        };
        assert_eq!(write(&file, "one"), Vec::<PathBuf>::new());
        let secret_file = folder.path().join("new/secrets/p-a-b");
        assert_eq!(fs::read_to_string(&secret_file).unwrap(), "s3cret");
        assert_eq!((mode(&secret_file), mode(secret_file.parent().unwrap())), (0o600, 0o700));
        assert_eq!(mode(&file) & 0o133, 0, "{:o}", mode(&file));

        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link.yaml");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        // A killed set-up has left these.
        let rest = file.with_file_name("secrets/.init-aB3xYz");
        fs::write(&rest, "s3c").unwrap();
        fs::write(file.with_file_name(".init-answers.yaml"), "").unwrap();
        fs::set_permissions(&rest, Permissions::from_mode(0o600)).unwrap();
        let service = link.with_file_name("service.yaml");
        let files = Files { pipeline: (&link, "two"), service: Some((&service, "s")), secrets: Vec::new() };
        let old = write_files(&files).unwrap().remove(0);
        assert!(rest.exists(), "another directory");
        assert_eq!(
            (fs::read_to_string(&old).unwrap(), fs::read_to_string(&link).unwrap()),
            ("one".into(), "two".into())
        );
        assert_eq!(mode(&file), 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        write(&file, "three");
        assert!(!rest.exists());
        assert_eq!(fs::read_to_string(&old).unwrap(), "two");
        let names: Vec<_> =
            fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 4, "{names:?}");
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
