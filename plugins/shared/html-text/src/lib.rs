//! Plain text out of the HTML fragments in which scanners write their texts. No input and no model: text in,
//! text out.

mod entity;
mod strip;

pub use strip::append_text;
