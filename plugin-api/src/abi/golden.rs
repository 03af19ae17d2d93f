//! Released tables never change: a dump of everything that crosses is compared with the one that was released.
//! The root module is not among them: its layout is compared by `abi_stable` whenever a library is loaded.

use std::fmt::Write;

use abi_stable::StableAbi;
use abi_stable::type_layout::TypeLayout;

use super::{HostTable1, InputTable1, NextFrame, OutputTable1, Status, WriteFrame, WrittenFrame};
use crate::batch::{RawBatch, RawDefinitions};

#[test]
fn nothing_that_crosses_has_changed_under_its_id() {
    let tables = [
        ("host/1", <HostTable1 as StableAbi>::LAYOUT),
        ("input/1", <InputTable1 as StableAbi>::LAYOUT),
        ("input/1 next", <NextFrame as StableAbi>::LAYOUT),
        ("output/1", <OutputTable1 as StableAbi>::LAYOUT),
        ("output/1 write", <WriteFrame<'static> as StableAbi>::LAYOUT),
        ("output/1 written", <WrittenFrame as StableAbi>::LAYOUT),
        ("status", <Status as StableAbi>::LAYOUT),
        ("batch", <RawBatch as StableAbi>::LAYOUT),
        ("batch definitions", <RawDefinitions as StableAbi>::LAYOUT),
    ];
    let dump: String = tables.into_iter().map(|(id, layout)| table(id, layout)).collect();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/abi/golden.txt");
    if std::env::var_os("SCANBRIDGE_NEW_TABLE").is_some() {
        std::fs::write(golden, &dump).unwrap();
    }
    assert_eq!(
        dump,
        std::fs::read_to_string(golden).unwrap(),
        "a released table changed; publish the change under a new id, and only then run this test with \
         SCANBRIDGE_NEW_TABLE=1 to record it"
    );
}

fn table(id: &str, layout: &'static TypeLayout) -> String {
    let mut text = format!("{id}: {} bytes, aligned to {}\n", layout.size(), layout.alignment());
    let mut offset = 0;
    for field in layout.get_fields().into_iter().flatten() {
        let (size, alignment) = (field.layout().size(), field.layout().alignment());
        offset = usize::next_multiple_of(offset, alignment);
        let _ = write!(text, "  {offset:>3} {} ", field.name());
        if field.is_function() {
            for function in field.function_range().iter() {
                // The lines after the first one tell lifetimes, which do not cross.
                let _ = writeln!(text, "{}", function.to_string().lines().next().unwrap_or_default());
            }
        } else {
            let _ = writeln!(text, "{}", field.full_type());
        }
        offset += size;
    }
    text + "\n"
}
