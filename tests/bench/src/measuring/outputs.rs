//! The cost of one scan for each kind of output: files, and receivers over TCP and TLS.

use std::io::Write;

use scanbridge_doubles::certificates::{Authority, Request};
use scanbridge_doubles::syslog_sink::{Framing, SinkBehavior, SyslogSink};

use super::bound::Bound;
use super::run::interleaved;
use super::stage::{Report, Stage, StageError, shape};
use super::table;
use crate::generator::{Extent, Format};

impl Stage {
    /// Measures the delivery of one scan into each of these outputs and prints the medians. The receivers run in the
    /// measuring process, so their cost is not counted.
    ///
    /// # Errors
    /// Fails if the report cannot be written, if the host fails or reports wrong counts, or if a receiver does not have
    /// every event.
    pub fn outputs(
        &self,
        megabytes: u64,
        rounds: usize,
        out: &mut impl Write,
    ) -> Result<Vec<Bound>, StageError> {
        let report =
            self.report("outputs", shape(Format::Scan, Extent::Bytes(megabytes * 1_000_000), 1000))?;
        let csv = self.folder.join("outputs.csv");
        for (name, output) in [
            ("CEF to /dev/null", "plugin: ArcSightCEF, with: { path: /dev/null }".to_owned()),
            ("CSV to /dev/null", "plugin: CSV, with: { path: /dev/null }".to_owned()),
            ("CSV file", format!("plugin: CSV, with: {{ path: {csv:?} }}")),
            ("commands in a file", "plugin: CSV, with: { path: /dev/null, format: host-input }".to_owned()),
        ] {
            self.output(name, &output, &report, rounds, out)?;
        }
        let _ = std::fs::remove_file(csv);

        let authority = Authority::new("Example Root CA");
        let ca_file = authority.write_pem(&self.folder, "outputs-ca.pem");
        let server = authority.server_config(&authority.issue(&Request::server(&["127.0.0.1"])), false);
        for confirm in ["end", "arrival"] {
            let sink = SyslogSink::tcp(Framing::OctetCounted, SinkBehavior::default());
            let transport = "transport: tcp, framing: octet-counted".to_owned();
            self.receiver(&format!("TCP, confirm: {confirm}"), &sink, &transport, confirm, &report, out)?;
            let sink = SyslogSink::tls(Framing::OctetCounted, SinkBehavior::default(), server.clone());
            let transport = format!("transport: tls, tls_ca_file: {ca_file:?}");
            self.receiver(&format!("TLS, confirm: {confirm}"), &sink, &transport, confirm, &report, out)?;
        }
        report.remove();
        Ok(Vec::new())
    }

    /// Delivers once, because the receiver keeps all events.
    fn receiver(
        &self,
        name: &str,
        sink: &SyslogSink,
        transport: &str,
        confirm: &str,
        report: &Report,
        out: &mut impl Write,
    ) -> Result<(), StageError> {
        let output = format!(
            "plugin: ArcSightCEF, with: {{ {transport}, address: '{}', confirm: {confirm} }}",
            sink.address()
        );
        let program = self.host_into(&format!("{{ id: out, {output} }}"), report, None)?;
        let run = program.run()?;
        report.check_summary()?;
        let (received, sent) = (sink.messages().len() as u64, report.counts.findings.total());
        if received < sent {
            return Err(StageError::new(name, format!("{received} of {sent} events arrived")));
        }
        table::print(out, name, &[program], &[vec![run]])
    }

    fn output(
        &self,
        name: &str,
        output: &str,
        report: &Report,
        rounds: usize,
        out: &mut impl Write,
    ) -> Result<(), StageError> {
        let programs = [self.host_into(&format!("{{ id: out, {output} }}"), report, None)?];
        let runs = interleaved(&programs, rounds)?;
        report.check_summary()?;
        table::print(out, name, &programs, &runs)
    }
}
