//! What every plugin promises the host.

use std::cell::Cell;
use std::fs;

use scanbridge_arcsight_cef::ArcSightCef;
use serde_json::json;

use crate::reader;

#[test]
fn the_plugin_passes_the_exam() {
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
