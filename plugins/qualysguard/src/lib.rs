//! Input `QualysGuard`.
#![deny(unsafe_code)]

mod api;
mod http;
mod options;
