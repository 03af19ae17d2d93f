//! Each preset against each fault of a server: what the output reports, and that nothing is lost.

use std::collections::BTreeSet;
use std::path::Path;

use scanbridge_doubles::certificates::{Authority, Request};
use scanbridge_doubles::http_destination::{
    Bulk, DefectDojo, Destination, HttpDestination, Lines, Rude, SecOps, Sentinel, Splunk, Tokens,
};
use scanbridge_http::Http;
use scanbridge_plugin_api::batch::RawBatch2;
use scanbridge_plugin_api::{ErrorKind, Open, OpenFrame, Options, Output, Purpose, Result, Services};
use serde_json::{Value, json};

use crate::case::{self, batch_from};
use crate::google;

const MODES: [Rude; 20] = [
    Rude::AlertInHandshake(80),
    Rude::AlertInHandshake(40),
    Rude::AlertAfterRequest,
    Rude::Reset(0),
    Rude::Reset(20),
    Rude::Silent,
    Rude::Torn,
    Rude::Closed,
    Rude::Chunked,
    Rude::Unbounded,
    Rude::Slow,
    Rude::Continue,
    Rude::Page,
    Rude::Redirect,
    Rude::Noise,
    Rude::Status(401, None),
    Rude::Status(403, None),
    Rude::Status(404, None),
    Rude::Status(429, Some("0")),
    Rude::Status(503, None),
];

/// The error of a delivery, `None` for success.
fn expected(preset: &str, mode: Rude) -> Option<ErrorKind> {
    match mode {
        Rude::Closed | Rude::Chunked | Rude::Unbounded | Rude::Slow | Rude::Continue => None,
        // A response with status 204 has no body that could be incomplete.
        Rude::Torn if preset == "sentinel" => None,
        // A new token is tried once.
        Rude::Status(401, _) if ["sentinel", "google-secops"].contains(&preset) => None,
        Rude::Status(401 | 403, _) | Rude::AlertInHandshake(40) => Some(ErrorKind::Auth),
        Rude::Redirect | Rude::Status(404, _) => Some(ErrorKind::Config),
        Rude::Page | Rude::Noise => Some(ErrorKind::Protocol),
        _ => Some(ErrorKind::Unavailable),
    }
}

struct Case<D> {
    preset: &'static str,
    server: HttpDestination<D>,
    options: Value,
    /// The IDs of what has arrived.
    ids: fn(&mut D) -> BTreeSet<String>,
}

impl<D: Destination> Case<D> {
    fn run(&self, folder: &Path) {
        for (number, mode) in MODES.into_iter().enumerate() {
            // Any status 2xx of a webhook means delivered.
            if self.preset != "webhook" || mode != Rude::Page {
                self.mode(folder, mode, number * 4);
            }
        }
    }

    /// The fault comes on a connection that was used before; in a handshake, on a new one.
    fn mode(&self, folder: &Path, mode: Rude, first: usize) {
        let name = format!("{} {mode:?}", self.preset);
        let mut output = self.open(folder);
        deliver(&mut output, &batch_from(first, &["a", "b"], |_| {}))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let before = self.server.with(self.ids);
        if matches!(mode, Rude::AlertInHandshake(_)) {
            drop(output);
            output = self.open(folder);
        }
        self.server.be_rude([mode]);
        let second = batch_from(first + 2, &["c", "d"], |_| {});
        let error = deliver(&mut output, &second).err();
        assert_eq!(error.as_ref().map(|error| error.kind), expected(self.preset, mode), "{name}: {error:?}");
        drop(output);
        if error.is_some() {
            deliver(&mut self.open(folder), &second).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let after = self.server.with(self.ids);
        let arrived = after.len() - before.len();
        assert!(before.is_subset(&after) && arrived == 2, "{name}: {arrived}");
    }

    fn open(&self, folder: &Path) -> Http {
        let mut options = self.options.clone();
        options["tls_ca_file"] = folder.join("ca.pem").display().to_string().into();
        let options = Options::read(Http::OPTIONS, options.to_string().as_bytes()).unwrap();
        let services = Services::without_host(&folder.join("state"));
        let mut frame = OpenFrame::default();
        frame.purpose = Purpose::Run;
        Http::open(&Open::new(&options, &services, &frame), None).unwrap().plugin
    }
}

fn deliver(output: &mut Http, batch: &RawBatch2) -> Result<()> {
    case::deliver(output, std::slice::from_ref(batch))?;
    output.stored()
}

/// A directory with the certificate of a new authority, and a function that starts a destination with TLS.
fn with_tls<D: Destination>(destination: D) -> (tempfile::TempDir, HttpDestination<D>) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("Example Root CA");
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let tls = authority.server_config(&authority.issue(&Request::server(&["127.0.0.1"])), false);
    (folder, HttpDestination::start_tls(destination, tls))
}

