//! Classifies responses by status, root element and code. Status 200 alone does not mean success, and status
//! 409 has four meanings.

use std::time::Duration;

use scanbridge_plugin_api::{ErrorKind, PluginError};
use scanbridge_qualys_xml::{Kind, Reply};

use super::call::Call;
use super::html_page::{HtmlKind, HtmlPage};
use crate::http::to_wait;
use crate::options::{Account, Platform};

/// The action that a response requires.
#[derive(Debug)]
pub(crate) enum ResponseAction {
    /// The requested data.
    Data,
    /// Success, with a short reply.
    Done,
    /// The report is not ready, or does not exist.
    NotReady,
    /// The concurrency limit for calls or reports is reached.
    Busy,
    /// The rate limit is reached; the time to wait, if Qualys reports it.
    Rate(Option<Duration>),
    /// The gateway or a server in between asks to retry later (status 202).
    Later(Option<Duration>),
    /// The platform does not offer this call, or not in this version.
    NotOffered(PluginError),
    /// An HTML page instead of a response: repeat the call once. This error if the page comes again.
    Repeat(PluginError),
    /// The call failed; true if a smaller request may succeed.
    Failed(PluginError, bool),
}

/// The parts of a response needed to classify it.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) status: u16,
    pub(crate) kind: &'a Kind,
    /// Present if the response is a short reply or contains an error.
    pub(crate) reply: Option<&'a Reply>,
    /// Present if the response is an HTML page.
    pub(crate) page: Option<&'a HtmlPage>,
    /// The wait requested by the headers.
    pub(crate) wait: Option<Duration>,
    /// The target of a redirect, without its query.
    pub(crate) location: Option<&'a str>,
}

/// Classifies a response.
pub(crate) fn classify(call: &Call, seen: &Seen<'_>, account: &Account) -> ResponseAction {
    if let Some(reply) = seen.reply.filter(|reply| !reply.is_success())
        && let Some(action) = of_code(call, seen, reply, account)
    {
        return action;
    }
    // This limit is reported without a code and looks like success.
    if seen.reply.is_some_and(|reply| is_full(&reply.text)) {
        return ResponseAction::Busy;
    }
    match seen.status {
        200..=201 => of_body(call, seen),
        202 => ResponseAction::Later(seen.wait),
        300..=399 => ResponseAction::Failed(redirected(call, seen), false),
        401 => ResponseAction::Failed(login_refused(call, seen, account), false),
        403 => ResponseAction::Failed(forbidden(call, seen), false),
        404 | 410 => ResponseAction::NotOffered(not_offered(call, seen.status)),
        429 => ResponseAction::Rate(seen.wait),
        500 | 504 => ResponseAction::Failed(unavailable(call, seen), true),
        501..=599 => ResponseAction::Failed(unavailable(call, seen), false),
        409 => ResponseAction::Failed(unavailable(call, seen), false),
        _ => ResponseAction::Failed(rejected(call, seen), false),
    }
}

/// Classifies by the code of a short reply; `None` if the code is unknown.
fn of_code(call: &Call, seen: &Seen<'_>, reply: &Reply, account: &Account) -> Option<ResponseAction> {
    let failed = |kind, hint: &str| {
        let error = PluginError::new(kind, describe(call, seen)).with_hint(hint);
        Some(ResponseAction::Failed(error, false))
    };
    match reply.code? {
        1960 | 1920 => Some(ResponseAction::Busy),
        1965 => {
            let item = reply.item("SECONDS_TO_WAIT").and_then(|seconds| seconds.parse().ok());
            Some(ResponseAction::Rate(seen.wait.max(item.map(to_wait))))
        }
        7001 => Some(ResponseAction::NotReady),
        2000 | 2010 => Some(ResponseAction::Failed(login_refused(call, seen, account), false)),
        2001 | 2002 => {
            failed(ErrorKind::Auth, "the account is expired or inactive: contact your Qualys manager")
        }
        2003 => failed(
            ErrorKind::Auth,
            "the account's registration is incomplete: log in once at the web interface and accept the \
             license",
        ),
        2007 => failed(
            ErrorKind::Auth,
            "this machine's IP address is not in the account's list of allowed addresses",
        ),
        2011 => failed(
            ErrorKind::Auth,
            "the account requires two-factor authentication: use an API account without it",
        ),
        2012 => failed(
            ErrorKind::Auth,
            "the account has no permission for this call: check its role, license and license acceptance",
        ),
        2000..=2099 => failed(
            ErrorKind::Auth,
            "login rejected; not retried, because Qualys locks accounts after repeated failures",
        ),
        999 if reply.items.iter().any(|(_, value)| value.contains("invalid report")) => failed(
            ErrorKind::Rejected,
            "check that `template_id` is the ID of a template this account can use",
        ),
        999 => Some(ResponseAction::Failed(unavailable(call, seen), true)),
        1999 => Some(ResponseAction::Failed(unavailable(call, seen), false)),
        1901..=1907 | 1922 | 5000 => failed(
            ErrorKind::Config,
            "check the options that set parameters of this call, and its API version",
        ),
        1908 => Some(ResponseAction::Failed(PluginError::bug(describe(call, seen)), false)),
        _ => None,
    }
}

