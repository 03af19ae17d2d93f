//! Opens connections: tries the receivers in order, and the addresses of each receiver in order.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use scanbridge_dialer::{DialError, Dialer};
use scanbridge_plugin_api::{CheckReport, ErrorKind, PluginError, Result, Services, Verdict, tracing};
use scanbridge_tls_identity::Identity;

use super::link::{Link, LinkError, WriteTimeout};
use super::receiver::Receiver;
use super::tls::{self, Tls};

/// Where to connect, and how.
#[derive(Debug)]
pub(super) struct Connector {
    pub receivers: Vec<Receiver>,
    pub dialer: Dialer,
    pub connect_timeout: Duration,
    pub write_timeout: Duration,
    pub tls: Option<Tls>,
    pub services: Services,
    /// Whether the warning about an untrusted receiver was logged.
    pub untrusted_logged: Cell<bool>,
}

impl Connector {
    /// Connects to the first receiver that is available and trusted.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] with the failure of each address. [`ErrorKind::Auth`] if no receiver is
    /// usable and one is untrusted, because a retry does not fix that.
    pub(super) fn connect(&self) -> Result<Link> {
        self.first(|receiver, address| self.link(receiver, address))
    }

    /// A UDP socket for the first receiver whose name can be resolved.
    pub(super) fn datagrams(&self) -> Result<(UdpSocket, String)> {
        self.first(|receiver, address| {
            let own: IpAddr = match (self.dialer.source(), address) {
                (Some(source), _) => source.ip(),
                (None, SocketAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
                (None, SocketAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let name = name_of(receiver, address);
            let socket = UdpSocket::bind((own, 0))
                .and_then(|socket| socket.connect(address).map(|()| socket))
                .and_then(|socket| socket.set_write_timeout(Some(self.write_timeout)).map(|()| socket))
                .map_err(|error| cannot_connect(&name, &DialError::Connect(error)))?;
            Ok((socket, name))
        })
    }

    /// Resolves each receiver, connects, and performs the TLS handshake, one step each. An unavailable
    /// receiver is only a warning if another one is available.
    /// The client certificate, if one is sent.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.tls.as_ref().and_then(Tls::identity)
    }

    pub(super) fn check(&self, stream: bool) -> CheckReport {
        let mut report = CheckReport::default();
        for receiver in &self.receivers {
            report = self.check_receiver(report, receiver, stream);
        }
        if report.steps.iter().any(|step| step.name == CONNECT && step.verdict == Verdict::Ok) {
            let unavailable_steps = report.steps.iter_mut().filter(|step| step.name != TLS);
            unavailable_steps.for_each(|step| step.verdict = step.verdict.min(Verdict::Warning));
        }
        report
    }

    fn check_receiver(&self, report: CheckReport, receiver: &Receiver, stream: bool) -> CheckReport {
        let addresses = match self.addresses(receiver) {
            Ok(addresses) => addresses,
            Err(error) => return report.failed_step("resolve", &error),
        };
        let list: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
        let detail = match list.as_slice() {
            [address] if *address == receiver.host => format!("{address} is an IP address"),
            _ => format!("{} resolves to {}", receiver.host, list.join(", ")),
        };
        let report = report.step("resolve", Verdict::Ok, detail);
        if !stream {
            let detail = format!("UDP is not acknowledged: cannot tell whether {receiver} is listening");
            return report.step("datagrams", Verdict::Warning, detail);
        }
        addresses.into_iter().fold(report, |report, address| self.check_address(report, receiver, address))
    }

    fn check_address(&self, report: CheckReport, receiver: &Receiver, address: SocketAddr) -> CheckReport {
        let name = name_of(receiver, address);
        let socket = match self.socket(&name, address) {
            Ok(socket) => socket,
            Err(error) => return report.failed_step(CONNECT, &error),
        };
        let report = report.step(CONNECT, Verdict::Ok, format!("connected to {name}"));
        let Some(tls) = &self.tls else { return report };
        match tls.secure(Link::plain(socket, name, self.write_timeout()), receiver) {
            Ok(link) => {
                let detail = link.tls().map(tls::describe).unwrap_or_default();
                link.close();
                report.step(TLS, Verdict::Ok, detail)
            }
            Err(error) => report.failed_step(TLS, &error_of(error)),
        }
    }

    fn first<T>(&self, mut open: impl FnMut(&Receiver, SocketAddr) -> Result<T>) -> Result<T> {
        let mut failures: Vec<PluginError> = Vec::new();
        for receiver in &self.receivers {
            let addresses = match self.addresses(receiver) {
                Err(error) => {
                    failures.push(allows_failover(error)?);
                    continue;
                }
                Ok(addresses) => addresses,
            };
            for address in addresses {
                match open(receiver, address) {
                    Ok(opened) => {
                        self.warn_untrusted_receiver(&failures);
                        return Ok(opened);
                    }
                    Err(error) => failures.push(allows_failover(error)?),
                }
            }
        }
        if let Some(untrusted) = failures.iter().position(|error| error.kind == ErrorKind::Auth) {
            return Err(failures.swap_remove(untrusted));
        }
        let all: Vec<_> = failures.into_iter().map(|error| error.message).collect();
        Err(PluginError::unavailable(all.join("; ")))
    }

    /// Logs once that a receiver is untrusted and another one receives the events; each commit connects
    /// again.
    fn warn_untrusted_receiver(&self, failures: &[PluginError]) {
        if let Some(error) = failures.iter().find(|error| error.kind == ErrorKind::Auth)
            && !self.untrusted_logged.replace(true)
        {
            tracing::warn!("{error}; events are sent to another receiver instead");
        }
    }

    fn addresses(&self, receiver: &Receiver) -> Result<Vec<SocketAddr>> {
        self.dialer
            .lookup_within(&receiver.host, receiver.port, self.connect_timeout)
            .map_err(|error| error.explain(&format!("cannot resolve {}", receiver.host), None))
    }

    fn link(&self, receiver: &Receiver, address: SocketAddr) -> Result<Link> {
        let name = name_of(receiver, address);
        let link = Link::plain(self.socket(&name, address)?, name, self.write_timeout());
        match &self.tls {
            Some(tls) => tls.secure(link, receiver).map_err(error_of),
            None => Ok(link),
        }
    }

    fn write_timeout(&self) -> WriteTimeout {
        WriteTimeout { timeout: self.write_timeout, services: self.services.clone() }
    }

    fn socket(&self, name: &str, address: SocketAddr) -> Result<TcpStream> {
        self.dialer.connect(address, self.connect_timeout).map_err(|error| cannot_connect(name, &error))
    }
}

const CONNECT: &str = "connect";
const TLS: &str = "TLS";

/// The receiver as configured, and its address if that differs.
fn name_of(receiver: &Receiver, address: SocketAddr) -> String {
    match address.ip().to_string() == receiver.host {
        true => receiver.to_string(),
        false => format!("{receiver} ({})", address.ip()),
    }
}

/// Returns the error if another address may succeed, otherwise fails with it.
fn allows_failover(error: PluginError) -> Result<PluginError> {
    match error.kind {
        ErrorKind::Unavailable | ErrorKind::Auth => Ok(error),
        _ => Err(error),
    }
}

fn cannot_connect(name: &str, error: &DialError) -> PluginError {
    error.explain(&format!("cannot connect to {name}"), None)
}

fn error_of(error: LinkError) -> PluginError {
    match error {
        LinkError::Lost(reason) | LinkError::Closed(reason) => {
            PluginError::unavailable(format!("{reason} during the TLS handshake"))
        }
        LinkError::Fatal(error) => error,
    }
}

#[cfg(test)]
impl Connector {
    /// A connector to `siem.example.com`, resolved by this resolver.
    pub(super) fn for_test(resolver: scanbridge_dialer::Resolver) -> Self {
        let services = Services::without_host(std::path::Path::new("/nonexistent"));
        Self {
            receivers: vec![Receiver { host: "siem.example.com".to_owned(), port: 514 }],
            dialer: Dialer::new(&services).with_resolver(resolver),
            connect_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(5),
            tls: None,
            services,
            untrusted_logged: Cell::new(false),
        }
    }
}
