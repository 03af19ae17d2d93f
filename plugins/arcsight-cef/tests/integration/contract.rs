//! The plugin contract tests.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs;

use scanbridge_arcsight_cef::ArcSightCef;
use scanbridge_doubles::syslog_sink::{Framing, SinkBehavior, SyslogSink};
use serde_json::json;

use crate::network;
use crate::reader;

#[test]
fn plugin_contract() {
    let folder = tempfile::tempdir().unwrap();
    let number = Cell::new(0);
    let options = || {
        number.set(number.get() + 1);
        json!({ "path": folder.path().join(format!("{}.cef", number.get())) })
    };
    scanbridge_plugin_contract::output::<ArcSightCef>(options, |options| {
        let text = fs::read_to_string(options["path"].as_str().unwrap()).unwrap();
        assert!(text.lines().count() > 0);
        assert!(text.lines().all(|line| reader::read(line).is_ok()));
        text.into_bytes()
    });
}

#[test]
fn plugin_contract_over_the_network() {
    let sinks = RefCell::new(HashMap::new());
    let options = || {
        let sink = SyslogSink::tcp(Framing::OctetCounted, SinkBehavior::default());
        let address = sink.address();
        sinks.borrow_mut().insert(json!([address.to_string()]), sink);
        let more = json!({ "framing": "octet-counted", "syslog_header": "none", "derive": true });
        network::options("tcp", address, more)
    };
    scanbridge_plugin_contract::output_that_repeats::<ArcSightCef>(options, |options| {
        let messages = sinks.borrow()[&options["address"]].messages();
        assert!(!messages.is_empty());
        for message in &messages {
            assert!(message.len() <= 8000);
            reader::read(std::str::from_utf8(message).unwrap()).unwrap();
        }
        messages.concat()
    });
}
