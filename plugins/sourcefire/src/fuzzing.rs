//! Entry points for fuzzing, not part of the stable interface: replies of a Defense Center, and stored receipts.

use scanbridge_plugin_api::Receipt;

use crate::packer::Body;
use crate::protocol::{HEADER_BYTES, Header, max_size};
use crate::receipt::Progress;
use crate::reply::{Evaluation, evaluate};

/// Reads the first frame of a Defense Center, header and body. Returns the maximum message size.
#[must_use]
pub fn greeting(frame: &[u8]) -> Option<usize> {
    let (header, body) = frame.split_first_chunk::<HEADER_BYTES>()?;
    max_size("dc", Header::decode(*header).kind, body).ok()
}

/// Evaluates a reply to a message of three commands about three assets. Returns true if it confirms all of them.
#[must_use]
pub fn answer(bytes: &[u8]) -> bool {
    let assets = ["192.0.2.1", "192.0.2.11", "2001:db8::1"];
    let body = Body::about(assets.into_iter().filter_map(|text| text.parse().ok()));
    evaluate("dc", &String::from_utf8_lossy(bytes), &body)
        .is_ok_and(|evaluation| evaluation == Evaluation::default())
}

/// Reads a receipt and writes it again.
#[must_use]
pub fn receipt(bytes: &[u8]) -> Option<Vec<u8>> {
    let progress = Progress::read(&Receipt(bytes.to_vec())).ok()?;
    Some(progress.receipt().0)
}
