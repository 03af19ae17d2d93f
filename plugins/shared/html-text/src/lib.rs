//! Converts the HTML fragments in vulnerability texts to plain text. Independent of inputs and of the model.

mod entity;
mod strip;

pub use strip::{append_decoded, append_text, is_plain};
