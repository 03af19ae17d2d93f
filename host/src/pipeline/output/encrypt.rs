//! What an output gets instead of clear values, if the operator has set `encrypt`.

use std::borrow::Cow;
use std::sync::Arc;

use scanbridge_plugin_api::PluginError;
use scanbridge_plugin_api::batch::{BadBatch, Selection, ValidBatch};
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};

use super::cipher::{DestinationCipher, SentBatch};
use super::destination::Destination;
use super::selection::{Rows, assets_of};
use crate::encryption::OutputCipher;
use crate::pipeline::batch::{SharedBatch, ValidatedBatch};

impl Destination {
    /// Encrypts what the output gets from now on.
    pub(in crate::pipeline) fn with_cipher(mut self, cipher: Option<DestinationCipher>) -> Self {
        self.cipher = cipher;
        self
    }

    /// The batch as the output gets it, with the selected rows that are not refused. The second value has the refused ones.
    pub(super) fn encrypted(
        &mut self,
        batch: &Arc<SharedBatch>,
        validated: &ValidatedBatch,
        rows: Rows,
    ) -> Result<(SentBatch, Rows, Vec<u32>), PluginError> {
        let Some(cipher) = self.cipher() else {
            return Ok((SentBatch::Clear(Arc::clone(batch)), rows, Vec::new()));
        };
        let selection = if rows.findings().is_none() { validated.selection() } else { rows.selection() };
        let encrypted = cipher.batch(&validated.batch, selection).map_err(too_large)?;
        self.freeze_encryption()?;
        self.current.summary.encrypted += encrypted.tally.encrypted;
        self.current.summary.tokens += encrypted.tally.tokens;
        let sent = SentBatch::Encrypted(encrypted.batch);
        if encrypted.refused.is_empty() {
            return Ok((sent, rows, Vec::new()));
        }
        let mut findings = rows.to_list(validated);
        findings.retain(|row| encrypted.refused.binary_search(row).is_err());
        let rows = Rows::of(assets_of(validated, &findings), findings);
        Ok((sent, rows, encrypted.refused))
    }

    /// These findings as the output gets them, without counting them.
    pub(super) fn as_sent(
        &self,
        batch: &Arc<SharedBatch>,
        validated: &ValidatedBatch,
        findings: &[u32],
    ) -> Result<SentBatch, PluginError> {
        let Some(cipher) = self.cipher() else { return Ok(SentBatch::Clear(Arc::clone(batch))) };
        let encrypted = cipher.batch(&validated.batch, Selection::new(&[], findings)).map_err(too_large)?;
        Ok(SentBatch::Encrypted(encrypted.batch))
    }

    /// Calls `read` with these findings as the output got them.
    pub(super) fn read_as_sent<T>(
        &self,
        validated: &ValidatedBatch,
        findings: &[u32],
        read: impl FnOnce(&ValidBatch) -> T,
    ) -> T {
        match self.cipher() {
            None => read(&validated.batch),
            Some(cipher) => {
                let mut findings = findings.to_vec();
                findings.sort_unstable();
                let encrypted = cipher.batch(&validated.batch, Selection::new(&[], &findings));
                read(&encrypted.expect("a part of a batch that was encrypted is not larger").batch)
            }
        }
    }

    /// The start of a report as the output gets it.
    pub(in crate::pipeline) fn start_as_sent(&self, report: &Arc<ReportStart>) -> Arc<ReportStart> {
        match self.cipher() {
            None => Arc::clone(report),
            Some(cipher) => Arc::new(cipher.start(report)),
        }
    }

    /// The end of a report as the output gets it.
    pub(super) fn end_as_sent(&self, end: ReportEnd) -> ReportEnd {
        match self.cipher() {
            None => end,
            Some(cipher) => cipher.end(end),
        }
    }

    /// Identity and version of the key, for dead letters; empty without encryption.
    pub(super) fn encryption_label(&self) -> Cow<'_, str> {
        self.cipher.as_ref().map_or(Cow::Borrowed(""), |cipher| Cow::Borrowed(cipher.cipher.label()))
    }

    /// Stores the settings of the encryption, before the output gets the first encrypted value.
    pub(super) fn freeze_encryption(&mut self) -> Result<(), PluginError> {
        let id = self.opener.id().to_owned();
        let Some(cipher) = &mut self.cipher else { return Ok(()) };
        if let Some((ledger, frozen)) = &cipher.to_freeze {
            ledger.freeze_encryption(&id, frozen)?;
            cipher.to_freeze = None;
        }
        Ok(())
    }

    fn cipher(&self) -> Option<Arc<OutputCipher>> {
        self.cipher.as_ref().map(|cipher| Arc::clone(&cipher.cipher))
    }
}

fn too_large(bad: BadBatch) -> PluginError {
    PluginError::bad_data(format!("a batch is too large with encrypted values: {bad}"))
}
