//! Skips the content of an element. For a well-formed element the result is the same as a parser's, but it is found
//! many times as fast.

use std::io::{self, BufRead, Read};

use quick_xml::reader::BinaryStream;

use crate::in_place::CDATA;
use crate::sanitizer::Sanitizer;

/// Skips to the end tag of the element `name`, whose start tag was read. `false` when the stream ends first.
///
/// In a well-formed element every `<` outside comments, CDATA and processing instructions begins a tag. In an
/// ill-formed element, a different end tag may be found. A caller that parses the element later must compare the
/// positions.
pub(crate) fn skip_to_end_of<R: Read>(
    name: &str,
    stream: &mut BinaryStream<'_, Sanitizer<R>>,
) -> io::Result<bool> {
    let mut depth = 0_u32;
    let mut is_last = false;
    loop {
        // Skipped bytes do not count towards the maximum length of an event.
        stream.get_mut().begin_event();
        let (skipped, next) = find_next(stream.get_ref().buffered(), name, is_last);
        stream.consume(skipped);
        match next {
            Next::NeedMore if is_last => return Ok(false),
            Next::NeedMore => is_last = !stream.get_mut().read_more()?,
            Next::Inside(terminator) => {
                if !skip_past(stream, terminator)? {
                    return Ok(false);
                }
            }
            Next::End if depth == 0 => return Ok(true),
            Next::End => {
                depth -= 1;
                stream.consume("</".len());
            }
            Next::Begin => depth += u32::from(!skip_start_tag(stream)?),
        }
    }
}

