//! Remembers what was delivered, across runs.
