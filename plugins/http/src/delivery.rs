//! Posts records, and finds the ones that the server refuses.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use scanbridge_plugin_api::{ErrorKind, LateRow, PluginError, Result, Services, tracing};
use url::Url;

use crate::answer::{Delivered, Judge, RecordVerdict, Response, Verdict};
use crate::client::{Client, Request};
use crate::credentials::Credentials;
use crate::queue::Queue;
use crate::splunk;
use crate::webhook::{Signer, message_id};

/// What is the same in all requests of an instance.
#[derive(Debug)]
pub(crate) struct RequestSettings {
    pub(crate) url: Url,
    pub(crate) content_type: String,
    /// Before, between and after records.
    pub(crate) frame: [String; 3],
    pub(crate) gzip: bool,
    /// The operator's own headers.
    pub(crate) headers: HeaderMap,
    pub(crate) signer: Option<Signer>,
    /// Whether `webhook-id` and `webhook-timestamp` are sent.
    pub(crate) is_webhook: bool,
    /// Whether each request gets a number of its own (`x-ms-client-request-id`).
    pub(crate) is_numbered: bool,
    pub(crate) acks: Option<Acks>,
}

/// How Splunk acknowledges events.
#[derive(Debug, Clone)]
pub(crate) struct Acks {
    pub(crate) url: Url,
    pub(crate) channel: String,
    pub(crate) timeout: Duration,
}

/// Posts the records of one instance.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) client: Client,
    pub(crate) credentials: Credentials,
    pub(crate) judge: Judge,
    settings: RequestSettings,
    services: Services,
    /// The largest number of records that the server took, after it refused a larger request (413).
    max_records: usize,
    /// Whether a request was delivered: then a refusal concerns records, not the form of requests.
    has_delivered: bool,
    /// Records that were refused before anything was delivered.
    refused_at_first: usize,
    /// Numbers that Splunk has not acknowledged.
    open_acks: Vec<u64>,
    rejected: Vec<(LateRow, String)>,
    /// Bytes of delivered requests, before compression.
    bytes: u64,
}

/// If this number of single records is refused and nothing was delivered before, the requests are wrong, not the records.
const ALL_REFUSED: usize = 3;
/// How often single records are sent again after a pause, before the output fails.
const RETRIES: u32 = 3;
/// The pause when the server says that it is near its capacity.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

impl Delivery {
    pub(crate) fn new(
        client: Client,
        credentials: Credentials,
        judge: Judge,
        settings: RequestSettings,
        services: &Services,
    ) -> Self {
        Self {
            client,
            credentials,
            judge,
            settings,
            services: services.clone(),
            max_records: usize::MAX,
            has_delivered: false,
            refused_at_first: 0,
            open_acks: Vec::new(),
            rejected: Vec::new(),
            bytes: 0,
        }
    }

    /// The URL of requests with records.
    pub(crate) fn url(&self) -> &Url {
        &self.settings.url
    }

    /// The rows that were refused since the last call, with reasons.
    pub(crate) fn take_rejected(&mut self) -> Vec<(LateRow, String)> {
        std::mem::take(&mut self.rejected)
    }