/// The construct at which the search stopped.
enum Next {
    /// None, or one that cannot be identified without more bytes.
    NeedMore,
    /// The inside of a construct that ends with this terminator.
    Inside(&'static str),
    /// The end tag of an element with the name.
    End,
    /// The start tag of an element with the name.
    Begin,
}

/// Returns the distance to the next construct, and its type. `is_last`: no bytes follow these.
fn find_next(bytes: &[u8], name: &str, is_last: bool) -> (usize, Next) {
    let enough = CDATA.len().max("</".len() + name.len() + ">".len());
    for at in memchr::memchr_iter(b'<', bytes) {
        let markup = &bytes[at..];
        if markup.len() < enough && !is_last {
            return (at, Next::NeedMore);
        }
        match markup.get(1) {
            Some(b'/') if is_tag(&markup[2..], name, b">") => return (at, Next::End),
            Some(b'!') if markup.starts_with(CDATA.as_bytes()) => {
                return (at + CDATA.len(), Next::Inside("]]>"));
            }
            Some(b'!') if markup.starts_with(b"<!--") => return (at + "<!--".len(), Next::Inside("-->")),
            Some(b'?') => return (at + "<?".len(), Next::Inside("?>")),
            Some(first) if *first == name.as_bytes()[0] && is_tag(&markup[1..], name, b">/") => {
                return (at, Next::Begin);
            }
            _ => {}
        }
    }
    (bytes.len(), Next::NeedMore)
}

/// Whether a tag has this name.
fn is_tag(tag: &[u8], name: &str, ends: &[u8]) -> bool {
    tag.starts_with(name.as_bytes())
        && tag.get(name.len()).is_some_and(|next| ends.contains(next) || next.is_ascii_whitespace())
}

/// Skips past the next `terminator`, across blocks. `false` if there is none.
fn skip_past<R: Read>(stream: &mut BinaryStream<'_, Sanitizer<R>>, terminator: &str) -> io::Result<bool> {
    loop {
        stream.get_mut().begin_event();
        let bytes = stream.get_ref().buffered();
        let found = memchr::memchr_iter(terminator.as_bytes()[0], bytes)
            .find(|at| bytes[*at..].starts_with(terminator.as_bytes()));
        if let Some(at) = found {
            stream.consume(at + terminator.len());
            return Ok(true);
        }
        let is_partial = |length: &usize| bytes.ends_with(&terminator.as_bytes()[..*length]);
        let partial = (1..terminator.len()).rev().find(is_partial).unwrap_or(0);
        stream.consume(bytes.len() - partial);
        if !stream.get_mut().read_more()? {
            return Ok(false);
        }
    }
}

/// Skips a start tag byte by byte, because it is rare. Returns whether the element is empty.
fn skip_start_tag<R: Read>(stream: &mut BinaryStream<'_, Sanitizer<R>>) -> io::Result<bool> {
    let (mut quote, mut last) = (None, 0);
    loop {
        stream.get_mut().begin_event();
        let Some(byte) = stream.fill_buf()?.first().copied() else { return Ok(false) };
        stream.consume(1);
        match (quote, byte) {
            (None, b'>') => return Ok(last == b'/'),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
        last = byte;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::Reader as Parser;
    use quick_xml::events::Event;

    use super::*;
    use crate::test_support::Pieces;

    /// The position of the end tag of `<L>`, with which `bytes` begin, as found by skipping. `None` if the bytes end
    /// first.
    fn skipped(bytes: &[u8], pieces: &[usize]) -> Option<u64> {
        let mut sanitizer = Sanitizer::new(Pieces::new(bytes, pieces));
        // Far less than is skipped, because skipped bytes must not count as one event.
        sanitizer.limit_events_to(Sanitizer::<Pieces<'_>>::BLOCK);
        let mut parser = Parser::from_reader(sanitizer);
        parser.read_event_into(&mut Vec::new()).unwrap();
        skip_to_end_of("L", &mut parser.stream()).unwrap().then(|| parser.buffer_position())
    }

    /// The position of the end tag of `<L>` as found by a parser. `None` if the content before it is ill-formed or
    /// incomplete.
    fn parsed(bytes: &[u8]) -> Option<u64> {
        let mut parser = Parser::from_reader(bytes);
        let mut depth = 0;
        loop {
            let before = parser.buffer_position();
            match parser.read_event_into(&mut Vec::new()).ok()? {
                Event::Start(tag) if !tag.contains('<') => depth += 1,
                Event::Empty(tag) if !tag.contains('<') => {}
                Event::End(_) if depth == 1 => return Some(before),
                Event::End(_) => depth -= 1,
                Event::Start(_) | Event::Empty(_) | Event::DocType(_) | Event::Eof => return None,
                _ => {}
            }
        }
    }

    #[test]
    fn other_end_tags_are_skipped() {
        for content in [
            "",
            "text &amp; <H a='>'>x</H><I/>",
            "<![CDATA[</L>]] > ]>]]>",
            "<![CDATA[]]><![CDATA[]]]]>",
            "<!----><!-- </L> - -> --></L2><L2></L2>",
            "<?x </L> > ?>",
            "<L></L><L a='/'> </L ><L/><L a='>' /><L\n>\u{20AC}</L>",
            "<LIST></LIST><L-1></L-1>",
        ] {
            for end in ["</L>", "</L >", "</L\n></R>"] {
                let complete = format!("<L>{content}{end}");
                for piece in [1, 2, 3, 5, 7, 64, usize::MAX] {
                    let expected = Some(3 + content.len() as u64);
                    assert_eq!(skipped(complete.as_bytes(), &[piece]), expected, "{complete} by {piece}");
                }
            }
            let unclosed = format!("<L>{content}");
            assert_eq!(skipped(unclosed.as_bytes(), &[usize::MAX]), None, "{unclosed}");
        }
    }

    #[test]
    fn content_across_blocks_is_skipped() {
        let block = Sanitizer::<Pieces<'_>>::BLOCK;
        for at in block - 30..block + 5 {
            let content = format!("{}<![CDATA[</L>\u{20AC}]]>\u{20AC}<!--</L>--><L/>", "x".repeat(at));
            let content = format!("{content}{}", "<H>y</H>".repeat(block));
            let complete = format!("<L>{content}</L>");
            assert_eq!(skipped(complete.as_bytes(), &[usize::MAX]), Some(3 + content.len() as u64), "{at}");
        }
    }

    const TOKENS: &[&str] = &[
        "<",
        ">",
        "&",
        "x",
        "]",
        "]]>",
        "<![CDATA[",
        "<!--",
        "-->",
        "-",
        "<?x",
        "?>",
        "</L>",
        "</L >",
        "<L>",
        "<L/>",
        "<L a=\">\">",
        "<L a='/' />",
        "</L2>",
        "<H>",
        "</H>",
        "<H a='1'/>",
        "\"",
        "'",
        "/",
        "\u{20AC}",
    ];

    /// Well-formed content for between `<L>` and `</L>`.
    fn well_formed() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "[a-z\u{20AC}\\]> -]{0,9}",
            "[a-z<>/L\\] -]{0,9}"
                .prop_filter("ends", |text| !text.contains("]]>"))
                .prop_map(|text| format!("<![CDATA[{text}]]>")),
            "[a-z<>/L\\]]{0,9}".prop_map(|text| format!("<!--{text}-->")),
            "[a-z<>/L\\]]{0,9}".prop_map(|text| format!("<?x {text} ?>")),
            Just("<L b='>' c=\"'/\"/>".to_owned()),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            (prop::sample::select(&["L", "LL", "H"][..]), prop::collection::vec(inner, 0..5))
                .prop_map(|(name, inner)| format!("<{name} a=\">\">{}</{name}>", inner.concat()))
        })
    }

    proptest! {
        #[test]
        fn same_end_as_the_parser(
            content in prop_oneof![
                well_formed(),
                prop::collection::vec(prop::sample::select(TOKENS), 0..30).prop_map(|tokens| tokens.concat()),
            ],
            pieces in prop::collection::vec(1_usize..20, 1..5),
            length in any::<prop::sample::Index>(),
        ) {
            let complete = format!("<L>{content}</L></R>");
            if let Some(end) = parsed(complete.as_bytes()) {
                prop_assert_eq!(skipped(complete.as_bytes(), &pieces), Some(end));
                prop_assert_eq!(skipped(complete.as_bytes(), &[usize::MAX]), Some(end));
                let length = 3 + length.index(usize::try_from(end).unwrap());
                prop_assert_eq!(skipped(&complete.as_bytes()[..length.min(complete.len())], &pieces), None);
            }
        }
    }
}
