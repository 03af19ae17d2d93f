//! Titles and texts for QIDs: fetched once, kept on disk, brought up to date.
//!
//! The answers of Qualys are kept as they came, in the order in which they came: of two entries for one QID the
//! later one counts. They are read into one index at the first page of a run.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use scanbridge_plugin_api::{ErrorKind, PluginError, Result, tracing};
use scanbridge_qualys_report::{FileSpool, Source};
use scanbridge_qualys_xml::{Definitions, Reply, index_knowledge_base};
use serde::{Deserialize, Serialize};

use crate::api::{Answer, Call, Failure};
use crate::http::{Body, Keep};
use crate::options::Detections as Wanted;
use crate::source::{SourceContext, fingerprint};
use crate::state_file::StateFile;

/// The cache and its index.
pub(super) struct KnowledgeBase {
    folder: PathBuf,
    file: StateFile,
    memory: Memory,
    definitions: Definitions,
    /// QIDs that Qualys has no entry for; asked for once a run.
    absent: HashSet<u32>,
    version: String,
    next_file: u32,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Memory {
    /// By the clock of Qualys: what has changed since then has not been asked for.
    up_to: String,
    /// Where it is from: another account may see other texts and severities.
    #[serde(default)]
    of: String,
    /// By our clock, in seconds: when that was asked last, and when the cache was begun.
    asked: u64,
    begun: u64,
}

/// More at once is slow or fails.
const BATCH: usize = 300;

impl KnowledgeBase {
    /// Reads the cache.
    pub(super) fn open(wanted: &Wanted, around: &SourceContext) -> Result<Self> {
        let folder = around.services.state_folder()?.join("knowledge-base");
        fs::create_dir_all(&folder).map_err(|error| {
            let message = format!("cannot create {}: {error}", folder.display());
            PluginError::new(ErrorKind::CannotCreate, message)
        })?;
        let file = StateFile::new(&around.services, "knowledge-base.json")?;
        let mut this = Self {
            folder,
            memory: file.read().unwrap_or_default(),
            file,
            definitions: Definitions::new(Box::new(FileSpool::new(&around.services))),
            absent: HashSet::new(),
            version: wanted.knowledge_base_version.clone(),
            next_file: 1,
        };
        let is_old = now().saturating_sub(this.memory.begun) > wanted.knowledge_base_age.as_secs();
        let account = (around.settings.network.url.as_str(), &around.settings.account.user);
        let of = fingerprint(&(account, &wanted.knowledge_base_version));
        for path in this.files() {
            let is_whole = path.extension().is_some_and(|extension| extension == "xml");
            if is_old || this.memory.of != of || !is_whole || !this.index(&path, around) {
                let _ = fs::remove_file(&path);
            }
        }
        if this.definitions.is_empty() {
            this.memory = Memory { of, begun: now(), asked: now(), ..Memory::default() };
        }
        tracing::debug!(definitions = this.definitions.len(), "knowledge base read");
        Ok(this)
    }

    /// The definitions, to join a page with.
    pub(super) fn definitions(&mut self) -> &mut Definitions {
        &mut self.definitions
    }

    /// Asks for what has changed, if that was long ago.
    pub(super) fn update(&mut self, every: Duration, around: &mut SourceContext) -> Result<()> {
        if self.definitions.is_empty()
            || self.memory.up_to.is_empty()
            || now().saturating_sub(self.memory.asked) < every.as_secs()
        {
            return Ok(());
        }
        tracing::info!(since = %self.memory.up_to, "updating the knowledge base");
        let (path, time) = self.fetch(&[("last_modified_after", self.memory.up_to.clone())], around)?;
        if !self.index(&path, around) {
            let _ = fs::remove_file(&path);
            let message = "the knowledge base update is invalid";
            return Err(PluginError::new(ErrorKind::Unavailable, message).with_hint("downloading it again"));
        }
        self.memory.asked = now();
        if !time.is_empty() {
            self.memory.up_to = time;
        }
        self.file.write(&self.memory)
    }

