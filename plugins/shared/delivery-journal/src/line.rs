//! One key as one line of text.

use xxhash_rust::xxh3::xxh3_64;

/// The line of a key: a checksum, a space, the key with its line breaks and backslashes escaped, a line break.
pub(crate) fn of(key: &str) -> String {
    let text = key.replace('\\', r"\\").replace('\n', r"\n").replace('\r', r"\r");
    format!("{} {text}\n", sum_of(&text))
}

/// The key of a line without its line break; `None` if the line is corrupt.
pub(crate) fn key(line: &[u8]) -> Option<String> {
    let (sum, text) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    if sum != sum_of(text) {
        return None;
    }
    let mut key = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        key.push(match char {
            '\\' => match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                _ => return None,
            },
            char => char,
        });
    }
    Some(key)
}

fn sum_of(text: &str) -> String {
    format!("{:016x}", xxh3_64(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_in_keys_are_escaped() {
        let line = of("a\\n\r\nb");
        assert_eq!(line.split_once(' ').unwrap().1, "a\\\\n\\r\\nb\n");
        assert_eq!(key(line.trim_end().as_bytes()).as_deref(), Some("a\\n\r\nb"));
    }

    #[test]
    fn corrupt_line_is_detected() {
        let line = of("/in/scan.xml");
        for (index, byte) in line.trim_end().bytes().enumerate() {
            // One of the flipped bits turns a lowercase hexadecimal digit into an uppercase one.
            for bit in 0..8 {
                let mut changed = line.trim_end().as_bytes().to_owned();
                changed[index] = byte ^ (1 << bit);
                assert_eq!(key(&changed), None, "byte {index}");
            }
        }
    }
}
