//! Command-line arguments of the commands for encrypted fields.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use scanbridge_field_encryption::Format;

/// `scanbridge encrypt …`
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum EncryptCommand {
    /// Write a random secret into a new file that only you can read
    NewSecret {
        /// The file; it must not exist
        file: PathBuf,
    },
}

/// Arguments of `scanbridge decrypt`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DecryptArguments {
    /// Pipeline file
    pub file: PathBuf,
    /// The output with `encrypt` whose records are decrypted
    #[arg(long, value_name = "ID")]
    pub output: String,
    /// What is decrypted
    #[command(flatten)]
    pub input: DecryptInput,
    /// Encrypted values, for --format; without any, the lines of standard input
    #[arg(value_name = "VALUE", requires = "format")]
    pub values: Vec<String>,
}

/// What `scanbridge decrypt` reads.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[group(required = true, multiple = false)]
pub struct DecryptInput {
    /// Decrypt single values of this format: address, name, netbios, mac, hex, digits or text
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    pub format: Option<Format>,
    /// Decrypt the lines of the JSON output (`format: scanbridge`) on standard input. The only way to decrypt names in texts
    /// with the format `mentions`
    #[arg(long)]
    pub json: bool,
    /// Decrypt these keys of the CEF lines on standard input: dst=address,dhost=name
    #[arg(long, value_name = "KEY=FORMAT,…", value_parser = pair, value_delimiter = ',')]
    pub map: Vec<(String, Format)>,
}

fn format(text: &str) -> Result<Format, String> {
    let known = Format::ALL.into_iter().find(|format| format.word() == text);
    known.ok_or_else(|| {
        let words: Vec<_> = Format::ALL.iter().map(|format| format.word()).collect();
        format!("formats: {}", words.join(", "))
    })
}

fn pair(text: &str) -> Result<(String, Format), String> {
    let (key, word) = text.split_once('=').ok_or("must be KEY=FORMAT")?;
    Ok((key.to_owned(), format(word)?))
}
