//! No code: the dependencies of this crate say with which features the workspace is built. See `Cargo.toml`.