/// Classifies an HTML page that was sent as a success.
fn of_page(call: &Call, seen: &Seen<'_>, page: &HtmlPage) -> ResponseAction {
    let failed = |kind| PluginError::new(kind, describe(call, seen)).with_hint(OTHER_SERVER);
    match page.kind {
        HtmlKind::Maintenance => ResponseAction::Failed(unavailable(call, seen), false),
        HtmlKind::SignIn => ResponseAction::Repeat(failed(ErrorKind::Auth)),
        HtmlKind::Other if call.first_version => ResponseAction::NotOffered(not_offered(call, seen.status)),
        HtmlKind::Other => ResponseAction::Repeat(failed(ErrorKind::Protocol)),
    }
}

fn of_body(call: &Call, seen: &Seen<'_>) -> ResponseAction {
    if let Some(page) = seen.page {
        return of_page(call, seen, page);
    }
    match seen.kind {
        Kind::Reply(_) => match seen.reply {
            Some(reply) if reply.is_success() => ResponseAction::Done,
            _ => ResponseAction::Failed(rejected(call, seen), false),
        },
        Kind::Empty => ResponseAction::Failed(unavailable(call, seen), true),
        kind => match kind_root(kind) {
            Some(root) if call.roots.contains(&root) => match seen.reply {
                // An error instead of data. Errors inside a report are handled by the report reader.
                Some(reply) if !reply.is_success() && !kind.is_report() => {
                    ResponseAction::Failed(rejected(call, seen), false)
                }
                _ => ResponseAction::Data,
            },
            _ if matches!(kind, Kind::Foreign("plain text")) && call.roots.contains(&"") => {
                ResponseAction::Data
            }
            _ => ResponseAction::Failed(foreign(call, seen), false),
        },
    }
}

/// The name of the root element.
pub(crate) fn kind_root(kind: &Kind) -> Option<&str> {
    match kind {
        Kind::OtherXml(root) | Kind::Reply(root) => Some(root),
        kind => kind.root(),
    }
}

/// True if Qualys reports the limit of concurrent reports, which has no code, only this text.
fn is_full(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("max number of allowed reports") || text.contains("too many reports")
}

/// The message: call, response and status.
fn describe(call: &Call, seen: &Seen<'_>) -> String {
    let status = seen.status;
    let response = match (seen.reply, seen.page) {
        (Some(reply), _) => reply.to_string(),
        (None, Some(page)) => format!("the response is {}, not an XML report", page.describe()),
        (None, None) => {
            let (what, _) = seen.kind.describe();
            format!("the response {what}")
        }
    };
    match call.fields.iter().find(|(name, _)| name == "template_id") {
        Some((_, id)) => format!("{} (template {id}) failed: {response} (HTTP {status})", call.what),
        None => format!("{} failed: {response} (HTTP {status})", call.what),
    }
}

fn login_refused(call: &Call, seen: &Seen<'_>, account: &Account) -> PluginError {
    let mut hint =
        "check `user_id` and `password` (case-sensitive); not retried, because Qualys locks accounts after \
         repeated failures"
            .to_owned();
    if account.password.expose().chars().any(|c| !c.is_alphanumeric()) {
        hint += "; a password with punctuation needs single quotes in YAML";
    }
    if let Some(platform) = Platform::of_user(&account.user)
        && Platform::at(&format!("https://{}", call.url.host_str().unwrap_or_default()))
            .is_none_or(|at| at.name != platform.name)
    {
        hint += &format!(
            "; accounts of another platform are rejected in the same way; this user name belongs to \
             platform {}",
            platform.api
        );
    }
    PluginError::new(ErrorKind::Auth, describe(call, seen)).with_hint(hint)
}

fn forbidden(call: &Call, seen: &Seen<'_>) -> PluginError {
    PluginError::new(ErrorKind::Auth, describe(call, seen))
        .with_hint("the account has no permission: ask your Qualys manager for API and report access")
}

fn not_offered(call: &Call, status: u16) -> PluginError {
    let shown = call.shown();
    let message = if call.first_version {
        format!("{} failed: this platform no longer offers the v1 call {shown} (HTTP {status})", call.what)
    } else {
        format!("{} failed: this platform does not offer {shown} (HTTP {status})", call.what)
    };
    PluginError::config(message).with_hint("check option `url` and the API version option of this call")
}

fn redirected(call: &Call, seen: &Seen<'_>) -> PluginError {
    let (status, to) = (seen.status, seen.location.unwrap_or("an unknown location"));
    PluginError::config(format!(
        "{} failed: {} redirects to {to}; redirects are not followed (HTTP {status})",
        call.what,
        call.shown()
    ))
    .with_hint("check option `url`; credentials are only sent to the configured host")
}

fn unavailable(call: &Call, seen: &Seen<'_>) -> PluginError {
    let error = PluginError::new(ErrorKind::Unavailable, describe(call, seen));
    let error = error.with_hint("Qualys reports an internal error or maintenance; retried later");
    match seen.wait {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

fn rejected(call: &Call, seen: &Seen<'_>) -> PluginError {
    PluginError::new(ErrorKind::Rejected, describe(call, seen))
}

fn foreign(call: &Call, seen: &Seen<'_>) -> PluginError {
    PluginError::new(ErrorKind::Protocol, describe(call, seen))
        .with_hint("check that option `url` is the URL of the Qualys API")
}

/// Hint for an HTML page that is not from the Qualys API.
const OTHER_SERVER: &str = "another server answers instead of the Qualys API: check option `url`, and whether a proxy or a single \
     sign-on requires a login";
