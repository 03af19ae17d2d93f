//! A received request.

/// One request.
#[derive(Debug, Clone, Default)]
pub struct ReceivedRequest {
    /// `GET`, `POST` …
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The decoded parameters of query and form, in their order.
    pub fields: Vec<(String, String)>,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The raw query.
    pub query: String,
    /// The raw body.
    pub body: Vec<u8>,
    /// Whether the client sent a certificate.
    pub has_client_certificate: bool,
}

impl ReceivedRequest {
    /// The value of a parameter.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a header. `name` must be in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The request as one line with decoded parameters: `POST /path name=value …`.
    #[must_use]
    pub fn line(&self) -> String {
        let fields: Vec<String> = self.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} {} {}", self.method, self.path, fields.join(" ")).trim_end().to_owned()
    }

    /// Whether each word of the pattern is the method, the path or a parameter (`name=value`) of the request.
    #[must_use]
    pub fn matches(&self, pattern: &str) -> bool {
        let fields = self.fields.iter().map(|(name, value)| format!("{name}={value}"));
        let words: Vec<String> = [self.method.clone(), self.path.clone()].into_iter().chain(fields).collect();
        pattern.split_whitespace().all(|wanted| words.iter().any(|word| word == wanted))
    }
}

/// Decodes `a=b&c=d`.
pub(super) fn fields(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(k, v)| (decode(k), decode(v)))
        .collect()
}

fn decode(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => {
                let hex = [*high, *low];
                let hex = std::str::from_utf8(&hex).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                bytes.push(hex.unwrap_or(b'?'));
                rest = after;
            }
            _ => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
