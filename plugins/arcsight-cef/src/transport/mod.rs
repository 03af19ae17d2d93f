//! Delivery of finished events: to a file, as datagrams, or over a connection.

mod backlog;
mod connect;
mod link;
pub(crate) mod options;
mod rate_limit;
mod receiver;
mod stream;
mod timed;
mod tls;
mod udp;

use scanbridge_cef_events::{Outcome, Sink};
use scanbridge_durable_file::ReportFile;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart, Severity};
use scanbridge_plugin_api::{
    Begin, CheckReport, Open, OutputCapabilities, Partial, Receipt, Result, Resume, tracing,
};
use scanbridge_tls_identity::{Identity, options as tls_options};

use crate::syslog::{Framing, Header};
use options::TransportSettings;
use stream::Stream;
use timed::TimedStream;
use udp::Udp;

/// Destination of events, with a byte counter.
#[derive(Debug)]
pub(crate) struct Transport {
    carrier: Carrier,
    /// Bytes of events since the last call of `take_bytes`.
    bytes: u64,
}

#[derive(Debug)]
enum Carrier {
    File(Box<ReportFile>),
    Syslog(Box<Syslog>),
}

/// Events as syslog messages.
#[derive(Debug)]
struct Syslog {
    header: Header,
    wire: Wire,
    /// Messages of the current report passed to the wire.
    report: usize,
    /// Messages in total, stored in the receipt.
    total: u64,
}

#[derive(Debug)]
enum Wire {
    Udp(Box<Udp>),
    Stream(TimedStream, Framing),
}

impl Transport {
    /// Validates the options and opens a file; connects to no receiver.
    ///
    /// # Errors
    /// Errors of the file or of the options.
    pub(crate) fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<Self> {
        let services = open.services;
        let carrier = match options::read(open.options, services)? {
            TransportSettings::File(target) => {
                let target = target.for_run(open);
                Carrier::File(Box::new(ReportFile::open(target, receipt)?))
            }
            TransportSettings::Udp { connector, header, rate_limit } => {
                let wire = Wire::Udp(Box::new(Udp::new(connector, rate_limit)));
                Carrier::Syslog(Box::new(Syslog::new(header, wire, receipt)))
            }
            TransportSettings::Stream { connector, header, batching, proof, grace, framing } => {
                let stream = Stream::new(connector, batching, proof, grace);
                let wire = Wire::Stream(TimedStream::new(stream, services.clone()), framing);
                Carrier::Syslog(Box::new(Syslog::new(header, wire, receipt)))
            }
        };
        Ok(Self { carrier, bytes: 0 })
    }

    /// Checks what is on this machine: the file, or the client certificate.
    pub(crate) fn check_locally(&self) -> CheckReport {
        let report = CheckReport::default();
        match (&self.carrier, self.identity()) {
            (Carrier::File(file), _) => file.check(),
            (Carrier::Syslog(_), Some(identity)) => identity.check(report, tls_options::CERTIFICATE.name),
            (Carrier::Syslog(_), None) => report,
        }
    }

    /// The client certificate, if one is sent.
    pub(crate) fn identity(&self) -> Option<Identity> {
        match &self.carrier {
            Carrier::Syslog(syslog) => match &syslog.wire {
                Wire::Stream(stream, _) => stream.identity(),
                Wire::Udp(_) => None,
            },
            Carrier::File(_) => None,
        }
    }

    /// Probes the destination without sending events.
    pub(crate) fn check(&self) -> CheckReport {
        match &self.carrier {
            Carrier::File(file) => file.check(),
            Carrier::Syslog(syslog) => match &syslog.wire {
                Wire::Udp(udp) => udp.check(),
                Wire::Stream(stream, _) => stream.check(),
            },
        }
    }

    /// How the destination resumes, and what a report replaces there.
    pub(crate) fn capabilities(&self) -> OutputCapabilities {
        match &self.carrier {
            Carrier::File(file) => file.capabilities(),
            Carrier::Syslog(_) => OutputCapabilities::NONE.resume(Resume::Repeats).partial(Partial::Adds),
        }
    }

    /// Maximum length of the syslog header in bytes; 0 for a file.
    pub(crate) fn header_bytes(&self) -> usize {
        match &self.carrier {
            Carrier::File(_) => 0,
            Carrier::Syslog(syslog) => syslog.header.max_bytes(),
        }
    }