    /// The bytes of delivered requests since the last call.
    pub(crate) fn take_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }

    /// Sends all records. They are delivered or refused when this returns without an error.
    ///
    /// # Errors
    /// The destination does not work. What was delivered before comes again when the host repeats.
    pub(crate) fn send(&mut self, queue: &Queue) -> Result<()> {
        let mut waiting: Vec<usize> = (0..queue.len()).collect();
        for attempt in 0.. {
            let mut again = Again::default();
            for part in waiting.chunks(self.max_records.min(waiting.len()).max(1)) {
                self.part(queue, part, &mut again)?;
            }
            let Again { records, reason } = again;
            if records.is_empty() {
                return Ok(());
            }
            if attempt == RETRIES {
                let message =
                    format!("{} records were not accepted after {attempt} retries: {reason}", records.len());
                return Err(PluginError::unavailable(message));
            }
            tracing::debug!(records = records.len(), reason, "the server asks for a retry of single records");
            self.services.sleep(Duration::from_secs(1 << attempt))?;
            waiting = records;
        }
        Ok(())
    }

    /// Sends these records in one request; in smaller ones if the server refuses it.
    fn part(&mut self, queue: &Queue, records: &[usize], again: &mut Again) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        match self.post(queue, records)? {
            Verdict::Delivered(delivered) => self.delivered(delivered),
            Verdict::Each(verdicts) => {
                for (record, verdict) in records.iter().zip(verdicts) {
                    match verdict {
                        RecordVerdict::Delivered => self.has_delivered = true,
                        RecordVerdict::Rejected(reason) => {
                            self.rejected.push((queue.record(*record).row, reason));
                        }
                        RecordVerdict::Retry(reason) => again.add(*record, reason),
                    }
                }
                Ok(())
            }
            Verdict::Invalid(reason) | Verdict::Names(_, reason) if records.len() == 1 => {
                self.reject(queue, records[0], reason)
            }
            Verdict::TooLarge(reason) if records.len() == 1 => {
                // A record that is too large says nothing about the form of requests.
                self.rejected.push((queue.record(records[0]).row, reason));
                Ok(())
            }
            Verdict::Names(number, _) if number < records.len() => {
                // It is sent alone, because servers may count in another way. What became of the others is not known.
                let before = self.rejected.len();
                self.part(queue, &records[number..=number], again)?;
                let others = [&records[..number], &records[number + 1..]].concat();
                match self.rejected.len() > before {
                    true => self.part(queue, &others, again),
                    false => self.halves(queue, &others, again),
                }
            }
            Verdict::Invalid(_) | Verdict::Names(..) => self.halves(queue, records, again),
            Verdict::TooLarge(_) => {
                self.max_records = self.max_records.min(records.len().div_ceil(2));
                self.halves(queue, records, again)
            }
            Verdict::Login(error) | Verdict::Failed(error) => Err(error),
        }
    }

    fn halves(&mut self, queue: &Queue, records: &[usize], again: &mut Again) -> Result<()> {
        let (first, second) = records.split_at(records.len() / 2);
        self.part(queue, first, again)?;
        self.part(queue, second, again)
    }

    fn delivered(&mut self, delivered: Delivered) -> Result<()> {
        self.has_delivered = true;
        self.open_acks.extend(delivered.ack);
        if delivered.is_busy {
            self.services.sleep(BUSY_PAUSE)?;
        }
        Ok(())
    }

    fn reject(&mut self, queue: &Queue, record: usize, reason: String) -> Result<()> {
        if !self.has_delivered {
            self.refused_at_first += 1;
            if self.refused_at_first == ALL_REFUSED {
                return Err(PluginError::config(format!(
                    "each of the first {ALL_REFUSED} records is refused: {reason}"
                ))
                .with_hint(
                    "the destination refuses this form of records; check `preset`, `format` and its settings",
                ));
            }
        }
        self.rejected.push((queue.record(record).row, reason));
        Ok(())
    }

    /// Posts these records. Requests a new token once if the login is refused.
    fn post(&mut self, queue: &Queue, records: &[usize]) -> Result<Verdict> {
        let body = self.body(queue, records);
        let ids: Vec<&str> = records.iter().map(|record| &*queue.record(*record).id).collect();
        let size = body.len() as u64;
        let response = self.exchange(Method::POST, self.settings.url.clone(), &ids, body)?;
        let verdict = self.judge.verdict(&response, &ids);
        if matches!(verdict, Verdict::Delivered(_) | Verdict::Each(_)) {
            self.bytes += size;
        }
        Ok(verdict)
    }

    fn body(&self, queue: &Queue, records: &[usize]) -> Vec<u8> {
        let [open, between, close] = &self.settings.frame;
        let size: usize = records.iter().map(|record| queue.encoded(*record).len() + between.len()).sum();
        let mut body = Vec::with_capacity(open.len() + size + close.len());
        body.extend_from_slice(open.as_bytes());
        for (number, record) in records.iter().enumerate() {
            if number > 0 {
                body.extend_from_slice(between.as_bytes());
            }
            body.extend_from_slice(queue.encoded(*record));
        }
        body.extend_from_slice(close.as_bytes());
        body
    }

    /// Sends a request with the login and the headers of this destination.
    pub(crate) fn exchange(
        &mut self,
        method: Method,
        url: Url,
        ids: &[&str],
        body: Vec<u8>,
    ) -> Result<Response> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, value(&self.settings.content_type));
        if self.settings.is_webhook && !ids.is_empty() {
            self.sign(&mut headers, ids, &body);
        }
        if self.settings.is_numbered {
            let number = random_uuid();
            tracing::debug!(request = number, "x-ms-client-request-id of the next request");
            headers.insert(REQUEST_ID, value(&number));
        }
        if let Some(acks) = &self.settings.acks {
            headers.insert(CHANNEL, value(&acks.channel));
        }
        let mut body = if self.settings.gzip && !body.is_empty() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            compressed(&body)?
        } else {
            body
        };
        let mut renews = self.credentials.can_renew();
        loop {
            let mut headers = headers.clone();
            if let Some(login) = self.credentials.header(&mut self.client, &mut self.judge.redactor)? {
                headers.insert(AUTHORIZATION, login);
            }
            headers.extend(self.settings.headers.clone());
            // Kept only for a second attempt.
            let body = if renews { body.clone() } else { std::mem::take(&mut body) };
            let request = Request { method: method.clone(), url: url.clone(), headers, body };
            let response = self.client.send(request)?;
            if response.status == 401 && renews {
                renews = false;
                self.credentials.forget();
                continue;
            }
            return Ok(response);
        }
    }

    fn sign(&self, headers: &mut HeaderMap, ids: &[&str], body: &[u8]) {
        let id = message_id(ids);
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let seconds = i64::try_from(seconds).unwrap_or_default();
        headers.insert(WEBHOOK_ID, value(&id));
        headers.insert(WEBHOOK_TIMESTAMP, seconds.into());
        if let Some(signer) = &self.settings.signer {
            headers.insert(WEBHOOK_SIGNATURE, value(&signer.signatures(&id, seconds, body)));
        }
    }

    /// Waits until Splunk has indexed everything that was sent, if the output asks for that.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] after the timeout: the host sends again.
    pub(crate) fn wait_for_acks(&mut self) -> Result<()> {
        let Some(acks) = self.settings.acks.clone() else { return Ok(()) };
        let (began, mut pause) = (Instant::now(), Duration::from_millis(200));
        while !self.open_acks.is_empty() {
            let body = serde_json::json!({ "acks": self.open_acks }).to_string().into_bytes();
            let response = self.exchange(Method::POST, acks.url.clone(), &[], body)?;
            let done = splunk::acknowledged(&response, &self.judge)?;
            // What is acknowledged once must not be asked for again: the server has forgotten it.
            self.open_acks.retain(|ack| !done.contains(ack));
            if self.open_acks.is_empty() {
                break;
            }
            if began.elapsed() > acks.timeout {
                let message = format!(
                    "{} requests not acknowledged by the indexer within {} s (`ack_timeout`)",
                    self.open_acks.len(),
                    acks.timeout.as_secs()
                );
                return Err(PluginError::new(ErrorKind::Unavailable, message)
                    .with_hint("they are resent; check the indexers, or increase `ack_timeout`"));
            }
            self.services.phase("waiting for acknowledgements of the indexer");
            self.services.sleep(pause)?;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
        Ok(())
    }
}

/// Records that are to be sent again.
#[derive(Debug, Default)]
struct Again {
    records: Vec<usize>,
    reason: String,
}

impl Again {
    fn add(&mut self, record: usize, reason: String) {
        self.records.push(record);
        self.reason = reason;
    }
}

const WEBHOOK_ID: &str = "webhook-id";
const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
const WEBHOOK_SIGNATURE: &str = "webhook-signature";
const REQUEST_ID: &str = "x-ms-client-request-id";
const CHANNEL: &str = "x-splunk-request-channel";

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("media types, hexadecimal digits and Base64 are valid in a header")
}

fn compressed(body: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write as _;
    let failed = |error| PluginError::bug(format!("cannot compress a request: {error}"));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).map_err(failed)?;
    encoder.finish().map_err(failed)
}

/// A random UUID (version 4).
pub(crate) fn random_uuid() -> String {
    let random = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let digits = format!("{random:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
