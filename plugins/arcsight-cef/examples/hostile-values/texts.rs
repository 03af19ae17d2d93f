//! Texts that try to break a line.

use std::error::Error;
use std::{env, fs};

use serde_json::Value;

/// Generates texts that try to break a line.
pub(crate) struct Texts {
    seed: u64,
    vectors: Vec<String>,
}

impl Texts {
    /// Generates the same texts in every run, including the external test values if there are any.
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        Ok(Self { seed: 1, vectors: external_values()? })
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // Xorshift: the same texts in every run.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as usize % bound
    }

    /// A text of any characters, at most `max_chars` of them.
    pub(crate) fn any(&mut self, max_chars: usize) -> String {
        const PIECES: [&str; 49] = [
            "|",
            "=",
            "\\",
            "\"",
            "'",
            "\t",
            "\r",
            "\n",
            "\r\n",
            " ",
            "  ",
            "\0",
            "\u{1}",
            "\u{1b}",
            "\u{7f}",
            "\u{85}",
            "\u{9c}",
            "\u{a0}",
            "\u{2028}",
            "\u{2029}",
            "\u{feff}",
            "\u{200b}",
            "\u{202e}",
            "\u{2066}",
            "\u{fe0f}",
            "\u{200f}",
            "é",
            "漢",
            "𝄞",
            "\u{10ffff}",
            "\\n",
            "\\=",
            "\\|",
            "\\\\",
            " dst=6.6.6.6",
            " | dst=",
            "cs1=",
            " key=",
            "CEF:0|",
            "CEF:0|a|b|c|d|e|5|",
            "\nCEF:0|a|",
            "<b>",
            "&lt;",
            "<!--",
            "%",
            "#",
            "word",
            "192.0.2.1",
            "x=y z",
        ];
        if !self.vectors.is_empty() && self.below(4) == 0 {
            let index = self.below(self.vectors.len());
            return self.vectors[index].chars().take(max_chars).collect();
        }
        let mut text = String::new();
        for _ in 0..self.below(12) {
            match self.below(6) {
                0 => text.push(char::from(b' ' + u8::try_from(self.below(95)).unwrap_or_default())),
                _ => text.push_str(PIECES[self.below(PIECES.len())]),
            }
        }
        text.chars().take(max_chars).collect()
    }

    /// A valid list item: without tabs and line feeds.
    pub(crate) fn item(&mut self, max_chars: usize) -> String {
        self.any(max_chars).replace(['\t', '\n'], " ")
    }

    /// A text that HTML can carry without loss: HTML has no consecutive line breaks, and no spaces around
    /// one.
    pub(crate) fn markup_free(&mut self, max_chars: usize) -> String {
        let text = self.any(max_chars).replace('&', "+");
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines.join("\n")
    }
}

/// Test values of other CEF readers, from the file that `SCANBRIDGE_CEF_VECTORS` names, if it is set.
fn external_values() -> Result<Vec<String>, Box<dyn Error>> {
    let Some(path) = env::var_os("SCANBRIDGE_CEF_VECTORS") else { return Ok(Vec::new()) };
    let mut values = Vec::new();
    for line in fs::read_to_string(path)?.lines() {
        let vector: Value = serde_json::from_str(line)?;
        values.extend(vector["value"].as_str().map(str::to_owned));
        for part in ["header", "ext"] {
            let texts = vector["expect"][part].as_object().into_iter().flatten();
            values.extend(texts.filter_map(|(_, text)| text.as_str().map(str::to_owned)));
        }
    }
    values.retain(|value| value.chars().count() <= 100);
    Ok(values)
}

pub(crate) fn as_html(text: &str) -> String {
    let escaped = text.replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    format!("<P>{}<!-- > --></P>\n", escaped.replace('\n', "<br />\r\n"))
}
