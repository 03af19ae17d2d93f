//! Pairs of a hostile plugin are refused, or have one ABI form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanbridge_plugin_api::keeper::{encode_changes, encode_pairs, parse_changes, parse_pairs};

fuzz_target!(|frame: &[u8]| {
    if let Ok(changes) = parse_changes(frame) {
        let encoded = encode_changes(&changes).expect("parsed changes keep the limits");
        assert_eq!(parse_changes(&encoded), Ok(changes));
        assert_eq!(encoded.len(), frame.len());
    }
    if let Ok(pairs) = parse_pairs(frame) {
        let encoded = encode_pairs(&pairs).expect("parsed pairs keep the limits");
        assert_eq!(parse_pairs(&encoded), Ok(pairs));
    }
});