    /// Fetches the definitions of these QIDs that are not there yet.
    pub(super) fn ensure(&mut self, qids: &BTreeSet<u32>, around: &mut SourceContext) -> Result<()> {
        let is_new = |qid: &&u32| !self.definitions.contains(**qid) && !self.absent.contains(qid);
        let missing: Vec<u32> = qids.iter().filter(is_new).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        tracing::info!("downloading {} definitions of the knowledge base", missing.len());
        let mut batches: Vec<&[u32]> = missing.chunks(BATCH).rev().collect();
        while let Some(batch) = batches.pop() {
            if self.fetch_batch(batch, around)? {
                continue;
            }
            match batch {
                [qid] => tracing::warn!("invalid definition of QID {qid}"),
                _ => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    batches.extend([second, first]);
                }
            }
        }
        let absent = missing.into_iter().filter(|qid| !self.definitions.contains(*qid));
        self.absent.extend(absent);
        Ok(())
    }

    /// False: the answer is of no use, and asking for less might help.
    fn fetch_batch(&mut self, batch: &[u32], around: &mut SourceContext) -> Result<bool> {
        let ids: Vec<String> = batch.iter().map(u32::to_string).collect();
        let (path, time) = match self.fetch(&[("ids", ids.join(","))], around) {
            Ok(fetched) => fetched,
            Err(failure) if failure.of_size && batch.len() > 1 => return Ok(false),
            Err(failure) => return Err(failure.into()),
        };
        if !self.index(&path, around) {
            let _ = fs::remove_file(&path);
            return Ok(false);
        }
        if self.memory.up_to.is_empty() {
            self.memory.up_to = time;
        }
        self.file.write(&self.memory)?;
        Ok(true)
    }

    /// An answer, kept under the next name, and its time.
    fn fetch(
        &mut self,
        what: &[(&str, String)],
        around: &mut SourceContext,
    ) -> Result<(PathBuf, String), Failure> {
        let path = self.folder.join("incoming.part");
        let body = loop {
            let url = around.client.at(&format!("api/{}/fo/knowledge_base/vuln/", self.version));
            let mut call =
                Call::post("downloading the knowledge base", url, &["KNOWLEDGE_BASE_VULN_LIST_OUTPUT"])
                    .field("action", "list")
                    .field("details", "All")
                    .keep(Keep::At(path.clone()));
            for (name, value) in what {
                call = call.field(name, value);
            }
            match around.client.call(&call) {
                Ok(Answer::Data(body)) => break body,
                Ok(_) => {
                    let message = "downloading the knowledge base failed: the response contains none";
                    return Err(PluginError::new(ErrorKind::Protocol, message).into());
                }
                Err(failure) if failure.is_gone && self.fall_back() => {}
                Err(failure) => return Err(failure),
            }
        };
        let time = time_of(&body);
        let kept = self.folder.join(format!("{:06}.xml", self.next_file));
        let renamed = fs::rename(&path, &kept).and_then(|()| File::open(&kept)?.sync_all());
        renamed.map_err(|error| {
            let message = format!("cannot write {}: {error}", kept.display());
            PluginError::new(ErrorKind::Io, message)
        })?;
        self.next_file += 1;
        Ok((kept, time))
    }

    /// Takes the next older version of the call: true when there is one.
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

    /// Reads one kept answer: false when it is damaged.
    fn index(&mut self, path: &PathBuf, around: &SourceContext) -> bool {
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        self.next_file = self.next_file.max(number.unwrap_or(0) + 1);
        let Ok(file) = File::open(path) else { return false };
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let source = Source::whole(file, length);
        let limits = around.settings.reading.limits;
        match index_knowledge_base(source.read(None), limits, &mut self.definitions) {
            Ok(notes) => {
                for note in notes {
                    tracing::debug!(count = note.count, "knowledge base: {}", note.text);
                }
                true
            }
            Err(damage) => {
                tracing::warn!("{} is corrupt and is downloaded again: {damage}", path.display());
                false
            }
        }
    }

    /// The kept answers, oldest first.
    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort();
        files
    }
}

/// The time of an answer, which stands before its entries.
fn time_of(body: &Body) -> String {
    use std::io::Read;
    Reply::read(body.source.read(None).take(16 << 10)).time
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
