//! Any bytes from a Defense Center, and where a delivery to one is remembered: refused or read; only the one text
//! that confirms a message is success; what was read is written again as it was.
//!
//! The first byte says what the rest is.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use scanbridge_host_input_commands::{
    AddressSet, BlockLimits, CommandWriter, OPTIONS, Settings, put_number, take_number,
};
use scanbridge_plugin_api::Options;
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_sourcefire::fuzzing;

/// What the Defense Center says of a message of three commands that it took whole.
const DONE: &[u8] = b"Done processing 3 commands.\n";

/// The least size of a message that leaves room for one finding.
const LEAST_SIZE: usize = 512;

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((first, rest)) = input.split_first() else { return Corpus::Reject };
    match first % 6 {
        0 => greeting(rest),
        1 | 2 => assert_eq!(fuzzing::answer(rest), rest == DONE),
        3 => receipt(rest),
        4 => writer(rest),
        _ => numbers(rest),
    }
    Corpus::Keep
});

fn greeting(frame: &[u8]) {
    let Some(size) = fuzzing::greeting(frame) else { return };
    let [0, 0, 0, 1, _, _, _, _, body @ ..] = frame else { panic!("no MAX_SIZE: {frame:?}") };
    let said = <[u8; 4]>::try_from(body).map(u32::from_be_bytes).expect("one number");
    assert!(size >= LEAST_SIZE && u32::try_from(size) == Ok(said));
}

fn receipt(bytes: &[u8]) {
    if let Some(written) = fuzzing::receipt(bytes) {
        assert_eq!(fuzzing::receipt(&written).as_ref(), Some(&written));
    }
}

fn writer(bytes: &[u8]) {
    let options = Options::read(OPTIONS, b"{}").expect("all have defaults");
    let mut writer =
        CommandWriter::new(Settings::read(&options, BlockLimits::default()).expect("the defaults are sound"));
    writer.begin(&ReportStart::default());
    if writer.restore(bytes).is_ok() {
        let written = writer.snapshot();
        writer.begin(&ReportStart::default());
        assert_eq!(writer.restore(&written), Ok(()));
        assert_eq!(writer.snapshot(), written);
    }
    let mut rest = bytes;
    if let Ok(addresses) = AddressSet::restore(&mut rest) {
        let mut written = Vec::new();
        addresses.save(&mut written);
        assert_eq!(AddressSet::restore(&mut written.as_slice()), Ok(addresses));
    }
}

fn numbers(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(number) = take_number(&mut rest) {
        let mut written = Vec::new();
        put_number(&mut written, number);
        assert_eq!(take_number(&mut written.as_slice()), Ok(number));
    }
}
