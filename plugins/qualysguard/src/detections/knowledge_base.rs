//! Titles and texts of QIDs: downloaded once, cached on disk, updated regularly.
//!
//! The responses are stored unchanged and in order: of two entries for one QID the later one counts. They are
//! read into one index at the first page of a run.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, tracing};
use scanbridge_qualys_report::{FileSpool, Source};
use scanbridge_qualys_xml::{Definitions, Extent, Reply, index_knowledge_base};
use serde::{Deserialize, Serialize};

use super::next_page::id_min;
use crate::api::{Answer, Call, Failure};
use crate::fingerprint::fingerprint;
use crate::http::{Body, Keep};
use crate::options::Detections as Wanted;
use crate::source::SourceContext;
use crate::state_file::StateFile;

/// The cache and its index.
pub(super) struct KnowledgeBase {
    folder: PathBuf,
    file: StateFile,
    state: CacheState,
    definitions: Definitions,
    /// QIDs without an entry at Qualys; they are requested only once per run.
    unknown: HashSet<u32>,
    version: String,
    next_file: u32,
    /// When this run last failed to update the cache, in seconds since 1970; 0 if it did not.
    failed_at: u64,
}

/// A response that was added to the index, or that contains only IDs.
struct Received {
    /// Its time, by the clock of Qualys.
    time: String,
    extent: Extent,
}

/// The result of requesting a batch of definitions.
enum Batch {
    /// Nothing else is to be requested.
    Received,
    /// These QIDs are to be requested again, because the response ended before them.
    Rest(Vec<u32>),
    /// The response is invalid; a smaller batch may succeed.
    Unusable,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct CacheState {
    /// Changes after this time, by the clock of Qualys, were not requested yet.
    up_to: String,
    /// Identifies platform, account and API version: another account may see other texts and severities.
    #[serde(default)]
    of: String,
    /// Times of the last update and of the creation of the cache, by the local clock, in seconds since 1970.
    asked: u64,
    begun: u64,
}

/// QIDs per call. Larger calls are slow or fail.
const BATCH: usize = 300;

impl KnowledgeBase {
    /// Reads the cache; deletes it if it is old, or belongs to another account, platform or version.
    pub(super) fn open(wanted: &Wanted, context: &SourceContext) -> Result<Self> {
        let folder = context.services.state_folder()?.join("knowledge-base");
        fs::create_dir_all(&folder).map_err(|error| {
            let message = format!("cannot create {}: {error}", folder.display());
            PluginError::new(ErrorKind::CannotCreate, message)
        })?;
        let file = StateFile::new(&context.services, "knowledge-base.json")?;
        let mut this = Self {
            folder,
            state: file.read().unwrap_or_default(),
            file,
            definitions: Definitions::new(Box::new(FileSpool::new(&context.services))),
            unknown: HashSet::new(),
            version: wanted.knowledge_base_version.clone(),
            next_file: 1,
            failed_at: 0,
        };
        let is_old = now().saturating_sub(this.state.begun) > wanted.knowledge_base_age.as_secs();
        let account = (context.settings.network.url.as_str(), &context.settings.account.user);
        let of = fingerprint(&(account, &wanted.knowledge_base_version));
        for path in this.files() {
            let is_whole = path.extension().is_some_and(|extension| extension == "xml");
            if is_old || this.state.of != of || !is_whole || this.index(&path, context).is_none() {
                let _ = fs::remove_file(&path);
            }
        }
        if this.definitions.is_empty() {
            this.state = CacheState { of, begun: now(), asked: now(), ..CacheState::default() };
        }
        tracing::debug!(definitions = this.definitions.len(), "knowledge base read");
        Ok(this)
    }

    /// The definitions, to be joined with the findings of a page.
    pub(super) fn definitions(&mut self) -> &mut Definitions {
        &mut self.definitions
    }