/// The values at this place of some records.
fn ids_of(records: &[Value], pointer: &str) -> BTreeSet<String> {
    let id = |record: &Value| record.pointer(pointer).unwrap_or(record).to_string();
    records.iter().map(id).collect()
}

#[test]
fn webhook() {
    let (folder, server) = with_tls(Lines::default());
    let options = json!({ "preset": "webhook", "url": server.url(), "timeout": 5000 });
    let ids = |lines: &mut Lines| ids_of(&lines.received, "/record_id");
    Case { preset: "webhook", server, options, ids }.run(folder.path());
}

#[test]
fn splunk() {
    for preset in ["splunk-hec", "splunk-hec-raw"] {
        let (folder, server) = with_tls(Splunk { token: "t".to_owned(), ..Splunk::default() });
        let options = json!({ "preset": preset, "url": server.url(), "token": "t" });
        let ids = |splunk: &mut Splunk| ids_of(&splunk.events, "/fields/id");
        Case { preset, server, options, ids }.run(folder.path());
    }
}

#[test]
fn elasticsearch() {
    for preset in ["elasticsearch", "opensearch"] {
        let (folder, server) = with_tls(Bulk::default());
        let options = json!({ "preset": preset, "url": server.url() });
        let ids = |bulk: &mut Bulk| bulk.documents.keys().cloned().collect();
        let case = Case { preset, server, options, ids };
        case.run(folder.path());
        case.server.with(|bulk| assert_eq!(bulk.documents.len(), bulk.written.len(), "none twice"));
    }
}

#[test]
fn sentinel() {
    let tokens = Tokens { life: 3600, ..Tokens::default() };
    let (folder, server) = with_tls(Sentinel { tokens, ..Sentinel::default() });
    let options = json!({
        "preset": "sentinel", "url": server.url(), "oauth_token_url": format!("{}/token", server.url()),
        "oauth_client_id": "a", "oauth_client_secret": "b", "dcr": "dcr-1", "stream": "Custom-A_CL",
    });
    let ids = |sentinel: &mut Sentinel| {
        let rows: Vec<_> = sentinel.rows.iter().map(|(_, row)| row.clone()).collect();
        ids_of(&rows, "/RecordId")
    };
    Case { preset: "sentinel", server, options, ids }.run(folder.path());
}

#[test]
fn google_secops() {
    let tokens = Tokens { life: 3600, ..Tokens::default() };
    let (folder, server) = with_tls(SecOps { tokens, ..SecOps::default() });
    let Some(options) = google::options(folder.path(), &server.url()) else { return };
    let ids = |secops: &mut SecOps| ids_of(&secops.logs, "/labels/record_id/value");
    Case { preset: "google-secops", server, options, ids }.run(folder.path());
}

#[test]
fn defectdojo() {
    let (folder, server) = with_tls(DefectDojo { token: "t".to_owned(), ..DefectDojo::default() });
    let options =
        json!({ "preset": "defectdojo", "url": server.url(), "token": "t", "product_name": "Network" });
    let ids = |dojo: &mut DefectDojo| dojo.tests.values().flat_map(|known| known.keys().cloned()).collect();
    Case { preset: "defectdojo", server, options, ids }.run(folder.path());
}
