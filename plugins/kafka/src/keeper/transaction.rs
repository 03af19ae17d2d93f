//! Transactions of a producer.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::OwnedHeaders;
use scanbridge_plugin_api::keeper::PairChanges;
use scanbridge_plugin_api::tracing::debug;
use scanbridge_plugin_api::{Counter, ErrorKind, PluginError, Result, Services};

use crate::error::Resource;
use crate::producer::{Producer, Record};

/// The transactions of one slot, one after the other.
pub(super) struct Transactions {
    pub(super) producer: Producer,
    /// The topic of the checkpoints; the transactional IDs begin with its name.
    state_topic: String,
    /// When the open transaction began.
    began: Option<Instant>,
    timeout: Duration,
    committed: Counter,
    aborted: Counter,
}

/// Timeout of one call: between two, stop requests are noticed.
const CALL: Duration = Duration::from_secs(2);
/// For the abort of a transaction when the instance ends.
const LAST: Duration = Duration::from_secs(5);

impl Transactions {
    /// Fences off former owners of the transactional ID, and waits until their last transaction has ended.
    ///
    /// # Errors
    /// The brokers refuse it, or do not answer within `timeout`; the slot was lost.
    pub(super) fn init(
        producer: Producer,
        state_topic: &str,
        timeout: Duration,
        services: &Services,
    ) -> Result<Self> {
        let began = Instant::now();
        services.phase("waiting for the end of the last transaction");
        debug!("former owners of the slot are fenced off");
        let what = "cannot begin transactions";
        loop {
            match producer.init_transactions(CALL) {
                Ok(()) => break,
                Err(error) if is_retriable(&error) && began.elapsed() < timeout => {
                    producer.link().check()?;
                    services.alive();
                    if services.is_draining() || services.is_cancelled() {
                        return Err(PluginError::cancelled());
                    }
                }
                Err(error) => return Err(failed(&producer, state_topic, what, &error)),
            }
        }
        Ok(Self {
            producer,
            state_topic: state_topic.to_owned(),
            began: None,
            timeout,
            committed: services.counter("kafka_transactions_committed_total", "Committed transactions"),
            aborted: services.counter("kafka_transactions_aborted_total", "Aborted transactions"),
        })
    }

    /// Begins a transaction, unless one is open.
    ///
    /// # Errors
    /// The open one takes too long.
    pub(super) fn begin(&mut self) -> Result<()> {
        if let Some(began) = self.began {
            // The brokers would abort it soon.
            if began.elapsed() < self.timeout.mul_f64(0.9) {
                return Ok(());
            }
            self.abort();
            return Err(PluginError::unavailable(format!(
                "a transaction was open for {} s without a checkpoint",
                began.elapsed().as_secs()
            ))
            .with_hint("increase `transaction_timeout`, or make the pages of the input smaller"));
        }
        self.producer
            .begin_transaction()
            .map_err(|error| self.failed("cannot begin a transaction", &error))?;
        self.began = Some(Instant::now());
        Ok(())
    }

    /// Drops everything since the last commit: readers never see it.
    pub(super) fn abort(&mut self) {
        if self.began.take().is_some() {
            self.aborted.add(1);
            // If that fails, the next owner of the slot or the timeout aborts it.
            let _ = self.producer.abort_transaction(LAST);
        }
    }

    /// Commits the records and these pairs, both or neither.
    ///
    /// # Errors
    /// `ErrorKind::Displaced` if another instance has the slot now; `ErrorKind::Unavailable` if the transaction was
    /// aborted, or its outcome is not known: the next `open` reads what is stored.
    pub(super) fn commit(&mut self, slot: i32, changes: &PairChanges) -> Result<()> {
        self.begin()?;
        for (name, value) in changes {
            self.producer.send(Record {
                topic: &self.state_topic,
                partition: Some(slot),
                key: Some(name.as_bytes()),
                value: value.as_deref(),
                headers: OwnedHeaders::new(),
                rows: Vec::new(),
            })?;
        }
        let began = Instant::now();
        // All records must be acknowledged, or a row would be missing.
        self.producer.flush()?;
        if let Some((_, reason)) = self.producer.take_rejected().into_iter().next() {
            self.abort();
            return Err(PluginError::config(reason).with_option("record_bytes"));
        }
        let services = self.producer.link().services.clone();
        loop {
            self.producer.link().check()?;
            if services.is_cancelled() {
                return Err(PluginError::cancelled());
            }
            let Err(error) = self.producer.commit_transaction(CALL) else { break };
            if requires_abort(&error) {
                self.abort();
                let error = self.failed("the transaction was aborted", &error);
                return Err(match error.kind {
                    // A permission or a setting that is missing, or a new owner: the next transaction ends the same way.
                    ErrorKind::Auth | ErrorKind::Config | ErrorKind::Displaced => error,
                    _ => PluginError::unavailable(error.message),
                });
            }
            if !is_retriable(&error) || began.elapsed() >= self.timeout {
                return Err(self.failed("cannot commit the transaction", &error));
            }
            services.alive();
        }
        self.began = None;
        self.committed.add(1);
        Ok(())
    }

    fn failed(&self, what: &str, error: &KafkaError) -> PluginError {
        failed(&self.producer, &self.state_topic, what, error)
    }
}

impl Drop for Transactions {
    fn drop(&mut self) {
        self.abort();
    }
}

fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => {
            error.is_retriable()
                || matches!(error.code(), Code::OperationTimedOut | Code::ConcurrentTransactions)
        }
        _ => false,
    }
}

fn requires_abort(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.txn_requires_abort())
}

fn failed(producer: &Producer, state_topic: &str, what: &str, error: &KafkaError) -> PluginError {
    producer.link().failed(what, Resource::Transactions(state_topic)).of(error)
}