    /// Downloads the changes if the last update is older than `every`.
    pub(super) fn update(&mut self, every: Duration, context: &mut SourceContext) -> Result<()> {
        let last = self.state.asked.max(self.failed_at);
        if self.definitions.is_empty()
            || self.state.up_to.is_empty()
            || now().saturating_sub(last) < every.as_secs()
        {
            return Ok(());
        }
        tracing::info!(since = %self.state.up_to, "updating the knowledge base");
        let since = self.state.up_to.clone();
        let (mut first, mut up_to) = (0, None);
        loop {
            let mut wanted = vec![("last_modified_after", since.clone())];
            wanted.extend((first > 0).then(|| ("id_min", first.to_string())));
            let Some(received) = self.fetch_and_index(&wanted, context)? else {
                let message = "the knowledge base update is invalid";
                return Err(PluginError::new(ErrorKind::Unavailable, message)
                    .with_hint("the next attempt downloads it again"));
            };
            // Changes during the update are requested by the next one.
            let time = up_to.get_or_insert(received.time);
            let next = match received.extent {
                Extent::All if time.is_empty() => return self.mark(None),
                Extent::All => return self.mark(up_to),
                Extent::Part { next } => next,
                Extent::Ids => None,
            };
            // Without the rest, the next run requests the same changes again.
            let next = next.and_then(|next| id_min(&next, "the knowledge base", context).ok().flatten());
            let Some(next) = next.filter(|next| *next > first) else {
                self.failed_at = now();
                warn_missing(context, "updates of the knowledge base are incomplete", 1);
                return Ok(());
            };
            first = next;
        }
    }

    /// Stores that the cache was updated.
    fn mark(&mut self, up_to: Option<String>) -> Result<()> {
        self.state.asked = now();
        if let Some(up_to) = up_to {
            self.state.up_to = up_to;
        }
        self.file.write(&self.state)
    }

    /// Downloads the definitions of these QIDs that are not cached yet.
    pub(super) fn ensure(&mut self, qids: &BTreeSet<u32>, context: &mut SourceContext) -> Result<()> {
        let is_new = |qid: &&u32| !self.definitions.contains(**qid) && !self.unknown.contains(qid);
        let missing: Vec<u32> = qids.iter().filter(is_new).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        tracing::info!("downloading {} definitions of the knowledge base", missing.len());
        let mut batches: Vec<Vec<u32>> = missing.chunks(BATCH).rev().map(<[u32]>::to_vec).collect();
        while let Some(batch) = batches.pop() {
            match (self.fetch_batch(&batch, context)?, &batch[..]) {
                (Batch::Received, _) => {}
                (Batch::Rest(rest), _) => batches.push(rest),
                (Batch::Unusable, [qid]) => {
                    tracing::warn!("invalid definition of QID {qid}: its findings have no title and texts");
                }
                (Batch::Unusable, _) => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    batches.extend([second.to_vec(), first.to_vec()]);
                }
            }
        }
        let unknown = missing.into_iter().filter(|qid| !self.definitions.contains(*qid));
        self.unknown.extend(unknown);
        Ok(())
    }

    /// Downloads the definitions of one batch.
    fn fetch_batch(&mut self, batch: &[u32], context: &mut SourceContext) -> Result<Batch> {
        let ids: Vec<String> = batch.iter().map(u32::to_string).collect();
        let received = match self.fetch_and_index(&[("ids", ids.join(","))], context) {
            Ok(Some(received)) => received,
            Ok(None) => return Ok(Batch::Unusable),
            Err(failure) if failure.smaller_may_help && batch.len() > 1 => return Ok(Batch::Unusable),
            Err(failure) => return Err(failure.into()),
        };
        if matches!(received.extent, Extent::Ids) {
            warn_missing(context, "definitions are missing: Qualys sent only their QIDs", batch.len());
            return Ok(Batch::Received);
        }
        // The time of the first response: changes after it were not requested yet.
        if self.state.up_to.is_empty() {
            self.state.up_to = received.time;
        }
        let is_part = matches!(received.extent, Extent::Part { .. });
        let rest: Vec<u32> =
            batch.iter().filter(|qid| is_part && !self.definitions.contains(**qid)).copied().collect();
        let is_stuck = rest.len() == batch.len();
        if is_stuck {
            warn_missing(context, "definitions are missing: Qualys sent only others", batch.len());
            // Not up to date: the next run requests the changes.
            self.state.asked = 0;
            self.failed_at = now();
        }
        self.file.write(&self.state)?;
        Ok(if rest.is_empty() || is_stuck { Batch::Received } else { Batch::Rest(rest) })
    }

