//! Input `QualysGuard`.
#![deny(unsafe_code)]

mod http;
mod options;
mod tls;
