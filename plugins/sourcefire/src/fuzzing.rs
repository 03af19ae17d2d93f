//! Doors for fuzzing, and no part of what this crate promises: what a Defense Center says and what is stored, as bytes.

use scanbridge_plugin_api::Receipt;

use crate::packer::Body;
use crate::protocol::{HEADER_BYTES, Header, max_size};
use crate::receipt::Progress;
use crate::reply::{Judgment, judge};

/// Reads the first frame of a Defense Center: its header and what follows. Gives the largest size of a message.
#[must_use]
pub fn greeting(frame: &[u8]) -> Option<usize> {
    let (header, body) = frame.split_first_chunk::<HEADER_BYTES>()?;
    max_size("dc", Header::decode(*header).kind, body).ok()
}

/// Judges an answer to a message of three commands about three assets. Says whether it confirms all of them.
#[must_use]
pub fn answer(bytes: &[u8]) -> bool {
    let assets = ["192.0.2.1", "192.0.2.11", "2001:db8::1"];
    let body = Body::about(assets.into_iter().filter_map(|text| text.parse().ok()));
    judge("dc", &String::from_utf8_lossy(bytes), &body).is_ok_and(|judgment| judgment == Judgment::default())
}

/// Reads a receipt. Gives it as it is written again.
#[must_use]
pub fn receipt(bytes: &[u8]) -> Option<Vec<u8>> {
    let progress = Progress::read(&Receipt(bytes.to_vec())).ok()?;
    Some(progress.receipt().0)
}
