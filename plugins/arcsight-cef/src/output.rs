//! The output plugin: encodes batches and passes the events to the transport.

use scanbridge_cef_events::{Encoder, Tally};
use scanbridge_durable_file::options as file;
use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, Open, OpenedOutput, OptionSpec, Output, OutputCapabilities,
    Purpose, Receipt, Rendered, Result, Verdict, Written, register_output, tracing,
};

use crate::options::{self, event_settings};
use crate::preset::Preset;
use crate::transport::{self, Transport};

/// Writes each finding as one event, and derived events for each open port and operating system: to a file,
/// which appears or grows when a report is complete, or to syslog receivers.
#[derive(Debug)]
pub struct ArcSightCef {
    encoder: Encoder,
    transport: Transport,
    /// What the operator chose as the receiver.
    preset: Option<Preset>,
    /// Counters of the current report.
    report: Tally,
    /// Events that were written at a commit and are not reported to the host yet.
    committed: Written,
    /// Whether `check` contacts no receiver.
    is_local: bool,
    /// Whether events cross the network in the clear although FIPS mode is on.
    is_clear: bool,
    /// The defaults that the preset sets.
    defaults: CheckReport,
}

impl Output for ArcSightCef {
    const NAME: &'static str = "ArcSightCEF";
    const SUMMARY: &'static str =
        "writes findings as ArcSight Common Event Format events to a file or over syslog";
    const OPTIONS: &'static [OptionSpec] = options::TABLE;

    const CAPABILITIES: OutputCapabilities = file::CAPABILITIES;
    const RENDERS: bool = true;

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let options = open.options;
        let settings = event_settings(options, &open.frame.connector)?;
        let transport = Transport::open(open, receipt)?;
        let capabilities = transport.capabilities();
        let budget = transport::options::max_message_bytes(options)?.saturating_sub(transport.header_bytes());
        let encoder = Encoder::new(settings, budget);
        let is_default = options.text("receiver")? == Some("profile");
        let preset = if is_default { None } else { Some(Preset::of(options)?) };
        if let (Some(preset), Purpose::Check) = (preset, open.purpose()) {
            tracing::info!("{}", preset.expectation());
        }
        if open.purpose() == Purpose::Run
            && let Some(identity) = transport.identity()
        {
            identity.watch_expiry(open.services);
        }
        let (report, committed) = (Tally::default(), Written::default());
        let is_local = open.purpose() == Purpose::Check;
        let defaults = Preset::of(options)?.effective(options, CheckReport::default())?;
        let is_clear =
            !open.services.fips().is_off() && matches!(options.text("transport")?, Some("udp" | "tcp"));
        let cef = Self { encoder, transport, preset, report, committed, is_local, is_clear, defaults };
        Ok(OpenedOutput::from(cef).with_capabilities(capabilities))
    }

    fn check(&mut self) -> Result<CheckReport> {
        let report = if self.is_local { self.transport.check_locally() } else { self.transport.check() };
        let mut report = report;
        report.effective.clone_from(&self.defaults.effective);
        if self.is_clear {
            report = report.step("encryption", Verdict::Warning, NOT_ENCRYPTED).about("transport");
        }
        Ok(match self.preset {
            Some(preset) => report.step("receiver", Verdict::Ok, preset.expectation()),
            None => report,
        })
    }

    fn begin(&mut self, report: &ReportStart, how: Begin) -> Result<()> {
        self.encoder.begin(report);
        self.report = Tally::default();
        self.transport.begin(report, how)
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        let tally = self.encoder.batch(batch, &mut self.transport)?;
        Ok(self.written(tally))
    }

    fn render(&self, report: &ReportStart, batch: Batch<'_>) -> Result<Vec<Rendered>> {
        let mut header = self.transport.header();
        self.encoder.render(report, batch, |record, severity| {
            if let Some(header) = &mut header {
                header.parts(severity).iter().for_each(|part| record.extend_from_slice(part));
            }
        })
    }

    fn end(&mut self, end: &ReportEnd) -> Result<Written> {
        // Roll back as far as possible, and write no further events of the last asset.
        if !end.deliver {
            self.encoder.abandon();
            self.transport.end(end)?;
            self.transport.take_bytes();
            return Ok(Written::default());
        }
        let tally = self.encoder.finish(&mut self.transport)?;
        let written = self.written(tally);
        self.transport.end(end)?;
        self.encoder.log(self.report);
        Ok(written)
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        // The host commits only after complete assets, so the buffered events of the last one can be written.
        let tally = self.encoder.finish(&mut self.transport)?;
        self.committed = self.written(tally);
        self.transport.commit().map(Committed::from)
    }

    fn stored(&mut self) -> Result<()> {
        self.transport.stored()
    }

    fn close(self) -> Result<()> {
        self.transport.close();
        Ok(())
    }
}

register_output!(ArcSightCef);

