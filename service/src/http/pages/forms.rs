//! Forms that change something.

use axum::Form;
use axum::extract::{FromRequest, Request};
use scanbridge_observe::Role;

use super::frame::{Frame, Refused, problem_page};
use crate::http::caller::Caller;
use crate::http::sessions::is_csrf;
use crate::request::Reply;

/// The fields of a form of a page of this service, from a caller who may change something. The only way to handlers of
/// pages that do.
#[derive(Debug)]
pub(super) struct ChangeForm {
    pub(super) caller: Caller,
    fields: Vec<(String, String)>,
}

impl ChangeForm {
    /// All values of a field.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The value of a field; empty if it is missing.
    pub(super) fn get(&self, name: &str) -> &str {
        self.fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }
}

/// A form of a page of this service that changes nothing, from a caller who may read.
#[derive(Debug)]
pub(super) struct ReadForm(ChangeForm);

impl ReadForm {
    pub(super) fn caller(&self) -> &Caller {
        &self.0.caller
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name)
    }
}

impl<S: Send + Sync> FromRequest<S> for ReadForm {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        ChangeForm::of(request, state, Role::Read).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for ChangeForm {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        Self::of(request, state, Role::Operate).await
    }
}

impl ChangeForm {
    async fn of<S: Send + Sync>(request: Request, state: &S, role: Role) -> Result<Self, Refused> {
        let caller = request.extensions().get::<Caller>().cloned();
        let refuse = |reply: &Reply| {
            let frame = caller.as_ref().map(|caller| Frame::of(caller, "")).unwrap_or_default();
            Refused::with(problem_page(frame, reply, "/"))
        };
        let invalid = |_| refuse(&Reply::problem(400, "the form is invalid", ""));
        let Form(fields) =
            Form::<Vec<(String, String)>>::from_request(request, state).await.map_err(invalid)?;
        let Some(caller) = caller.clone() else {
            return Err(refuse(&Reply::problem(500, "the caller is unknown", "")));
        };
        caller.require(role).map_err(|reply| refuse(&reply))?;
        let form = Self { caller, fields };
        if is_csrf(&form.caller.csrf, form.get("csrf")) {
            Ok(form)
        } else {
            let hint = "load the page again, then send the form again";
            Err(refuse(&Reply::problem(403, "the form is not of this session", hint)))
        }
    }
}
