//! Writes text as XML.

use std::io::{self, Write};

/// Writes `<NAME>text</NAME>` for a text without characters to escape.
pub(super) fn plain(out: &mut impl Write, name: &str, text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(out, "<{name}>{text}</{name}>")
}

/// Writes `<NAME><![CDATA[text]]></NAME>`. A `]]>` in the text splits the section.
pub(super) fn cdata(out: &mut impl Write, name: &str, text: &str) -> io::Result<()> {
    write!(out, "<{name}>")?;
    section(out, text)?;
    writeln!(out, "</{name}>")
}

/// Writes the text as one CDATA section, or as several if it contains `]]>`.
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

/// Writes the text with character references instead of CDATA; some are decimal or hexadecimal.
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
