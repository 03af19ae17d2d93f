//! The outputs into which a report is delivered: files, and receivers that run in the measuring process.

use std::fs;
use std::path::PathBuf;

use scanbridge_doubles::certificates::{Authority, Pkcs12, Request};
use scanbridge_doubles::fake_defense_center::FakeDefenseCenter;
use scanbridge_doubles::syslog_sink::{Connection, Framing, SinkBehavior, SyslogSink};

use crate::generator::Counts;
use crate::measuring::stage::{Stage, StageError};

/// A kind of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::measuring) enum Destination {
    /// CEF to `/dev/null`.
    CefNull,
    /// A CEF file.
    CefFile,
    /// CEF over loopback TCP; each commit closes the connection (`confirm: end`).
    CefTcp,
    /// CEF over loopback TCP; each commit waits for acknowledgement (`confirm: arrival`).
    CefTcpArrival,
    /// CEF over loopback TLS; each commit closes the connection.
    CefTls,
    /// CEF over loopback TLS; each commit waits for acknowledgement.
    CefTlsArrival,
    /// A CSV table.
    Csv,
    /// A JSON file.
    Json,
    /// Commands for the host input of a Defense Center, in a file.
    Commands,
    /// The fake Defense Center.
    DefenseCenter,
}

/// An output that is ready for runs of the host.
pub(in crate::measuring) struct OpenDestination {
    /// The output as in a pipeline file.
    pub(in crate::measuring) output: String,
    peer: Peer,
}

/// Where the records arrive.
enum Peer {
    Null,
    File(PathBuf),
    Syslog(SyslogSink),
    DefenseCenter(Box<FakeDefenseCenter>),
}

impl Destination {
    /// Its name in results.
    pub(in crate::measuring) fn name(self) -> &'static str {
        match self {
            Self::CefNull => "cef-null",
            Self::CefFile => "cef",
            Self::CefTcp => "cef-tcp",
            Self::CefTcpArrival => "cef-tcp-arrival",
            Self::CefTls => "cef-tls",
            Self::CefTlsArrival => "cef-tls-arrival",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Commands => "commands",
            Self::DefenseCenter => "defense-center",
        }
    }

    /// Prepares runs into this output; starts the receiver, if it needs one.
    pub(in crate::measuring) fn open(self, stage: &Stage) -> Result<OpenDestination, StageError> {
        let (settings, peer) = match self {
            Self::CefNull => ("plugin: ArcSightCEF, with: { path: /dev/null }".to_owned(), Peer::Null),
            Self::CefFile => stage.output_file("ArcSightCEF", ""),
            Self::Csv => stage.output_file("CSV", ""),
            Self::Json => stage.output_file("JSON", ""),
            Self::Commands => stage.output_file("CSV", "format: host-input, source: Scanner"),
            Self::CefTcp => stage.syslog("end", false),
            Self::CefTcpArrival => stage.syslog("arrival", false),
            Self::CefTls => stage.syslog("end", true),
            Self::CefTlsArrival => stage.syslog("arrival", true),
            Self::DefenseCenter => stage.fake_defense_center()?,
        };
        Ok(OpenDestination { output: format!("{{ id: out, {settings} }}"), peer })
    }
}

impl Stage {
    fn output_file(&self, plugin: &str, options: &str) -> (String, Peer) {
        let file = self.folder.join("output");
        (format!("plugin: {plugin}, with: {{ path: {file:?}, {options} }}"), Peer::File(file))
    }

    fn syslog(&self, confirm: &str, is_tls: bool) -> (String, Peer) {
        let (framing, behavior) = (Framing::OctetCounted, SinkBehavior::default());
        let (sink, transport) = if is_tls {
            let authority = Authority::new("Example Root CA");
            let ca_file = authority.write_pem(&self.folder, "receiver-ca.pem");
            let server = authority.server_config(&authority.issue(&Request::server(&["127.0.0.1"])), false);
            (SyslogSink::tls(framing, behavior, server), format!("transport: tls, tls_ca_file: {ca_file:?}"))
        } else {
            (SyslogSink::tcp(framing, behavior), "transport: tcp".to_owned())
        };
        let settings = format!(
            "plugin: ArcSightCEF, with: {{ {transport}, framing: octet-counted, address: '{}', confirm: {confirm} }}",
            sink.address()
        );
        (settings, Peer::Syslog(sink))
    }

    fn fake_defense_center(&self) -> Result<(String, Peer), StageError> {
        let center = FakeDefenseCenter::start();
        let client = center
            .client_file(&self.folder, "shapes.pkcs12", "", Pkcs12::DefenseCenter)
            .ok_or_else(|| StageError::new("client file", "openssl, which makes it, is not installed"))?;
        let settings = format!(
            "plugin: Sourcefire, with: {{ server: 127.0.0.1, port: {}, pkcs12: {client:?}, add_host: yes, \
             kinds: [vulnerability, potential, information, service] }}",
            center.port()
        );
        Ok((settings, Peer::DefenseCenter(Box::new(center))))
    }
}

impl OpenDestination {
    /// Checks that a run of a report with these counts arrived, and removes what arrived.
    ///
    /// # Errors
    /// Fails if a file is missing or empty, or if a receiver does not have every event.
    pub(in crate::measuring) fn accept_run(&self, counts: &Counts) -> Result<(), StageError> {
        match &self.peer {
            Peer::Null => Ok(()),
            Peer::File(path) => {
                let written =
                    fs::metadata(path).map_err(|error| StageError::new(path.display(), error))?.len();
                let _ = fs::remove_file(path);
                if written == 0 {
                    Err(StageError::new(path.display(), "the host wrote nothing"))
                } else {
                    Ok(())
                }
            }
            Peer::Syslog(sink) => {
                // The host has closed its connections; the receiver may not have read all yet.
                let is_closed = |connections: &[Connection]| {
                    connections.iter().all(|connection| connection.end.is_some())
                };
                let _ = sink.wait_until(is_closed);
                let (received, sent) = (sink.take_messages().len() as u64, counts.findings.total());
                if received >= sent {
                    return Ok(());
                }
                Err(StageError::new("syslog receiver", format!("{received} of {sent} events arrived")))
            }
            Peer::DefenseCenter(center) => {
                center.wait_until_idle();
                let messages = center.message_count();
                center.reset();
                if messages > 0 {
                    Ok(())
                } else {
                    Err(StageError::new("Defense Center", "no message arrived"))
                }
            }
        }
    }
}
