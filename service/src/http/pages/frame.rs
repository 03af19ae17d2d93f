//! What all pages have around their content, and who may see them.

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use scanbridge_observe::Role;

use super::assets::asset;
use crate::http::caller::Caller;
use crate::http::encoded;
use crate::request::Reply;

/// What all pages show around their content.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) name: String,
    pub(super) role: &'static str,
    pub(super) csrf: String,
    pub(super) has_session: bool,
    pub(super) can_operate: bool,
    /// The page of the navigation that is shown.
    pub(super) current: &'static str,
}

impl Frame {
    pub(super) fn of(caller: &Caller, current: &'static str) -> Self {
        Self {
            name: caller.name.clone(),
            role: caller.role.map(Role::word).unwrap_or_default(),
            csrf: caller.csrf.clone(),
            has_session: caller.has_session,
            can_operate: caller.role == Some(Role::Operate) && !caller.csrf.is_empty(),
            current,
        }
    }

    pub(super) fn is_known(&self) -> bool {
        !self.role.is_empty()
    }

    pub(super) fn pages(&self) -> [(&'static str, &'static str); 3] {
        [("/", "Overview"), ("/plugins", "Plugins"), ("/health", "Health")]
    }
}

/// A caller who may see pages. Others get the login page.
#[derive(Debug)]
pub(super) struct Visitor(pub(super) Caller);

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        match parts.extensions.get::<Caller>() {
            Some(caller) if caller.role.is_some() => Ok(Self(caller.clone())),
            _ => {
                let next = encoded(parts.uri.path());
                Err(Refused::with(Redirect::to(&format!("/login?next={next}"))))
            }
        }
    }
}

/// The response to a caller who may not do this. In a box, because results are moved often and refusals are rare.
#[derive(Debug)]
pub(super) struct Refused(Box<Response>);

impl Refused {
    pub(super) fn with(response: impl IntoResponse) -> Self {
        Self(Box::new(response.into_response()))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// A page as a response.
pub(super) fn page(template: &impl Template) -> Response {
    page_with(StatusCode::OK, template)
}

fn page_with(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => (status, [(header::VARY, "Cookie")], Html(text)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    frame: Frame,
    title: String,
    detail: String,
    status: u16,
    back: String,
}

/// A problem as a page.
pub(super) fn problem_page(frame: Frame, reply: &Reply, back: &str) -> Response {
    let text = |name: &str| reply.body[name].as_str().unwrap_or_default().to_owned();
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (title, detail) = (text("title"), text("detail"));
    page_with(status, &ProblemPage { frame, title, detail, status: reply.status, back: back.to_owned() })
}

#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct ConfirmPage {
    pub(super) frame: Frame,
    pub(super) question: String,
    pub(super) consequence: String,
    /// What is concerned; may be empty.
    pub(super) items: Vec<String>,
    /// Where the form is sent.
    pub(super) action: String,
    pub(super) fields: Vec<(String, String)>,
    /// The word on the button.
    pub(super) word: &'static str,
    pub(super) back: String,
}
