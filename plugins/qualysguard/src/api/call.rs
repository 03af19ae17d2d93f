//! Describes one API call.

use scanbridge_plugin_api::Secret;
use url::Url;

use crate::http::Keep;

/// An API call and the expected response.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// What the call does, as the start of a message: `launching the report`.
    pub(crate) what: &'static str,
    pub(crate) url: Url,
    pub(crate) post: bool,
    pub(crate) fields: Vec<(String, String)>,
    /// API v1: credentials are sent with each call, and errors have status 200.
    pub(crate) first_version: bool,
    /// Root elements of data responses; `""` is plain text. Short replies (`SIMPLE_RETURN`) are always
    /// accepted.
    pub(crate) roots: &'static [&'static str],
    /// File for the response body.
    pub(crate) keep: Keep,
    /// Wait and retry if a rate or concurrency limit is reached. False: fail at once.
    pub(crate) waits: bool,
}

impl Call {
    /// A POST to the API of version 2 and later.
    pub(crate) fn post(what: &'static str, url: Url, roots: &'static [&'static str]) -> Self {
        let (fields, keep) = (Vec::new(), Keep::Unnamed);
        Self { what, url, post: true, fields, first_version: false, roots, keep, waits: true }
    }

    /// A GET of version 1.
    pub(crate) fn first_version(what: &'static str, url: Url, roots: &'static [&'static str]) -> Self {
        Self { post: false, first_version: true, ..Self::post(what, url, roots) }
    }

    pub(crate) fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn fields(mut self, fields: impl IntoIterator<Item = (String, String)>) -> Self {
        self.fields.extend(fields);
        self
    }

    pub(crate) fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// Fails at once if a rate or concurrency limit is reached.
    pub(crate) fn without_waiting(mut self) -> Self {
        self.waits = false;
        self
    }

    /// The URL without its query, for messages.
    pub(crate) fn shown(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.to_string()
    }
}

/// Fields as a URL-encoded form.
pub(crate) fn form(fields: &[(String, String)]) -> Secret {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        form.append_pair(name, value);
    }
    Secret::new(form.finish())
}
