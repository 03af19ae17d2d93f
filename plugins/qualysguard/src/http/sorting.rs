//! What an error of reqwest means: told by the types among its sources, never by its words.

use std::error::Error;
use std::io;

use hyper_util::client::legacy::connect::{HttpConnector, proxy::Tunnel};
use scanbridge_tls_identity::ClientTls;
use tower_service::Service;

use super::http_error::{Cause, HttpError, Peer, of_io};
use super::names::NameError;
use super::route::{Route, ViaProxy};
use super::tunnel;

/// What reqwest's tunnel fails with. hyper-util names the type nowhere but here.
type TunnelError = <Tunnel<HttpConnector> as Service<hyper::Uri>>::Error;

/// Which peer failed in which way.
pub(super) async fn sort(way: &Route, error: &reqwest::Error) -> HttpError {
    let via = way.proxy.as_ref().filter(|_| error.is_connect());
    let at_proxy = match via {
        Some(via) => sort_at_proxy(way, via, error).await.map(|cause| (via, cause)),
        None => None,
    };
    match at_proxy {
        Some((via, cause)) => HttpError { peer: Peer::Proxy, address: via.proxy.shown(), cause },
        None => HttpError {
            peer: Peer::Qualys,
            address: way.address.clone(),
            cause: cause_of(way, &way.tls, error),
        },
    }
}

/// No connection through a proxy: what is wrong with the proxy, if it is the proxy.
async fn sort_at_proxy(way: &Route, via: &ViaProxy, error: &reqwest::Error) -> Option<Cause> {
    // Behind a tunnel there is only TLS, and names are looked up by the proxy.
    let tls = via.tls.as_ref().unwrap_or(&way.tls);
    match source_of::<TunnelError>(error) {
        // A login that is refused is not tried twice: accounts lock.
        Some(TunnelError::ProxyAuthRequired) => Some(Cause::ProxyLogin(via.proxy.login.is_some())),
        Some(TunnelError::TunnelUnexpectedEof) => Some(tunnel::closed()),
        Some(TunnelError::ProxyHeadersTooLong) => Some(tunnel::endless()),
        Some(TunnelError::TunnelUnsuccessful) => Some(diagnose(way, via).await.unwrap_or_else(|| {
            Cause::ProxyRefused("a second attempt would have been let through".to_owned())
        })),
        Some(_) => Some(cause_of(way, tls, error)),
        None if source_of::<rustls::Error>(error).is_some() => None,
        None => diagnose(way, via).await,
    }
}

async fn diagnose(way: &Route, via: &ViaProxy) -> Option<Cause> {
    tunnel::diagnose(via, way.names, &way.address, way.connect_timeout).await.err()
}

fn cause_of(way: &Route, tls: &ClientTls, error: &reqwest::Error) -> Cause {
    let io = sources(error).filter_map(|error| error.downcast_ref::<io::Error>()).last();
    if let Some(name) = source_of::<NameError>(error) {
        Cause::Name(name.to_string())
    } else if source_of::<rustls::Error>(error).is_some() {
        Cause::Tls(tls.explain(error))
    } else if let Some(io) = io.filter(|io| io.raw_os_error().is_some()) {
        of_io(io)
    } else if error.is_timeout() && error.is_connect() {
        Cause::ConnectTimeout(way.connect_timeout)
    } else if error.is_timeout() {
        Cause::Silence(way.read_timeout)
    } else if let Some(io) = io {
        of_io(io)
    } else if let Some(error) = source_of::<hyper::Error>(error).filter(|error| error.is_parse()) {
        Cause::NoHttp(error.to_string())
    } else {
        // The last one says what happened, the others where.
        Cause::Cut(sources(error).last().map(ToString::to_string).unwrap_or_default())
    }
}

fn source_of<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    sources(error).find_map(|error| error.downcast_ref())
}

/// An error and all that it comes from.
fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        // What is inside an I/O error is no source of it, but passed over.
        Some(io) => io.get_ref().map(|inside| inside as &(dyn Error + 'static)).or_else(|| io.source()),
        None => error.source(),
    })
}
