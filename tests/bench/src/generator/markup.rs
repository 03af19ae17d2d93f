//! Text as XML.

use std::io::{self, Write};

/// `<NAME>text</NAME>` for a text that needs no escape.
pub(super) fn plain(out: &mut impl Write, name: &str, text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(out, "<{name}>{text}</{name}>")
}

/// `<NAME><![CDATA[text]]></NAME>`, split where the text holds the end mark itself.
pub(super) fn cdata(out: &mut impl Write, name: &str, text: &str) -> io::Result<()> {
    write!(out, "<{name}>")?;
    section(out, text)?;
    writeln!(out, "</{name}>")
}

/// The text as one CDATA section, or as several when it holds `]]>`.
pub(super) fn section(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(b"<![CDATA[")?;
    for (index, part) in text.split("]]>").enumerate() {
        if index > 0 {
            out.write_all(b"]]]]><![CDATA[>")?;
        }
        out.write_all(part.as_bytes())?;
    }
    out.write_all(b"]]>")
}

/// The text with references instead of forbidden characters, decimal and hexadecimal ones among them.
pub(super) fn references(out: &mut impl Write, text: &str) -> io::Result<()> {
    for character in text.chars() {
        match character {
            '&' => out.write_all(b"&amp;")?,
            '<' => out.write_all(b"&lt;")?,
            '>' => out.write_all(b"&gt;")?,
            '"' => out.write_all(b"&quot;")?,
            '\'' => out.write_all(b"&#39;")?,
            '\r' => out.write_all(b"&#xD;")?,
            other => write!(out, "{other}")?,
        }
    }
    Ok(())
}
