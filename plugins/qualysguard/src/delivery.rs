//! Delivers a downloaded report from its file to the host.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::{Refusal, ReportStart};
use scanbridge_plugin_api::{ErrorKind, PluginError, Result, Services, Step, tracing};
use scanbridge_qualys_report::{FileSpool, OpenReport, ReportContext, Settled, Source};
use scanbridge_qualys_xml::tail::Ending;
use scanbridge_qualys_xml::{Definitions, Mark};
use serde::{Deserialize, Serialize};

use crate::http::Body;
use crate::options::Settings;

/// A downloaded report in the state directory, as stored in a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fetched {
    /// The URL it was downloaded from, without secrets.
    pub(crate) address: String,
    /// ID and title, used if the report itself does not contain them.
    pub(crate) id: String,
    title: String,
    /// File name in the directory of downloaded reports.
    file: String,
    /// Identifies the content of the file.
    fingerprint: String,
}

/// A report that is being delivered.
pub(crate) struct Delivery {
    pub(crate) fetched: Fetched,
    report: OpenReport,
    glossary: Definitions,
}

/// The directory of downloaded reports.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    /// Creates the directory and removes the files of earlier runs, except one report.
    pub(crate) fn open(services: &Services, keep: Option<&Fetched>) -> Result<Self> {
        let folder = services.state_folder()?.join("reports");
        let made = fs::create_dir_all(&folder);
        made.map_err(|error| {
            let message = format!("cannot create {}: {error}", folder.display());
            PluginError::new(ErrorKind::CannotCreate, message)
        })?;
        let store = Self { folder };
        store.clear(keep);
        Ok(store)
    }

    /// Removes all reports except this one.
    pub(crate) fn clear(&self, keep: Option<&Fetched>) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            if keep.is_none_or(|keep| entry.file_name() != *keep.file) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// The file of a report. Names are IDs of reports and scans; all characters except ASCII letters, digits
    /// and dots are replaced by dashes, so that a name cannot leave the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        self.folder.join(format!("{name}.xml"))
    }

    /// The cached report, if its file is unchanged.
    fn reopen(&self, fetched: &Fetched) -> Option<Source> {
        let path = self.folder.join(&fetched.file);
        let file = File::open(&path).ok()?;
        let length = file.metadata().ok()?.len();
        let source = Source::new(file, length);
        (fingerprint(&source, &path)? == fetched.fingerprint).then_some(source)
    }
}

impl Fetched {
    pub(crate) fn new(address: String, id: &str, path: &Path, body: &Body) -> Self {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Without a fingerprint the report cannot be resumed.
        let fingerprint = fingerprint(&body.source, path).unwrap_or_default();
        Self { address, id: id.to_owned(), title: String::new(), file, fingerprint }
    }

    pub(crate) fn titled(mut self, title: String) -> Self {
        self.title = title;
        self
    }
}

impl Delivery {
    /// Starts the delivery of a report that was just downloaded.
    ///
    /// # Errors
    /// The outer error ends the run: the download is truncated and must be repeated. The inner one concerns
    /// only this report.
    pub(crate) fn begin(
        fetched: Fetched,
        body: Body,
        settings: &Settings,
        services: &Services,
    ) -> Result<Result<(Self, ReportStart), Refusal>> {
        let settled = Settled::now(body.source, &fetched.address)?;
        if settled.ending == Ending::Truncated
            && settled.kind.root().is_some()
            && !settings.reading.deliver_incomplete
        {
            let message =
                format!("{} is truncated: the download ended early without an error", fetched.address);
            return Err(PluginError::new(ErrorKind::Unavailable, message)
                .with_hint("the next attempt downloads it again"));
        }
        Self::begin_settled(fetched, settled, None, settings, services)
    }

    /// Resumes a report of an interrupted run; `None` if its cached file is missing or has changed.
    pub(crate) fn resume(
        store: &Store,
        fetched: &Fetched,
        mark: Mark,
        settings: &Settings,
        services: &Services,
    ) -> Result<Option<(Self, ReportStart)>> {
        let Some(source) = store.reopen(fetched) else {
            tracing::info!(
                "the cached copy of {} is missing or has changed; downloading it again",
                fetched.address
            );
            return Ok(None);
        };
        let settled = Settled::now(source, &fetched.address)?;
        let opened = Self::begin_settled(fetched.clone(), settled, Some(mark), settings, services)?;
        Ok(opened.ok().filter(|(delivery, _)| delivery.report.is_resumed()))
    }

    fn begin_settled(
        fetched: Fetched,
        settled: Settled,
        mark: Option<Mark>,
        settings: &Settings,
        services: &Services,
    ) -> Result<Result<(Self, ReportStart), Refusal>> {
        let mut glossary = Definitions::new(Box::new(FileSpool::new(services)));
        let mut context = ReportContext { settings: settings.reading, services, definitions: &mut glossary };
        let opened = OpenReport::begin(&fetched.address, settled, mark, &mut context)?;
        Ok(opened.map(|(mut report, mut start)| {
            if start.id.is_empty() {
                start.id.clone_from(&fetched.id);
            }
            if start.title.is_empty() {
                start.title.clone_from(&fetched.title);
            }
            if let Some(wanted) = settings.addresses.filter() {
                report.only(wanted);
            }
            (Self { fetched, report, glossary }, start)
        }))
    }

    /// The next step, and the position after it where a later run can resume.
    pub(crate) fn next(
        &mut self,
        recycled: BatchBuilder,
        services: &Services,
    ) -> Result<(Step, Option<Mark>)> {
        let step = self.report.next(recycled, Some(&mut self.glossary), services)?;
        Ok((step, self.report.mark()))
    }
}

/// The fingerprint of a report in this file.
fn fingerprint(source: &Source, path: &Path) -> Option<String> {
    source.fingerprint(Some(fs::metadata(path).ok()?.modified().ok()?)).ok()
}
