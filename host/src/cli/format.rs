//! Output formats of commands.

use clap::ValueEnum;

/// Output format of a command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Human-readable text
    #[default]
    Text,
    /// JSON
    Json,
}

/// Output format of the description of a plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum DescribeFormat {
    /// Human-readable text
    #[default]
    Text,
    /// JSON
    Json,
    /// The options as a table for the README of the plugin
    Markdown,
}

/// Output format of a list that may be long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// Human-readable text
    #[default]
    Text,
    /// One JSON object
    Json,
    /// One JSON object per line and entry
    Ndjson,
}

/// Format of the summary of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum SummaryFormat {
    /// Lines on standard output; on standard error when an output writes to standard output
    #[default]
    Text,
    /// One JSON object, the last line of standard output
    Json,
    /// Nothing if all was delivered, otherwise lines on standard error
    None,
}
