//! Encryption of chosen fields for one output, before its plugin gets them.
//!
//! Filters, routing, failover, retries and counts see clear values; a plugin that writes, renders or is sampled gets
//! encrypted ones, and so does everything that is kept of what it was given. The encryption of a single value is in
//! `scanbridge-field-encryption`.

mod cells;
mod cipher;
mod fields;
mod frozen;
mod lines;
mod secret;
mod settings;

pub(crate) use cipher::{Mode, OutputCipher};
pub(crate) use fields::{
    EncryptedField, FieldFormat, MAX_FIELDS, RECOMMENDED, find_field, selectable_fields,
};
pub(crate) use frozen::FrozenEncryption;
pub(crate) use lines::LineDecrypter;
pub(crate) use secret::{SecretSource, new_secret};
pub(crate) use settings::{Encryption, SECRET_HINT};