    /// A copy of the syslog header; `None` for a file.
    pub(crate) fn header(&self) -> Option<Header> {
        match &self.carrier {
            Carrier::File(_) => None,
            Carrier::Syslog(syslog) => Some(syslog.header.fresh()),
        }
    }

    /// Begins or resumes a report.
    pub(crate) fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()> {
        match &mut self.carrier {
            Carrier::File(file) => file.begin(report, how.continued).map(drop),
            Carrier::Syslog(syslog) => {
                syslog.report = 0;
                Ok(())
            }
        }
    }

    /// Ends the report.
    pub(crate) fn end(&mut self, end: &ReportEnd) -> Result<()> {
        match &mut self.carrier {
            Carrier::File(file) => file.end(end.deliver).map(|_| ()),
            Carrier::Syslog(syslog) => {
                if !end.deliver {
                    syslog.discard_report();
                }
                Ok(())
            }
        }
    }

    /// Makes all events durable, or waits until the receiver has confirmed them.
    pub(crate) fn commit(&mut self) -> Result<Receipt> {
        match &mut self.carrier {
            Carrier::File(file) => file.commit(b""),
            Carrier::Syslog(syslog) => {
                match &mut syslog.wire {
                    Wire::Udp(udp) => udp.confirm()?,
                    Wire::Stream(stream, _) => stream.confirm()?,
                }
                Ok(Receipt(syslog.total.to_le_bytes().to_vec()))
            }
        }
    }

    /// Publishes the file. What was sent to a receiver is already there.
    pub(crate) fn stored(&mut self) -> Result<()> {
        match &mut self.carrier {
            Carrier::File(file) => file.stored(),
            Carrier::Syslog(_) => Ok(()),
        }
    }

    /// Closes the connection.
    pub(crate) fn close(self) {
        if let Carrier::Syslog(syslog) = self.carrier
            && let Wire::Stream(stream, _) = syslog.wire
        {
            stream.close();
        }
    }

    /// Returns and resets the number of bytes of events.
    pub(crate) fn take_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }
}

impl Sink for Transport {
    fn event(&mut self, line: &[u8], severity: Option<Severity>) -> Result<Outcome> {
        let outcome = match &mut self.carrier {
            Carrier::File(file) => {
                // Rotate before the event: after the last event, a new file would stay empty.
                file.record_boundary()?;
                file.write(line)?;
                Outcome::Accepted
            }
            Carrier::Syslog(syslog) => syslog.event(line.strip_suffix(b"\n").unwrap_or(line), severity)?,
        };
        if outcome == Outcome::Accepted {
            self.bytes += line.len() as u64;
        }
        Ok(outcome)
    }
}

impl Syslog {
    fn new(header: Header, wire: Wire, receipt: Option<&Receipt>) -> Self {
        let total = receipt.and_then(|receipt| receipt.0.as_slice().try_into().ok()).map(u64::from_le_bytes);
        Self { header, wire, report: 0, total: total.unwrap_or_default() }
    }

    fn event(&mut self, event: &[u8], severity: Option<Severity>) -> Result<Outcome> {
        let [priority, rest] = self.header.parts(severity);
        let outcome = match &mut self.wire {
            Wire::Udp(udp) => udp.message([priority, rest, event])?,
            Wire::Stream(stream, framing) => {
                stream.message(|out| framing.append(out, [priority, rest, event]))?;
                Outcome::Accepted
            }
        };
        if outcome == Outcome::Accepted {
            self.report += 1;
            self.total = self.total.saturating_add(1);
        }
        Ok(outcome)
    }

    /// Drops unsent events of the report, and logs how many were already sent: they cannot be retracted.
    fn discard_report(&mut self) {
        let already_sent = match &mut self.wire {
            Wire::Udp(_) => self.report,
            Wire::Stream(stream, _) => stream.drop_unsent(self.report),
        };
        self.total = self.total.saturating_sub((self.report - already_sent) as u64);
        if already_sent > 0 {
            tracing::warn!(
                events = already_sent,
                "events of an incomplete report had already been sent; syslog messages cannot be retracted"
            );
        }
    }
}

#[cfg(test)]
impl Transport {
    /// Datagrams with this header, to the address that the resolver returns.
    pub(crate) fn udp(header: Header, resolver: scanbridge_dialer::Resolver) -> Self {
        let udp = Udp::new(connect::Connector::for_test(resolver), rate_limit::RateLimit::new(2500));
        Self {
            carrier: Carrier::Syslog(Box::new(Syslog::new(header, Wire::Udp(Box::new(udp)), None))),
            bytes: 0,
        }
    }
}
