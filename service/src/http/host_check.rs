//! Refuses requests that a web page of another site sends through the browser of an operator (DNS rebinding): their `Host`
//! is the name of the other site.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::caller::Origin;
use super::context::Context;
use crate::request::Reply;

/// Passes a request on whose `Host` is an IP address, `localhost`, the name of this machine or that of `public_url`. Names
/// that an attacker owns are none of these. Requests of the control socket are not checked: no browser can send them.
pub(super) async fn check_host(State(context): State<Context>, request: Request, next: Next) -> Response {
    if matches!(request.extensions().get(), Some(Origin::Socket(_))) {
        return next.run(request).await;
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let (keys, machine) = (context.access.keys(), machine_name());
    let own = [keys.public_url.as_deref().map(authority), machine.as_deref()];
    if is_own(host, own.into_iter().flatten()) {
        return next.run(request).await;
    }
    if host.is_empty() {
        return Reply::problem(421, "wrong host", "the request has no header `Host`").into_response();
    }
    let host: String = host.chars().take(100).collect();
    let detail =
        format!("`{host}` is not a name of this service; set `console.public_url` in the service file");
    Reply::problem(421, "wrong host", &detail).into_response()
}

fn is_own<'a>(host: &str, own: impl Iterator<Item = &'a str>) -> bool {
    let name = without_port(host);
    let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    let mut names = own.map(without_port).chain(["localhost"]);
    is_address || names.any(|own| !own.is_empty() && own.eq_ignore_ascii_case(name))
}

/// Host and port of a URL without user name and path; the host has validated it.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// A tunnel can have another port, and the port does not identify the site.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// The name of this machine, as its own certificate has it.
pub(super) fn machine_name() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_and_addresses_are_accepted() {
        let is = |host: &str| is_own(host, ["bridge", "console.example.com:9443"].into_iter());
        for host in [
            "localhost:9001",
            "LOCALHOST",
            "127.0.0.1:9001",
            "[::1]:9001",
            "192.0.2.7",
            "bridge:80",
            "Console.Example.com",
        ] {
            assert!(is(host), "{host}");
        }
        for host in [
            "",
            ":9001",
            "evil.example",
            "localhost.evil.example:9001",
            "127.0.0.1.evil.example",
            "bridge.evil.example",
            "localhost:9001:9001",
            "localhost@evil.example",
            "localhost:9001x",
            "[::1",
        ] {
            assert_eq!(is(host), host == "[::1", "{host}");
        }
        assert_eq!(authority("https://bridge.example.com:9001/"), "bridge.example.com:9001");
    }
}