impl ArcSightCef {
    /// The result of a call, including the events of the last commit, which cannot return them.
    fn written(&mut self, tally: Tally) -> Written {
        let earlier = std::mem::take(&mut self.committed);
        self.report.add(tally);
        Written::default()
            .with_rejected(self.encoder.take_rejected())
            .with_derived(earlier.derived + tally.derived)
            .with_bytes(earlier.bytes + self.transport.take_bytes())
    }
}

/// What a check says about syslog without TLS in FIPS mode.
const NOT_ENCRYPTED: &str =
    "not encrypted: events cross the network in the clear; `transport: tls` encrypts them";

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicU16, Ordering};

    use scanbridge_doubles::syslog_sink::SyslogSink;
    use scanbridge_plugin_api::batch::{
        AssetRow, BatchBuilder, Columns, DefinitionRow, FindingRow, RawBatch2,
    };
    use scanbridge_plugin_api::model::{AssetField, DefinitionField, FindingKind};
    use scanbridge_plugin_api::{ConnectorIdentity, ErrorKind, Options, PluginError};

    use super::*;
    use crate::syslog::{Header, HeaderSettings, HeaderStyle};

    const EVENTS: usize = 5;

    /// Findings 1 and 3 have a long result.
    fn batch() -> RawBatch2 {
        let mut batch = BatchBuilder::default();
        let mut asset = AssetRow::default();
        asset.set(AssetField::Address, "192.0.2.1");
        let asset = batch.push_asset(&asset, false);
        for number in 0..EVENTS {
            let mut definition = DefinitionRow::default();
            definition.set(DefinitionField::Id, &number.to_string());
            let definition = batch.push_definition(&definition);
            let mut row = FindingRow::default();
            row.set_kind(FindingKind::Vulnerability);
            row.set_printed("result", &"x".repeat(if number % 2 == 1 { 4000 } else { 1 }));
            batch.push_finding(asset, definition, &row);
        }
        batch.finish()
    }

    /// An output whose header leaves about 1,400 bytes of the largest datagram that the kernel accepts (65,507 bytes).
    fn output(options: &str, resolver: fn(&str, u16) -> std::io::Result<Vec<SocketAddr>>) -> ArcSightCef {
        let options = Options::read(options::TABLE, options.as_bytes()).unwrap();
        let header = Header::new(HeaderSettings {
            style: HeaderStyle::Rfc5424,
            facility: 16,
            severities: [6; 6],
            host: "h".repeat(64_000),
            app: "scanbridge".to_owned(),
        });
        ArcSightCef {
            preset: None,
            encoder: Encoder::new(
                event_settings(&options, &ConnectorIdentity::default()).unwrap(),
                usize::MAX,
            ),
            transport: Transport::udp(header, resolver),
            report: Tally::default(),
            committed: Written::default(),
            is_local: false,
            is_clear: false,
            defaults: CheckReport::default(),
        }
    }

    static PORT: AtomicU16 = AtomicU16::new(0);

    fn loopback(_: &str, _: u16) -> std::io::Result<Vec<SocketAddr>> {
        Ok(vec![([127, 0, 0, 1], PORT.load(Ordering::SeqCst)).into()])
    }

    fn write(options: &str) -> Result<Written, PluginError> {
        let mut output = output(options, loopback);
        let report = ReportStart::default();
        output.begin(&report, Begin::NEW)?;
        let written = output.write(Batch::of(&batch(), &Columns::of_report(&report)).unwrap())?;
        output.commit(CommitPoint::InReport)?;
        Ok(written)
    }

    /// The kernel refuses a datagram of more than 65,507 bytes (EMSGSIZE).
    #[test]
    fn datagram_that_the_socket_refuses_is_one_rejected_finding() {
        let sink = SyslogSink::udp();
        PORT.store(sink.address().port(), Ordering::SeqCst);
        let written = write(r#"{"path": "unused.cef"}"#).unwrap();
        assert_eq!(written.rejected.iter().map(|rejection| rejection.row).collect::<Vec<_>>(), [1, 3]);
        let reason = &written.rejected[0].reason;
        let size: usize = reason.split(' ').find_map(|word| word.parse().ok()).unwrap();
        assert!(
            size > 68_000 && size < 69_000 && reason.contains("set a smaller `max_message_bytes`"),
            "{reason}"
        );
        assert!(sink.wait_until(|connections| connections[0].datagrams.len() == 3));
        for (message, number) in sink.messages().iter().zip([0, 2, 4]) {
            let text = String::from_utf8_lossy(message);
            assert!(text.contains(&format!(r"\|VULN\|{number}|")), "{}", &text[64_000..]);
        }
        assert!(written.bytes < 2_000, "only sent events count: {}", written.bytes);

        // A buffered event may belong to an earlier batch, so the output fails, and not as an outage.
        let error = write(r#"{"path": "unused.cef", "order": "severity"}"#).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Rejected);
        assert!(error.message.contains("set a smaller `max_message_bytes`"), "{error}");
    }
}
