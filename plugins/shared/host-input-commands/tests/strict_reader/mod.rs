//! A reader as strict as the one that stock Defense Centers use (Perl's Text::CSV, spaces around fields allowed, not
//! in binary mode), written from its documented behavior alone.

/// The fields of a line, or the reason why the reader drops it.
pub(crate) fn fields(line: &str) -> Result<Vec<String>, String> {
    if let Some(byte) = line.bytes().find(|byte| !(0x20..0x7f).contains(byte) && *byte != b'\t') {
        return Err(format!("byte {byte:#04x}"));
    }
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let (field, after) = match rest.strip_prefix('"') {
            Some(text) => quoted(text)?,
            None => bare(rest)?,
        };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

/// A quoted field and what follows its comma.
fn quoted(text: &str) -> Result<(String, Option<&str>), String> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"').ok_or("no closing quote")?;
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => break,
        }
    }
    let rest = rest.trim_start_matches([' ', '\t']);
    match (rest.is_empty(), rest.strip_prefix(',')) {
        (true, _) => Ok((field, None)),
        (_, Some(after)) => Ok((field, Some(after))),
        _ => Err(format!("text after the closing quote: {rest}")),
    }
}

fn bare(text: &str) -> Result<(String, Option<&str>), String> {
    let (field, after) = match text.split_once(',') {
        Some((field, after)) => (field, Some(after)),
        None => (text, None),
    };
    if field.contains('"') {
        return Err(format!("a quote in a bare field: {field}"));
    }
    Ok((field.trim_end_matches([' ', '\t']).to_owned(), after))
}

#[test]
fn the_reader_is_as_strict_as_its_model() {
    assert_eq!(fields(r#" A, b c ,"d,""e""" ,,"#).unwrap(), ["A", "b c", "d,\"e\"", "", ""]);
    for bad in ["a\r", "é", "a\u{7f}", "a\u{1}", r#"a"b"#, r#""a"b"#, r#""a"#, r#""a\"b""#] {
        assert!(fields(bad).is_err(), "{bad}");
    }
}
