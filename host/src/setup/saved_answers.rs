//! The answers of a set-up that is not finished, in a file of their own without secrets.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::draft::Draft;
use super::draft_reader::read_draft;
use super::draft_text::{Secrets, draft_text};
use super::write::{NotWritten, Target, replace_private};
use crate::config::{self, Catalogue, Document, Problems, SERVICE_PLAN, ServicePlan, Written, WrittenEntry};

/// Keys of the file that a pipeline does not have.
const AT: &str = "x-init-at";
const NAME: &str = "x-init-name";

/// The file with the answers.
#[derive(Debug)]
pub(crate) struct SavedAnswers {
    path: PathBuf,
}

/// What the file has.
pub(crate) struct Saved {
    pub(super) draft: Draft,
    /// Name of the pipeline; empty if it is not answered yet.
    pub(super) name: String,
    /// The question that was not answered yet.
    pub(super) at: String,
}

impl SavedAnswers {
    /// The file for a target. Its name begins with a dot, so that the service does not take it for a pipeline.
    pub(crate) fn of(target: &Target) -> Self {
        let name = match target.name() {
            Some(name) => format!(".{name}.init-answers.yaml"),
            None => ".init-answers.yaml".to_owned(),
        };
        Self { path: target.folder().join(name) }
    }

    /// The draft of a file with answers, without the keys that a pipeline does not have.
    ///
    /// # Errors
    /// What is wrong with the answers about the service.
    pub(crate) fn read(document: &Document, catalogue: &dyn Catalogue) -> Result<Draft, Problems> {
        let mut draft = read_draft(document, catalogue);
        draft.rest.retain(|entry| ![AT, NAME, SERVICE_PLAN].contains(&entry.key.as_str()));
        draft.service = ServicePlan::read(document)?;
        Ok(draft)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn store(&self, saved: &Saved, catalogue: &dyn Catalogue) -> Result<(), NotWritten> {
        let mut draft = saved.draft.without_secrets(catalogue);
        for (key, text) in [(NAME, &saved.name), (AT, &saved.at)] {
            draft.rest.push(WrittenEntry::new(key, Written::Text(text.clone())));
        }
        draft.rest.extend(draft.service.as_ref().map(ServicePlan::written));
        let text = format!("{HEAD}{}", draft_text(&draft, Secrets::Omitted));
        replace_private(&self.path, &text)
    }

    /// The stored answers; `None` if there are none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn load(&self, catalogue: &dyn Catalogue) -> Result<Option<Saved>, Problems> {
        if !self.path.exists() {
            return Ok(None);
        }
        let document = config::read_for(&self.path, catalogue)?;
        let keys = document.written().into_entries();
        let text = |key: &str| {
            let entry = keys.iter().find(|entry| entry.key == key);
            entry.and_then(|entry| entry.value.text()).unwrap_or_default().to_owned()
        };
        let (name, at) = (text(NAME), text(AT));
        let draft = Self::read(&document, catalogue)?;
        Ok(Some(Saved { draft, name, at }))
    }

    /// Deletes the file.
    ///
    /// # Errors
    /// When it exists and cannot be deleted.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

const HEAD: &str =
    "# Answers of an unfinished set-up, without secrets. `scanbridge init` continues with them.\n";