    /// Downloads a response and adds it to the index. `None` if it is invalid.
    fn fetch_and_index(
        &mut self,
        wanted: &[(&str, String)],
        context: &mut SourceContext,
    ) -> Result<Option<Received>, Failure> {
        let (path, body) = self.fetch(wanted, context)?;
        let extent = self.index(&path, context);
        if matches!(extent, None | Some(Extent::Ids)) {
            let _ = fs::remove_file(&path);
        }
        Ok(extent.map(|extent| Received { time: time_of(&body), extent }))
    }

    /// Downloads a response into the next file of the cache.
    fn fetch(
        &mut self,
        what: &[(&str, String)],
        context: &mut SourceContext,
    ) -> Result<(PathBuf, Body), Failure> {
        let path = self.folder.join("incoming.part");
        let body = loop {
            let url = context.client.at(&format!("api/{}/fo/knowledge_base/vuln/", self.version));
            let mut call =
                Call::post("downloading the knowledge base", url, &["KNOWLEDGE_BASE_VULN_LIST_OUTPUT"])
                    .field("action", "list")
                    .field("details", "All")
                    .keep(Keep::At(path.clone()));
            for (name, value) in what {
                call = call.field(name, value);
            }
            match context.client.call(&call) {
                Ok(Answer::Data(body)) => break body,
                Ok(_) => {
                    let message =
                        "downloading the knowledge base failed: the response contains no definitions";
                    return Err(PluginError::new(ErrorKind::Protocol, message).into());
                }
                Err(failure) if failure.is_not_offered && self.fall_back() => {}
                Err(failure) => return Err(failure),
            }
        };
        let kept = self.folder.join(format!("{:06}.xml", self.next_file));
        let renamed = fs::rename(&path, &kept).and_then(|()| File::open(&kept)?.sync_all());
        renamed.map_err(|error| {
            let message = format!("cannot write {}: {error}", kept.display());
            PluginError::new(ErrorKind::Io, message)
        })?;
        self.next_file += 1;
        Ok((kept, body))
    }

    /// Switches to the next older version of the call; false if there is none.
    fn fall_back(&mut self) -> bool {
        let older = match self.version.as_str() {
            "2.0" => return false,
            "3.0" => "2.0",
            _ => "3.0",
        };
        tracing::warn!(
            "the platform does not offer version {} of the knowledge base; trying {older}",
            self.version
        );
        older.clone_into(&mut self.version);
        true
    }

    /// Adds one cached response to the index. `None` if it is corrupt.
    fn index(&mut self, path: &PathBuf, context: &SourceContext) -> Option<Extent> {
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        self.next_file = self.next_file.max(number.unwrap_or(0) + 1);
        let file = File::open(path).ok()?;
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let source = Source::new(file, length);
        let limits = context.settings.reading.limits;
        match index_knowledge_base(source.read(None), limits, &mut self.definitions) {
            Ok(indexed) => {
                for note in indexed.notes {
                    tracing::debug!(count = note.count, "knowledge base: {}", note.text);
                }
                Some(indexed.extent)
            }
            Err(damage) => {
                tracing::warn!("{} is corrupt and is downloaded again: {damage}", path.display());
                None
            }
        }
    }

    /// The cached responses, oldest first.
    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort();
        files
    }
}

/// Adds a warning to the summary: findings lack titles and texts.
fn warn_missing(context: &SourceContext, what: &str, count: usize) {
    context.services.note(tracing::Level::WARN, what, count as u64);
}

/// The time of a response, which precedes its entries.
fn time_of(body: &Body) -> String {
    use std::io::Read;
    Reply::read(body.source.read(None).take(16 << 10)).time
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
