//! Tests through the public interface: the content of a directory before, during and after reports.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in what it calls too")]

mod devices;
mod folder;
mod processes;
mod report_file;
mod resume;
