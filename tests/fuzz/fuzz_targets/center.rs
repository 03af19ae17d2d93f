//! Parses any bytes as messages of a Defense Center, and as the saved state of a delivery to one. They are parsed or
//! rejected. Only the exact confirmation text counts as success. Parsed state is written back unchanged.
//!
//! The first byte selects the function.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use scanbridge_host_input_commands::{
    AddressSet, BlockLimits, CommandWriter, OPTIONS, Settings, put_number, take_number,
};
use scanbridge_plugin_api::Begin;
use scanbridge_plugin_api::Options;
use scanbridge_plugin_api::model::ReportStart;
use scanbridge_sourcefire::fuzzing;

/// The reply of a Defense Center that has executed all three commands of a message.
const DONE: &[u8] = b"Done processing 3 commands.\n";

/// Minimum size of a message with one finding, in bytes.
const MIN_SIZE: usize = 512;

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
    let [0, 0, 0, 1, _, _, _, _, body @ ..] = frame else { panic!("not a MAX_SIZE message: {frame:?}") };
    let announced = <[u8; 4]>::try_from(body).map(u32::from_be_bytes).expect("one number");
    assert!(size >= MIN_SIZE && u32::try_from(size) == Ok(announced));
}

fn receipt(bytes: &[u8]) {
    if let Some(written) = fuzzing::receipt(bytes) {
        assert_eq!(fuzzing::receipt(&written).as_ref(), Some(&written));
    }
}

fn writer(bytes: &[u8]) {
    let options = Options::read(OPTIONS, b"{}").expect("all have defaults");
    let mut writer =
        CommandWriter::new(Settings::read(&options, BlockLimits::default()).expect("the defaults are valid"));
    writer.begin(&ReportStart::default(), Begin::NEW);
    if writer.restore(bytes).is_ok() {
        let written = writer.snapshot();
        writer.begin(&ReportStart::default(), Begin::NEW);
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
