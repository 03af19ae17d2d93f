//! Destinations that import whole reports (DefectDojo).
//!
//! The findings of a report go to a part file in the state directory ([`part`]). When the report is complete and its receipt is
//! stored, the files for the destination are made of it and posted one after the other ([`upload`]). After a kill in
//! between, the next file follows. A file that is posted again changes nothing: the destination recognizes findings by their IDs.

mod finding;
mod form;
mod part;
mod upload;

use std::fs;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use scanbridge_durable_file::{ReportFile, Target};
use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{AssetField, ReportEnd, ReportStart, list_items};
use scanbridge_plugin_api::tracing::Level;
use scanbridge_plugin_api::{
    Begin, Committed, ErrorKind, LateAnswers, LocalCheck, Open, OutputCapabilities, Partial, PluginError,
    Purpose, Receipt, Rendered, Replaces, Result, Resume, Services, Written,
};

use crate::delivery::Delivery;
use crate::record::RecordMaker;
use crate::settings::{Limits, Settings};
pub(crate) use finding::append;
pub(crate) use form::{Form, verdict};
use part::{Footer, Head, Index, Parts, bucket};
use upload::Upload;

/// Imports reports, each as a whole.
#[derive(Debug)]
pub(crate) struct Import {
    /// `None` if nothing is delivered.
    spool: Option<Spool>,
    form: Form,
    limits: Limits,
    delivery: Delivery,
    records: RecordMaker,
    services: Services,
    head: Head,
    /// Whether the report lacks findings, so that nothing may be closed.
    is_partial: bool,
    /// Findings that the destination has refused in this run.
    refused: u64,
    line: Vec<u8>,
}

/// The files of the output, in its state directory.
#[derive(Debug)]
struct Spool {
    /// The report that is being written.
    file: ReportFile,
    /// The report that is to be posted.
    pending: PathBuf,
    /// Findings that were refused.
    refused: PathBuf,
    /// How much of the report is posted.
    done: PathBuf,
}

impl Spool {
    fn open(services: &Services, receipt: Option<&Receipt>) -> Result<Self> {
        let folder = services.state_folder()?;
        let pending = folder.join("defectdojo-report");
        let target = Target { mode: 0o600, ..Target::new(&pending) };
        Ok(Self {
            file: ReportFile::open(target, receipt)?,
            pending,
            refused: folder.join("defectdojo-refused.ndjson"),
            done: folder.join("defectdojo-done"),
        })
    }
}

impl Import {
    pub(crate) const CAPABILITIES: OutputCapabilities = OutputCapabilities::NONE
        .resume(Resume::Exact)
        .replaces(Replaces::Report)
        .partial(Partial::Adds)
        .late_answers(LateAnswers::None)
        .local_check(LocalCheck::Yes);

    /// Posts the report that the receipt names, if a kill came before.
    pub(crate) fn open(
        open: &Open<'_>,
        settings: &Settings,
        form: Form,
        delivery: Delivery,
        receipt: Option<&Receipt>,
    ) -> Result<Self> {
        let services = open.services;
        let delivers = matches!(open.purpose(), Purpose::Run | Purpose::Replay | Purpose::Exam);
        let started = Timestamp::now().as_millisecond();
        let mut import = Self {
            spool: delivers.then(|| Spool::open(services, receipt)).transpose()?,
            limits: Limits { records: form.max_findings(), ..settings.limits },
            form,
            delivery,
            records: RecordMaker::new(settings.record(open.options)?, settings.record_id, started),
            services: services.clone(),
            head: Head::default(),
            is_partial: false,
            refused: 0,
            line: Vec::new(),
        };
        if delivers && receipt.is_some() {
            import.post()?;
        }
        Ok(import)
    }

    pub(crate) fn delivery(&mut self) -> &mut Delivery {
        &mut self.delivery
    }

    pub(crate) fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()> {
        self.records.begin(report);
        self.is_partial = how.partial || how.has_gap;
        self.head = Head::of(report);
        self.file()?.begin(report, how.continued)?;
        Ok(())
    }

