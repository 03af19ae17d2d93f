//! An answer, and everything that can be wrong with one.

use std::io::Write;
use std::time::Duration;

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) chunked: bool,
    /// Said in place of the real length.
    pub(super) content_length: Option<u64>,
    /// The connection is closed behind so many bytes of the body.
    pub(super) cut: Option<usize>,
    /// The connection is closed behind the body, in good order.
    pub(super) close: bool,
    /// The body comes in pieces of this size with this pause between them.
    pub(super) drip: Option<(usize, Duration)>,
    /// Nothing is said for this time.
    pub(super) delay: Duration,
    /// Nothing is said at all: the connection is closed.
    pub(super) mute: bool,
    /// These bytes stand for the whole answer, from its first line on.
    pub(super) raw: Option<Vec<u8>>,
}

impl Reply {
    /// An answer of this status, content type and body.
    #[must_use]
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            body: body.into(),
            chunked: false,
            content_length: None,
            cut: None,
            close: false,
            drip: None,
            delay: Duration::ZERO,
            mute: false,
            raw: None,
        }
    }

    /// Status 200 with XML.
    #[must_use]
    pub fn xml(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, "text/xml;charset=UTF-8", body)
    }

    /// An HTML page.
    #[must_use]
    pub fn html(status: u16) -> Self {
        Self::new(
            status,
            "text/html",
            "<!DOCTYPE html>\n<html><head><title>x</title></head><body>x</body></html>\n",
        )
    }

    /// A `SIMPLE_RETURN` that says what was done.
    #[must_use]
    pub fn simple(text: &str, items: &[(&str, &str)]) -> Self {
        Self::xml(simple_return("", text, items))
    }

    /// A `SIMPLE_RETURN` with a code.
    #[must_use]
    pub fn code(status: u16, code: u32, text: &str) -> Self {
        Self::xml(simple_return(&format!("<CODE>{code}</CODE>"), text, &[])).status(status)
    }

    /// A `SIMPLE_RETURN` with a code and items.
    #[must_use]
    pub fn code_with(status: u16, code: u32, text: &str, items: &[(&str, &str)]) -> Self {
        Self::xml(simple_return(&format!("<CODE>{code}</CODE>"), text, items)).status(status)
    }

    /// A `GENERIC_RETURN` of API v1, with status 200 as there.
    #[must_use]
    pub fn generic(number: u32, text: &str) -> Self {
        Self::xml(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<GENERIC_RETURN>\n  <API name=\"x.php\" username=\"echo-login\" \
             at=\"2026-04-01T00:00:00Z\"/>\n  <RETURN status=\"FAILED\" number=\"{number}\">{text}</RETURN>\n\
             </GENERIC_RETURN>\n<!-- Incident Signature: 0123 -->\n"
        ))
    }

    /// Another status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// One header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The connection breaks off behind so many bytes of the body, although more were promised.
    #[must_use]
    pub fn cut(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    /// The body in chunks.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// A length that is not that of the body.
    #[must_use]
    pub fn content_length(mut self, bytes: u64) -> Self {
        self.content_length = Some(bytes);
        self
    }

    /// No length; the end of the connection is the end of the body.
    #[must_use]
    pub fn until_close(mut self) -> Self {
        self.close = true;
        self
    }

    /// The body in pieces of this size with a pause between them.
    #[must_use]
    pub fn drip(mut self, bytes: usize, pause: Duration) -> Self {
        self.drip = Some((bytes, pause));
        self
    }

    /// Silence first.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The connection is closed without an answer.
    #[must_use]
    pub fn mute() -> Self {
        Self { mute: true, ..Self::xml("") }
    }

    /// These bytes in place of an answer, from its first line on; then the connection is closed.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { raw: Some(bytes.into()), ..Self::xml("") }
    }

    /// The body packed, and a header that says so.
    ///
    /// # Panics
    /// Never: memory takes every byte.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&self.body).expect("memory takes every byte");
        self.body = packer.finish().expect("memory takes every byte");
        self.header("Content-Encoding", "gzip")
    }
}

fn simple_return(code: &str, text: &str, items: &[(&str, &str)]) -> String {
    let items: String = items
        .iter()
        .map(|(key, value)| format!("<ITEM><KEY>{key}</KEY><VALUE>{value}</VALUE></ITEM>"))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<!DOCTYPE SIMPLE_RETURN SYSTEM \
         \"https://qualysapi.example.com/api/2.0/simple_return.dtd\">\n<SIMPLE_RETURN>\n  <REQUEST>\
         <USER_LOGIN>echo-login</USER_LOGIN></REQUEST>\n  <RESPONSE>\n    \
         <DATETIME>2026-04-01T00:00:00Z</DATETIME>{code}\n    <TEXT>{text}</TEXT>\n    \
         <ITEM_LIST>{items}</ITEM_LIST>\n  </RESPONSE>\n</SIMPLE_RETURN>\n"
    )
}
