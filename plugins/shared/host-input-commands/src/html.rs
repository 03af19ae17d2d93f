//! Plain text out of the HTML fragments in which scanners write their texts.

use memchr::memchr;

/// Calls `letter` for each letter of the text, with tags left out (those that part lines leave a blank) and
/// entities resolved, until it returns false.
///
/// What only looks like HTML stays: `a < b`, `AT&T`, an unclosed `<b`. Takes time linear in the text.
pub(crate) fn plain_text(html: &str, mut letter: impl FnMut(char) -> bool) {
    let mut rest = html;
    // Without this, a text of nothing but `<b<b<b` would be searched to its end for each of them.
    let mut tags_end = true;
    while let Some(first) = rest.chars().next() {
        let (shown, length) = match first {
            '<' if tags_end && opens_tag(rest) => match memchr(b'>', rest.as_bytes()) {
                Some(end) => (parts_lines(&rest[1..end]).then_some(' '), end + 1),
                None => {
                    tags_end = false;
                    (Some('<'), 1)
                }
            },
            '&' => entity(rest).map_or((Some('&'), 1), |(shown, length)| (Some(shown), length)),
            other => (Some(other), other.len_utf8()),
        };
        if shown.is_some_and(|shown| !letter(shown)) {
            return;
        }
        rest = &rest[length..];
    }
}

fn opens_tag(text: &str) -> bool {
    text.as_bytes()
        .get(1)
        .is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'/' | b'!' | b'?'))
}

/// Whether a tag parts what stands before it from what comes after; `tag` is what stands between the brackets.
fn parts_lines(tag: &str) -> bool {
    let name = tag.trim_start_matches('/');
    let end = name.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(name.len());
    !INLINE.iter().any(|inline| inline.eq_ignore_ascii_case(&name[..end]))
}

const INLINE: [&str; 15] =
    ["a", "b", "i", "u", "s", "em", "strong", "font", "span", "code", "tt", "sup", "sub", "small", "big"];

/// The letter that an entity at the head of the text stands for, and the entity's length.
fn entity(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(MAX_ENTITY).position(|byte| byte == b';')?;
    let name = text.get(1..end)?;
    let letter = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
        None => NAMED.iter().find(|(named, _)| *named == name)?.1,
    };
    Some((letter, end + 1))
}

const MAX_ENTITY: usize = 10;

/// The entities that scanners' texts are known to use.
const NAMED: [(&str, char); 20] = [
    ("lt", '<'),
    ("gt", '>'),
    ("amp", '&'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bull", '•'),
    ("middot", '·'),
    ("hellip", '…'),
    ("deg", '°'),
    ("times", '×'),
];

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    fn plain(html: &str) -> String {
        let mut text = String::new();
        super::plain_text(html, |letter| {
            text.push(letter);
            true
        });
        text
    }

    #[test]
    fn tags_go_and_words_stay_apart() {
        assert_eq!(plain("Use <B>TLS</B>.<P>Or <A HREF=\"x\">this</A><br/>now"), "Use TLS. Or this now");
        assert_eq!(plain("<!-- no -->a<?x?>b"), " a b");
    }

    #[test]
    fn what_only_looks_like_html_stays() {
        for text in ["a < b && c > d", "AT&T; &unknown; &#xZZ; &", "1 <b", "<", "<<b", "&#55296;"] {
            assert_eq!(plain(text), text);
        }
    }

    #[test]
    fn entities_are_resolved_once() {
        assert_eq!(plain("&lt;b&gt; &amp;lt; &#65;&#x42; &quot;x&quot;"), "<b> &lt; AB \"x\"");
    }

    #[test]
    fn hostile_texts_take_linear_time() {
        let start = Instant::now();
        for piece in ["<b", "<b>", "&", "&#", "<!"] {
            plain(&piece.repeat(1_000_000));
        }
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
