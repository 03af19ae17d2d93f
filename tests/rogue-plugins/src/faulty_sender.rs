//! The output `FaultySender`: posts records to an HTTP server, correct unless the option `fault` names a fault. For the
//! tests of the exam.

use std::io::{BufRead, BufReader, Error, Write};
use std::net::TcpStream;

use scanbridge_plugin_api::batch::Batch;
use scanbridge_plugin_api::model::{DefinitionField, ReportEnd, ReportStart};
use scanbridge_plugin_api::{
    Begin, CheckReport, CommitPoint, Committed, ErrorKind, Open, OpenedOutput, OptionSpec, Output,
    OutputCapabilities, Partial, PluginError, Receipt, Result, Resume, Verdict, Written, register_output,
};

/// Records since the last commit are in memory. `commit` sends them.
struct FaultySender {
    fault: String,
    /// Host and port.
    server: String,
    path: String,
    lines: String,
    /// Number of bytes that the server has confirmed; the content of the receipt.
    sent: u64,
}

register_output!(FaultySender);

const FAULTS: &[&str] = &["none", "sends-in-check", "commits-before-it-sends", "sends-twice"];

impl Output for FaultySender {
    const NAME: &'static str = "FaultySender";
    const SUMMARY: &'static str = "records in the bodies of HTTP requests, with one fault on request";
    const OPTIONS: &'static [OptionSpec] = &[
        OptionSpec::choice("fault", FAULTS).default_text("none").help("The fault."),
        OptionSpec::url("url", &["http"]).required().help("The server."),
    ];
    const CAPABILITIES: OutputCapabilities =
        OutputCapabilities::NONE.resume(Resume::Repeats).partial(Partial::Adds);

    fn open(open: &Open<'_>, receipt: Option<&Receipt>) -> Result<OpenedOutput<Self>> {
        let url = open.options.url("url")?.expect("the option is required");
        let sent = receipt.map(|receipt| String::from_utf8_lossy(&receipt.0).parse()).transpose();
        let sent = sent.map_err(|_| {
            PluginError::config("the receipt is corrupt").with_hint("start from the beginning")
        })?;
        let fault = open.options.text("fault")?.unwrap_or_default().to_owned();
        let (server, path) = (url.endpoint.to_string(), format!("/{}", url.path.trim_start_matches('/')));
        Ok(Self { fault, server, path, lines: String::new(), sent: sent.unwrap_or_default() }.into())
    }

    fn check(&mut self) -> Result<CheckReport> {
        if self.fault == "sends-in-check" {
            self.post("a test\n").map_err(|error| self.unavailable(&error))?;
        }
        Ok(CheckReport::default().step("server", Verdict::Ok, self.server.clone()))
    }

    fn begin(&mut self, _: &ReportStart, _: Begin) -> Result<()> {
        Ok(())
    }

    fn write(&mut self, batch: Batch<'_>) -> Result<Written> {
        if self.fault == "commits-before-it-sends" {
            self.flush()?;
        }
        for finding in batch.findings() {
            let (address, definition) = (finding.asset().address(), finding.definition());
            let title = definition.get(DefinitionField::Title).replace(|c: char| c.is_control(), " ");
            self.lines += &format!("{address} {} {title}\n", definition.id());
        }
        Ok(Written::default())
    }

    fn end(&mut self, _: &ReportEnd) -> Result<Written> {
        Ok(Written::default())
    }

    fn commit(&mut self, _: CommitPoint) -> Result<Committed> {
        let receipt = Receipt((self.sent + self.lines.len() as u64).to_string().into_bytes());
        if self.fault != "commits-before-it-sends" {
            self.flush()?;
        }
        Ok(receipt.into())
    }

    fn close(mut self) -> Result<()> {
        if self.fault == "commits-before-it-sends" { self.flush() } else { Ok(()) }
    }
}

impl FaultySender {
    fn flush(&mut self) -> Result<()> {
        let times = if self.fault == "sends-twice" { 2 } else { 1 };
        for _ in 0..times {
            if !self.lines.is_empty() {
                self.post(&self.lines).map_err(|error| self.unavailable(&error))?;
            }
        }
        self.sent += self.lines.len() as u64;
        self.lines.clear();
        Ok(())
    }

    /// Sends a request and waits for the answer.
    fn post(&self, body: &str) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(&self.server)?;
        let (path, server, length) = (&self.path, &self.server, body.len());
        write!(stream, "POST {path} HTTP/1.1\r\nHost: {server}\r\nContent-Length: {length}\r\n\r\n{body}")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        if answer.contains(" 200 ") { Ok(()) } else { Err(Error::other(answer)) }
    }

    fn unavailable(&self, error: &Error) -> PluginError {
        PluginError::new(ErrorKind::Unavailable, format!("{}: {error}", self.server))
    }
}
