//! Classifies reqwest errors by the types among their sources, never by their text.

use std::error::Error;
use std::io;

use hyper_util::client::legacy::connect::{HttpConnector, proxy::Tunnel};
use scanbridge_dialer::DialError;
use scanbridge_tls_identity::ClientTls;
use tower_service::Service;

use crate::http_error::{Cause, HttpError, Peer, of_io};
use crate::route::{Route, ViaProxy};
use crate::tunnel;

/// The error of reqwest's CONNECT tunnel. hyper-util exports this type only as an associated type.
type TunnelError = <Tunnel<HttpConnector> as Service<hyper::Uri>>::Error;

/// Determines the peer that failed, and the cause.
pub(crate) async fn classify(route: &Route, error: &reqwest::Error) -> HttpError {
    let wording = route.wording;
    let via = route.proxy.as_ref().filter(|_| error.is_connect());
    let at_proxy = match via {
        Some(via) => classify_at_proxy(route, via, error).await.map(|cause| (via, cause)),
        None => None,
    };
    match at_proxy {
        Some((via, cause)) => {
            HttpError { peer: Peer::Proxy { tls: via.proxy.tls }, address: via.proxy.shown(), cause, wording }
        }
        None => HttpError {
            peer: Peer::Destination,
            wording,
            address: route.address.clone(),
            cause: cause_of(route, route.tls.as_ref(), error),
        },
    }
}

/// Connecting through a proxy failed: the cause, or `None` if the proxy is not the failed peer.
async fn classify_at_proxy(route: &Route, via: &ViaProxy, error: &reqwest::Error) -> Option<Cause> {
    // Through an open tunnel only TLS to the destination can fail, because the proxy resolves the host name. All other
    // errors concern the proxy.
    let tls = via.tls.as_ref().or(route.tls.as_ref());
    match source_of::<TunnelError>(error) {
        // A rejected login is not retried, because accounts may be locked.
        Some(TunnelError::ProxyAuthRequired) => Some(Cause::ProxyLogin(via.proxy.login.is_some())),
        Some(TunnelError::TunnelUnexpectedEof) => Some(tunnel::closed()),
        Some(TunnelError::ProxyHeadersTooLong) => Some(tunnel::endless()),
        Some(TunnelError::TunnelUnsuccessful) => Some(diagnose(route, via).await.unwrap_or_else(|| {
            Cause::ProxyRefused("reason unknown, because a second attempt succeeded".to_owned())
        })),
        Some(_) => Some(cause_of(route, tls, error)),
        None if source_of::<rustls::Error>(error).is_some() => None,
        None => diagnose(route, via).await,
    }
}

async fn diagnose(route: &Route, via: &ViaProxy) -> Option<Cause> {
    tunnel::diagnose(via, &route.dialer, &route.address, route.connect_timeout).await.err()
}

fn cause_of(route: &Route, tls: Option<&ClientTls>, error: &reqwest::Error) -> Cause {
    let io = sources(error).filter_map(|error| error.downcast_ref::<io::Error>()).last();
    if let Some(lookup) = source_of::<DialError>(error) {
        match lookup {
            DialError::Source(error) => Cause::Settings(error.clone()),
            other => Cause::Dns(other.to_string()),
        }
    } else if let (Some(tls), Some(_)) = (tls, source_of::<rustls::Error>(error)) {
        Cause::Tls(Box::new(tls.explain(error)))
    } else if let Some(io) = io.filter(|io| io.raw_os_error().is_some()) {
        of_io(io)
    } else if error.is_timeout() && error.is_connect() {
        Cause::ConnectTimeout(route.connect_timeout)
    } else if error.is_timeout() {
        Cause::ReadTimeout(route.read_timeout)
    } else if let Some(io) = io {
        of_io(io)
    } else if let Some(error) = source_of::<hyper::Error>(error).filter(|error| error.is_parse()) {
        Cause::InvalidHttp(error.to_string())
    } else {
        // The last source says what happened, the others where.
        Cause::ConnectionLost(sources(error).last().map(ToString::to_string).unwrap_or_default())
    }
}

fn source_of<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    sources(error).find_map(|error| error.downcast_ref())
}

/// An error and all its sources.
fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        // `io::Error::source` skips the inner error, so take it with `get_ref`.
        Some(io) => io.get_ref().map(|inside| inside as &(dyn Error + 'static)).or_else(|| io.source()),
        None => error.source(),
    })
}
