//! Texts that attack a line.

use std::error::Error;
use std::{env, fs};

use serde_json::Value;

/// Makes texts that attack a line.
pub(crate) struct Texts {
    seed: u64,
    vectors: Vec<String>,
}

impl Texts {
    /// The same texts in every run, with those of others among them if there are any.
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        Ok(Self { seed: 1, vectors: foreign_values()? })
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // Xorshift: the same texts in every run.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as usize % bound
    }

    /// Up to `most` characters of anything.
    pub(crate) fn any(&mut self, most: usize) -> String {
        const PIECES: [&str; 44] = [
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
            return self.vectors[index].chars().take(most).collect();
        }
        let mut text = String::new();
        for _ in 0..self.below(12) {
            match self.below(6) {
                0 => text.push(char::from(b' ' + u8::try_from(self.below(95)).unwrap_or_default())),
                _ => text.push_str(PIECES[self.below(PIECES.len())]),
            }
        }
        text.chars().take(most).collect()
    }

    /// What an input may put into an item of a list: no tab, no line feed.
    pub(crate) fn item(&mut self, most: usize) -> String {
        self.any(most).replace(['\t', '\n'], " ")
    }

    /// A text that HTML can carry without loss: HTML has no consecutive line breaks, and no spaces around
    /// one.
    pub(crate) fn markup_free(&mut self, most: usize) -> String {
        let text = self.any(most).replace('&', "+");
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines.join("\n")
    }
}

/// Values that others test their readers with, if `SCANBRIDGE_CEF_VECTORS` names a file of them.
fn foreign_values() -> Result<Vec<String>, Box<dyn Error>> {
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
