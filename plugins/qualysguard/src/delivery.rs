//! A fetched report on its way to the host: from the file it was kept in to its end mark.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::model::{Refusal, ReportStart};
use scanbridge_plugin_api::{ErrorKind, Next, PluginError, Result, Services, tracing};
use scanbridge_qualys_report::{FileSpool, OpenReport, ReportContext, Settled, Source};
use scanbridge_qualys_xml::tail::Ending;
use scanbridge_qualys_xml::{Definitions, Mark};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::http::Body;
use crate::options::Settings;

/// A report in the state folder, as a position names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fetched {
    /// Where it was fetched, without any secret.
    pub(crate) address: String,
    /// The number and title that it is known by, where it does not say them itself.
    pub(crate) id: String,
    title: String,
    /// The name of its file.
    file: String,
    bytes: u64,
    hash: String,
}

/// Where in a fetched report a later run can go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ResumePoint {
    assets: u64,
    late_asset_fields: u64,
}

/// A report that is being delivered.
pub(crate) struct Delivery {
    pub(crate) fetched: Fetched,
    report: OpenReport,
    glossary: Definitions,
}

/// The folder of fetched reports.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    /// Makes the folder and removes what an earlier run left in it, but for one report.
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

    /// Removes all reports but this one.
    pub(crate) fn clear(&self, keep: Option<&Fetched>) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            if keep.is_none_or(|keep| entry.file_name() != *keep.file) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Where a report of this name is kept. Names are numbers of reports and scans: anything else in them
    /// becomes a dash.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        self.folder.join(format!("{name}.xml"))
    }

    /// The kept report, if it is still the same.
    fn reopen(&self, fetched: &Fetched) -> Option<Source> {
        let file = File::open(self.folder.join(&fetched.file)).ok()?;
        let length = file.metadata().ok()?.len();
        let source = Source::whole(file, length);
        (length == fetched.bytes && hash(&source)? == fetched.hash).then_some(source)
    }
}

impl Fetched {
    pub(crate) fn new(address: String, id: &str, path: &Path, body: &Body) -> Self {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (id, bytes, hash) = (id.to_owned(), body.source.length, format!("{:032x}", body.hash));
        Self { address, id, title: String::new(), file, bytes, hash }
    }

    pub(crate) fn titled(mut self, title: String) -> Self {
        self.title = title;
        self
    }
}

impl Delivery {
    /// Begins to deliver a report that has just been fetched.
    ///
    /// # Errors
    /// The outer one ends the input: the download is cut and should be repeated. The inner one is about this
    /// report alone.
    pub(crate) fn begin(
        fetched: Fetched,
        body: Body,
        settings: &Settings,
        services: &Services,
    ) -> Result<Result<(Self, ReportStart), Refusal>> {
        let settled = Settled::now(body.source, &fetched.address)?;
        if settled.ending == Ending::Cut
            && settled.kind.root().is_some()
            && !settings.reading.deliver_incomplete
        {
            let message =
                format!("{} is truncated: the download ended early without an error", fetched.address);
            return Err(PluginError::new(ErrorKind::Unavailable, message).with_hint("downloading it again"));
        }
        Self::begin_settled(fetched, settled, settings, services)
    }

    /// Goes on with a report of an interrupted run; `None` when that is not possible any more.
    pub(crate) fn resume(
        store: &Store,
        fetched: &Fetched,
        place: ResumePoint,
        settings: &Settings,
        services: &Services,
    ) -> Result<Option<(Self, ReportStart)>> {
        let Some(source) = store.reopen(fetched) else {
            tracing::info!("{} is no longer cached; downloading it again", fetched.address);
            return Ok(None);
        };
        let settled = Settled::now(source, &fetched.address)?;
        let begun = Self::begin_settled(fetched.clone(), settled, settings, services)?;
        let Ok((mut delivery, mut start)) = begun else { return Ok(None) };
        delivery.report.resume_at(Mark { assets: place.assets, late_asset_fields: place.late_asset_fields });
        start.continued = true;
        Ok(Some((delivery, start)))
    }

    fn begin_settled(
        fetched: Fetched,
        settled: Settled,
        settings: &Settings,
        services: &Services,
    ) -> Result<Result<(Self, ReportStart), Refusal>> {
        let mut glossary = Definitions::new(Box::new(FileSpool::new(services)));
        let mut around = ReportContext { settings: settings.reading, services, definitions: &mut glossary };
        let begun = OpenReport::begin(&fetched.address, settled, &mut around)?;
        Ok(begun.map(|(mut report, mut start)| {
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

    /// The next step, and where a later run can go on behind it.
    pub(crate) fn next(
        &mut self,
        recycled: BatchBuilder,
        services: &Services,
    ) -> Result<(Next, Option<ResumePoint>)> {
        let next = self.report.next(recycled, Some(&mut self.glossary), services)?;
        let place = self
            .report
            .mark()
            .map(|mark| ResumePoint { assets: mark.assets, late_asset_fields: mark.late_asset_fields });
        Ok((next, place))
    }
}

/// The hash of all bytes, as [`Body`] has it.
fn hash(source: &Source) -> Option<String> {
    let (mut hash, mut block) = (Xxh3::new(), vec![0; 256 << 10]);
    let mut reader = source.read(None);
    loop {
        match reader.read(&mut block).ok()? {
            0 => return Some(format!("{:032x}", hash.digest128())),
            read => hash.update(&block[..read]),
        }
    }
}
