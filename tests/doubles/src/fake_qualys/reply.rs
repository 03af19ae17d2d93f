//! A response, and the faults that it can have.

use std::io::Write;
use std::time::Duration;

/// One response.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) chunked: bool,
    /// Value of `Content-Length` instead of the real length.
    pub(super) content_length: Option<u64>,
    /// The connection is closed after this many bytes of the body.
    pub(super) truncate_at: Option<usize>,
    /// The connection is closed properly after the body.
    pub(super) close: bool,
    /// The body is sent in pieces of this size, in bytes, with this pause after each.
    pub(super) pieces: Option<(usize, Duration)>,
    /// Delay before the response.
    pub(super) delay: Duration,
    /// The connection is closed without a response.
    pub(super) no_response: bool,
    /// These bytes replace the entire response, including the status line.
    pub(super) raw: Option<Vec<u8>>,
}

impl Reply {
    /// A response with this status, content type and body.
    #[must_use]
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            body: body.into(),
            chunked: false,
            content_length: None,
            truncate_at: None,
            close: false,
            pieces: None,
            delay: Duration::ZERO,
            no_response: false,
            raw: None,
        }
    }

    /// An XML response with status 200.
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

    /// A `SIMPLE_RETURN` with a text and items, without a code.
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

    /// A `GENERIC_RETURN` of API v1, which has status 200 there even for failures.
    #[must_use]
    pub fn generic(number: u32, text: &str) -> Self {
        Self::xml(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<GENERIC_RETURN>\n  <API name=\"x.php\" username=\"echo-login\" \
             at=\"2026-04-01T00:00:00Z\"/>\n  <RETURN status=\"FAILED\" number=\"{number}\">{text}</RETURN>\n\
             </GENERIC_RETURN>\n<!-- Incident Signature: 0123 -->\n"
        ))
    }

    /// Sets the status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Truncates the response: closes the connection after this many bytes of the body, less than announced.
    #[must_use]
    pub fn truncate_at(mut self, bytes: usize) -> Self {
        self.truncate_at = Some(bytes);
        self
    }

    /// Sends the body with `Transfer-Encoding: chunked`.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Announces this length instead of the length of the body.
    #[must_use]
    pub fn content_length(mut self, bytes: u64) -> Self {
        self.content_length = Some(bytes);
        self
    }

    /// Announces no length: the end of the connection ends the body.
    #[must_use]
    pub fn until_close(mut self) -> Self {
        self.close = true;
        self
    }

    /// Sends the body in pieces of this size, in bytes, with a pause after each.
    #[must_use]
    pub fn in_pieces(mut self, bytes: usize, pause: Duration) -> Self {
        self.pieces = Some((bytes, pause));
        self
    }

    /// Waits before the response.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Closes the connection without a response.
    #[must_use]
    pub fn no_response() -> Self {
        Self { no_response: true, ..Self::xml("") }
    }

    /// Sends these bytes instead of a response, including the status line; then closes the connection.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { raw: Some(bytes.into()), ..Self::xml("") }
    }

    /// Compresses the body and adds `Content-Encoding: gzip`.
    ///
    /// # Panics
    /// Never: writing to memory does not fail.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&self.body).expect("writing to memory does not fail");
        self.body = encoder.finish().expect("writing to memory does not fail");
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
