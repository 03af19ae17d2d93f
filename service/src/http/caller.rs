//! Who sends a request, and what they may do.

use std::fmt;
use std::net::SocketAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use scanbridge_observe::Role;

use crate::request::Reply;

/// Where a connection comes from. Each request of the connection has it as an extension.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// The control socket, with the user of the other process.
    Socket(Option<u32>),
    /// The TCP listener.
    Tcp {
        peer: SocketAddr,
        is_tls: bool,
        /// A name of the client's certificate that has a role, and the role.
        certificate: Option<(String, Role)>,
    },
}

/// The sender of a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The name of the token, certificate or user; empty without one.
    pub(crate) name: String,
    pub(crate) role: Option<Role>,
    /// Address or `control socket`.
    pub(crate) from: String,
    /// Whether the request came over the control socket.
    pub(crate) is_local: bool,
    /// What forms of this caller must contain; empty if the caller cannot send forms.
    pub(crate) csrf: String,
    /// Whether the caller has logged in with a browser.
    pub(crate) has_session: bool,
}

impl Caller {
    /// Root and the user of the service may do everything; members of its group may read.
    pub(super) fn of_user(user: Option<u32>) -> Self {
        let may_operate = user.is_some_and(|user| user == 0 || user == rustix::process::geteuid().as_raw());
        let role = if may_operate { Role::Operate } else { Role::Read };
        let name = user.map_or_else(|| "unknown user".to_owned(), |user| format!("uid {user}"));
        let from = "control socket".to_owned();
        Self { name, role: Some(role), from, is_local: true, csrf: String::new(), has_session: false }
    }

    pub(super) fn of_tcp(peer: SocketAddr, known: Option<(String, Role)>) -> Self {
        let (name, role) = known.map_or((String::new(), None), |(name, role)| (name, Some(role)));
        let from = peer.ip().to_canonical().to_string();
        Self { name, role, from, is_local: false, csrf: String::new(), has_session: false }
    }

    /// # Errors
    /// The response, if the caller may not do this.
    pub(super) fn require(&self, role: Role) -> Result<(), Reply> {
        let Some(own) = self.role else {
            return Err(Reply::problem(
                401,
                "authentication required",
                "send a token: `Authorization: Bearer sbt_…`; `scanbridge service token add` makes one",
            ));
        };
        if own >= role {
            return Ok(());
        }
        let detail = if self.is_local {
            "only root and the user of the service may do this"
        } else {
            "this needs the role `operate`"
        };
        Err(Reply::problem(403, "permission denied", detail))
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() { "unknown client" } else { &self.name };
        write!(f, "{name} from {}", self.from)
    }
}

/// A caller who may read. The only way to handlers that answer with data of the service.
#[derive(Debug)]
pub(super) struct Reader;

/// A caller who may change something. The only way to handlers that do.
#[derive(Debug)]
pub(super) struct Operator;

/// An operator on the machine itself.
#[derive(Debug)]
pub(super) struct LocalOperator;

impl<S: Sync> FromRequestParts<S> for Reader {
    type Rejection = Reply;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Reply> {
        permitted(parts, Role::Read).map(|_| Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Reply;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Reply> {
        permitted(parts, Role::Operate).map(|_| Self)
    }
}

impl<S: Sync> FromRequestParts<S> for LocalOperator {
    type Rejection = Reply;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Reply> {
        let caller = permitted(parts, Role::Operate)?;
        if caller.is_local {
            return Ok(Self);
        }
        let detail = "this is possible only over the control socket: use `scanbridge service token`";
        Err(Reply::problem(403, "permission denied", detail))
    }
}

fn permitted(parts: &Parts, role: Role) -> Result<Caller, Reply> {
    let caller = parts.extensions.get::<Caller>().cloned();
    let caller = caller.ok_or_else(|| Reply::problem(500, "the caller is unknown", ""))?;
    caller.require(role)?;
    Ok(caller)
}