    pub(crate) fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        let mut written = Written::default();
        for finding in batch.findings() {
            let mut record = Vec::new();
            self.records.append(&mut record, finding, b"");
            let group = match self.form.has_groups() {
                true => list_items(finding.asset().get(AssetField::Groups)).min().unwrap_or(UNGROUPED),
                false => "",
            };
            self.line.clear();
            part::append_line(&mut self.line, bucket(&self.records.id()), group, &record);
            file(&mut self.spool)?.write(&self.line)?;
            written.bytes += self.line.len() as u64;
        }
        Ok(written)
    }

    pub(crate) fn render(&self, report: &ReportStart, batch: Batch<'_>) -> Vec<Rendered> {
        let mut records = self.records.clone();
        records.begin(report);
        let rendered = batch.findings().map(|finding| {
            let mut record = Vec::new();
            records.append(&mut record, finding, b"");
            Rendered::new(finding.row(), String::from_utf8_lossy(&record))
        });
        rendered.collect()
    }

    pub(crate) fn end(&mut self, end: &ReportEnd) -> Result<()> {
        if end.deliver {
            // What is buffered goes to the file, which is then read.
            self.file()?.commit(b"")?;
            let index = Index::read(self.file()?.path())?;
            let is_complete = end.complete && !self.is_partial;
            let key = format!("defectdojo-parts {}", part::digest(&self.form.test(&self.head.title)));
            let parts = part::plan(&index, self.limits, self.known_parts(&key)?, is_complete);
            self.keep_parts(&key, &parts)?;
            let footer = Footer { head: self.head.clone(), is_complete, parts };
            self.file()?.write(&footer.line())?;
        }
        self.file()?.end(end.deliver)?;
        Ok(())
    }

    pub(crate) fn commit(&mut self) -> Result<Committed> {
        self.file()?.commit(b"").map(Committed::from)
    }

    pub(crate) fn stored(&mut self) -> Result<()> {
        self.file()?.stored()?;
        self.post()
    }

    /// # Errors
    /// Names the findings that were refused, so that the run does not look like a success.
    pub(crate) fn close(self) -> Result<()> {
        match self.spool {
            Some(Spool { refused, .. }) if self.refused > 0 => Err(PluginError::new(
                ErrorKind::Rejected,
                format!("{} findings were refused by DefectDojo", self.refused),
            )
            .with_hint(format!(
                "they are in {}, with the reasons; correct the cause and deliver the report again",
                refused.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Posts the report that is to be posted, if there is one.
    fn post(&mut self) -> Result<()> {
        let Some(Spool { pending, refused, done, .. }) = &self.spool else { return Ok(()) };
        let failed = |error: io::Error| PluginError::of_file(ErrorKind::Io, "read", pending, &error);
        if !fs::exists(pending).map_err(failed)? {
            return Ok(());
        }
        let upload = Upload {
            path: pending,
            form: &self.form,
            delivery: &mut self.delivery,
            services: &self.services,
            refused,
            done,
        };
        let refused = upload.run()?;
        if refused > 0 {
            self.refused += refused;
            self.services.note(Level::WARN, "findings refused by DefectDojo", refused);
        }
        // In this order: what is done of this report must never count for another one.
        for path in [done, pending] {
            match fs::remove_file(path) {
                // A report without files has none that are done.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(PluginError::of_file(ErrorKind::Io, "remove", path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn file(&mut self) -> Result<&mut ReportFile> {
        file(&mut self.spool)
    }

    /// The number of files of each asset group in earlier imports of this test.
    fn known_parts(&self, key: &str) -> Result<Parts> {
        let stored = self.services.state().get(key)?;
        let mut known: Parts =
            stored.and_then(|stored| serde_json::from_slice(&stored).ok()).unwrap_or_default();
        if !self.form.has_groups() {
            // A complete report without findings closes what was found earlier.
            known.entry(String::new()).or_insert(1);
        }
        Ok(known)
    }

    fn keep_parts(&self, key: &str, parts: &Parts) -> Result<()> {
        let value = serde_json::to_vec(parts).unwrap_or_default();
        if value.len() > MAX_STATE {
            // Then nothing of groups that disappear is closed.
            self.services.note(Level::WARN, "too many asset groups to save their names", 1);
            return Ok(());
        }
        self.services.state().put(key, &value)
    }
}

fn file(spool: &mut Option<Spool>) -> Result<&mut ReportFile> {
    let spool = spool.as_mut().ok_or_else(|| PluginError::bug("plugin bug: a report without a purpose"))?;
    Ok(&mut spool.file)
}

/// The group of assets that are in none.
const UNGROUPED: &str = "Ungrouped";
/// The largest value of a key, in bytes.
const MAX_STATE: usize = 60 << 10;
