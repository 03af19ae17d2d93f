//! throw-away
#![allow(missing_docs)]
use scanbridge_plugin_api::Next;
use scanbridge_plugin_api::abi::{InputHandle, input_table};
use scanbridge_plugin_api::batch::RawBatch;
use scanbridge_plugin_contract::ExamHost;
use scanbridge_qualysguard_file::QualysGuardFile;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let mut json = format!("{{\"path\":[\"{path}\"],\"settle_secs\":0");
    if let Some(kb) = std::env::args().nth(2) {
        json.push_str(&format!(",\"knowledge_base\":\"{kb}\""));
    }
    json.push('}');
    let mut input = InputHandle::open(
        input_table::<QualysGuardFile>(),
        json.as_bytes(),
        "exam",
        "/tmp",
        ExamHost::new().table(),
        &[],
    )
    .unwrap();
    let mut recycled = RawBatch::default();
    let (mut n, mut bytes) = (0u64, 0u64);
    loop {
        match input.next(std::mem::take(&mut recycled)).unwrap() {
            Next::Batch { batch, .. } => {
                n += 1;
                bytes += batch.bytes.len() as u64;
                recycled = batch;
            }
            Next::Finished => break,
            Next::ReportEnd { end, .. } => println!("{end:?}"),
            Next::Refused(r) => println!("{r:?}"),
            _ => {}
        }
    }
    println!("{n} {bytes}");
}
