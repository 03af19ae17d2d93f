//! HTML pages instead of API responses: sign-in pages, maintenance pages, and pages of other servers.

use std::io::Read;

use scanbridge_qualys_xml::clean;

use crate::fingerprint::fingerprint;

/// An HTML page, as far as it is needed to decide whether a retry can help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HtmlPage {
    pub(super) kind: HtmlKind,
    /// The title; empty if there is none.
    title: String,
    /// Hash of the words that are not numbers, times or keys: two copies of a page have the same.
    words: String,
}

/// The purpose of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HtmlKind {
    /// A page that asks for a login, of Qualys, a proxy or a single sign-on.
    SignIn,
    /// The service is unavailable for some time.
    Maintenance,
    Other,
}

/// Only this many bytes of a page are read.
const MAX_BYTES: u64 = 256 << 10;
/// Longer words are keys.
const MAX_WORD: usize = 24;

/// Parts of pages that lead to a single sign-on, in lower case.
const SIGN_IN: [&str; 4] = ["samlrequest", "samlresponse", "/oauth2/authorize", "wsfed"];
/// Titles of sign-in pages, in lower case.
const SIGN_IN_TITLES: [&str; 8] =
    ["sign in", "sign-in", "signin", "sign on", "log in", "log-in", "login", "authentication"];
/// Words of maintenance pages, in lower case.
const MAINTENANCE: [&str; 9] = [
    "maintenance",
    "temporarily unavailable",
    "currently unavailable",
    "service unavailable",
    "temporarily down",
    "try again later",
    "be back soon",
    "be back shortly",
    "upgrade in progress",
];

impl HtmlPage {
    /// Reads a page. An error counts as its end.
    pub(super) fn read(source: impl Read) -> Self {
        let mut bytes = Vec::new();
        let _ = source.take(MAX_BYTES).read_to_end(&mut bytes);
        Self::of(&String::from_utf8_lossy(&bytes))
    }

    fn of(html: &str) -> Self {
        let given = html;
        // ASCII only, so that positions are the same in both.
        let html = given.to_ascii_lowercase();
        let shown = title(&html, given);
        let title = shown.to_ascii_lowercase();
        let markup: String = html.chars().filter(|c| !matches!(c, '"' | '\'' | ' ')).collect();
        let text = without_scripts(&html);
        let has_any = |text: &str, parts: &[&str]| parts.iter().any(|part| text.contains(part));
        let kind = if markup.contains("type=password") {
            HtmlKind::SignIn
        } else if has_any(&text, &MAINTENANCE) {
            HtmlKind::Maintenance
        } else if has_any(&markup, &SIGN_IN) || has_any(&title, &SIGN_IN_TITLES) {
            HtmlKind::SignIn
        } else {
            HtmlKind::Other
        };
        let is_constant =
            |word: &&str| word.len() <= MAX_WORD && !word.bytes().any(|byte| byte.is_ascii_digit());
        let separators = |c: char| c.is_whitespace() || "<>\"'=;,&".contains(c);
        let words: Vec<&str> = text.split(separators).filter(is_constant).collect();
        Self { kind, title: clean(shown), words: fingerprint(&words) }
    }

    /// True if both are copies of one page.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.words == other.words
    }

    /// The page for messages: `a sign-in page titled ...`.
    pub(super) fn describe(&self) -> String {
        let what = match self.kind {
            HtmlKind::SignIn => "a sign-in page (HTML)",
            HtmlKind::Maintenance => "a maintenance page (HTML)",
            HtmlKind::Other => "an HTML page",
        };
        match self.title.as_str() {
            "" => what.to_owned(),
            title => format!("{what} titled `{title}`"),
        }
    }
}

/// The title of a page; `html` is `given` in lower case.
fn title<'a>(html: &str, given: &'a str) -> &'a str {
    let Some(tag) = html.find("<title") else { return "" };
    let Some(begin) = html[tag..].find('>').map(|at| tag + at + 1) else { return "" };
    let end = html[begin..].find("</title").map_or(html.len(), |at| begin + at);
    given[begin..end].trim()
}

/// A page without scripts, styles and comments.
fn without_scripts(html: &str) -> String {
    let mut rest = html;
    let mut text = String::new();
    let parts = [("<script", "</script"), ("<style", "</style"), ("<!--", "-->")];
    loop {
        let next = parts.iter().filter_map(|(begin, end)| Some((rest.find(begin)?, begin, end))).min();
        let Some((at, begin, end)) = next else { return text + rest };
        text += &rest[..at];
        rest = &rest[at + begin.len()..];
        rest = rest.find(end).map_or("", |at| &rest[at + end.len()..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purpose_of_a_page_is_found() {
        for (html, kind) in [
            ("<form action=/login><input name=u><INPUT Type = \"Password\" name=p></form>", HtmlKind::SignIn),
            ("<input type='password'><p>Maintenance is planned for Sunday.</p>", HtmlKind::SignIn),
            ("<title>Corporate Sign-In</title><p>Enter your e-mail address</p>", HtmlKind::SignIn),
            ("<TITLE lang=en>\n Log in to proxy </TITLE>", HtmlKind::SignIn),
            (
                "<body onload='document.forms[0].submit()'><form><input type=hidden name=SAMLRequest value=x>",
                HtmlKind::SignIn,
            ),
            ("<h1>Scheduled Maintenance</h1><a href=/login>Log in</a>", HtmlKind::Maintenance),
            ("<h1>503 Service Unavailable</h1>", HtmlKind::Maintenance),
            ("<p>Qualys is temporarily unavailable. Please try again later.</p>", HtmlKind::Maintenance),
            ("<html><title>x</title><body>x</body></html>", HtmlKind::Other),
            ("<script>var maintenance = false; // login</script><h1>It works!</h1>", HtmlKind::Other),
            ("<!-- under maintenance --><style>.login{}</style><h1>Welcome to nginx</h1>", HtmlKind::Other),
            ("<p>Access to this site is blocked by your company.</p>", HtmlKind::Other),
            ("<script>maintenance", HtmlKind::Other),
            ("", HtmlKind::Other),
        ] {
            assert_eq!(HtmlPage::of(html).kind, kind, "{html}");
        }
    }

    #[test]
    fn copies_of_a_page_differ_in_keys_and_times_only() {
        let page = |time: &str, key: &str, text: &str| {
            HtmlPage::of(&format!(
                "<title>Blocked</title><p id={key}>{text} at {time}</p><script>{time}</script>"
            ))
        };
        let first = page("12:00:01", "5c9e", "Access denied");
        assert!(first.is_same(&page("12:00:31", "77aa0", "Access denied")));
        assert!(first.is_same(&page("12:00:31", "abcdefghijklmnopqrstuvwxyzabcdef", "Access denied")));
        assert!(!first.is_same(&page("12:00:01", "5c9e", "Gateway error")));
        assert_eq!(first.describe(), "an HTML page titled `Blocked`");
    }
}
