//! The work of an instance on its slot.

use scanbridge_plugin_api::keeper::{PairChanges, Pairs, Share};
use scanbridge_plugin_api::{PluginError, Result, Services};

use super::settings::KeeperSettings;
use super::slot::Slot;
use super::stored;
use super::transaction::Transactions;
use crate::link::Link;
use crate::producer::Producer;
use crate::settings::OutputSettings;

/// A slot with its transactions.
pub(crate) struct Session {
    settings: KeeperSettings,
    // The transaction ends before the slot is given back.
    transactions: Transactions,
    slot: Slot,
    loaded: Option<Pairs>,
}

impl Session {
    /// Waits for a slot, takes over its transactions, and reads its checkpoint.
    ///
    /// # Errors
    /// The host stops the run, or the brokers refuse something.
    pub(crate) fn open(
        settings: &KeeperSettings,
        output: &OutputSettings,
        limit: Option<usize>,
        services: &Services,
    ) -> Result<Self> {
        let gauge =
            services.gauge("kafka_slot", "Number of the slot of this instance; -1 while it waits for one");
        gauge.set(-1.0);
        let slot = Slot::wait(settings, services)?;
        gauge.set(f64::from(slot.number));
        let link = || Link::new(settings.connection.clone(), services).ending_with(slot.link());
        let mut config = output.producer(limit);
        settings.producer(&mut config, slot.number);
        let producer = Producer::new(config, link())?;
        let transactions =
            Transactions::init(producer, &settings.state_topic, settings.transaction_timeout, services)?;
        let loaded = stored::read(settings, link(), slot.number)?;
        // A call that a former owner has sent to the source may still be in progress, also if that owner has not reached its
        // first checkpoint.
        services.phase("waiting after taking over a slot");
        services.sleep(settings.takeover_wait)?;
        slot.check()?;
        Ok(Self { settings: settings.clone(), transactions, slot, loaded: Some(loaded) })
    }

    /// The part of the source that this instance reads.
    pub(crate) fn share(&self) -> Share {
        Share::new(u32::try_from(self.slot.number).unwrap_or_default(), self.settings.slots)
    }

    /// The checkpoint that was stored when the slot was taken over.
    ///
    /// # Errors
    /// A bug of the host: it is read once.
    pub(crate) fn take_loaded(&mut self) -> Result<Pairs> {
        self.loaded.take().ok_or_else(|| PluginError::bug("plugin bug: the checkpoint was loaded twice"))
    }

    /// The producer, in a transaction.
    ///
    /// # Errors
    /// The slot was lost, or the transaction takes too long.
    pub(crate) fn sending(&mut self) -> Result<&Producer> {
        self.slot.check()?;
        self.transactions.begin()?;
        Ok(&self.transactions.producer)
    }

    pub(crate) fn producer(&self) -> &Producer {
        &self.transactions.producer
    }

    /// Drops what was written since the last commit.
    pub(crate) fn abort(&mut self) {
        self.transactions.abort();
    }

    /// Commits what was written, with these changes of the checkpoint. Without changes it only asks whether the slot belongs
    /// to this instance.
    ///
    /// # Errors
    /// As [`Transactions::commit`].
    pub(crate) fn commit(&mut self, changes: &PairChanges) -> Result<()> {
        self.slot.check()?;
        if changes.is_empty() {
            return Ok(());
        }
        self.transactions.commit(self.slot.number, changes)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("slot", &self.slot.number).finish_non_exhaustive()
    }
}
