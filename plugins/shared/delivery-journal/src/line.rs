//! One key as one line of text.

use xxhash_rust::xxh3::xxh3_64;

/// The line of a key: a checksum, a space, the key with its line breaks and backslashes escaped, a line break.
pub(crate) fn of(key: &str) -> String {
    let text = key.replace('\\', r"\\").replace('\n', r"\n").replace('\r', r"\r");
    format!("{} {text}\n", sum_of(&text))
}

/// The key of a line without its line break; none if the line is damaged.
pub(crate) fn key(line: &[u8]) -> Option<String> {
    let (sum, text) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    if sum != sum_of(text) {
        return None;
    }
    let mut key = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        key.push(match letter {
            '\\' => match letters.next()? {
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                _ => return None,
            },
            letter => letter,
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
    fn a_key_with_line_breaks_stays_on_its_line() {
        let line = of("a\\n\r\nb");
        assert_eq!(line.split_once(' ').unwrap().1, "a\\\\n\\r\\nb\n");
        assert_eq!(key(line.trim_end().as_bytes()).as_deref(), Some("a\\n\r\nb"));
    }

    #[test]
    fn a_changed_line_is_noticed() {
        let line = of("/in/scan.xml");
        for (place, byte) in line.trim_end().bytes().enumerate() {
            // Among them the one that makes a capital letter of a digit.
            for bit in 0..8 {
                let mut other = line.trim_end().as_bytes().to_owned();
                other[place] = byte ^ (1 << bit);
                assert_eq!(key(&other), None, "byte {place}");
            }
        }
    }
}
