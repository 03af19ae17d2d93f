//! Opens connections: tries the receivers in order, and the addresses of each receiver in order.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use scanbridge_plugin_api::{CheckReport, ErrorKind, PluginError, Result, Services, Verdict, tracing};
use socket2::{Domain, Socket, TcpKeepalive, Type};

use super::link::{Link, LinkError, WriteTimeout};
use super::resolve::{self, IpVersion, Receiver, Resolver};
use super::tls::{self, Tls};
use super::{SLICE, unavailable};

/// Where to connect, and how.
#[derive(Debug)]
pub(super) struct Connector {
    pub receivers: Vec<Receiver>,
    pub preferred: IpVersion,
    pub connect_timeout: Duration,
    pub write_timeout: Duration,
    /// Idle time before a keepalive probe; zero disables keepalive.
    pub keepalive: Duration,
    pub tls: Option<Tls>,
    pub resolver: Resolver,
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
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
                SocketAddr::V6(_) => ([0; 16], 0).into(),
            };
            let name = name_of(receiver, address);
            let socket = UdpSocket::bind(any)
                .and_then(|socket| socket.connect(address).map(|()| socket))
                .and_then(|socket| socket.set_write_timeout(Some(self.write_timeout)).map(|()| socket))
                .map_err(|error| connect_error(&name, &error))?;
            Ok((socket, name))
        })
    }

    /// Resolves each receiver, connects, and performs the TLS handshake, one step each. An unavailable
    /// receiver is only a warning if another one is available.
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
        Err(unavailable(all.join("; ")))
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
        resolve::addresses(self.resolver, receiver, self.preferred, self.connect_timeout, &self.services)
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
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)
            .and_then(|socket| self.prepare(&socket).map(|()| socket))
            .map_err(|error| connect_error(name, &error))?;
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {
                self.wait_connected(&socket, name)?;
            }
            result => result.map_err(|error| connect_error(name, &error))?,
        }
        Ok(socket.into())
    }

    fn prepare(&self, socket: &Socket) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        // Writes are complete batches; Nagle's algorithm would only delay their confirmation.
        socket.set_tcp_nodelay(true)?;
        if !self.keepalive.is_zero() {
            socket.set_tcp_keepalive(
                &TcpKeepalive::new().with_time(self.keepalive).with_interval(self.keepalive),
            )?;
        }
        // Without it a dead peer is detected only after about 15 minutes (tcp(7)).
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(self.write_timeout))?;
        Ok(())
    }

    fn wait_connected(&self, socket: &Socket, name: &str) -> Result<()> {
        let end = Instant::now() + self.connect_timeout;
        let slice = Timespec::try_from(SLICE).expect("a slice is short");
        loop {
            let ready = poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&slice));
            if ready.is_ok_and(|count| count > 0) {
                break;
            }
            if self.services.is_cancelled() {
                return Err(PluginError::cancelled());
            }
            if Instant::now() >= end {
                let seconds = self.connect_timeout.as_secs();
                return Err(unavailable(format!("cannot connect to {name}: timed out after {seconds} s")));
            }
        }
        match socket.take_error() {
            Ok(None) => Ok(()),
            Ok(Some(error)) | Err(error) => Err(connect_error(name, &error)),
        }
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

fn connect_error(name: &str, error: &io::Error) -> PluginError {
    let reason = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "connection refused (nothing is listening on this port)".to_owned()
        }
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        _ => error.to_string(),
    };
    unavailable(format!("cannot connect to {name}: {reason}"))
}

fn error_of(error: LinkError) -> PluginError {
    match error {
        LinkError::Lost(reason) => unavailable(format!("{reason} during the TLS handshake")),
        LinkError::Fatal(error) => error,
    }
}

#[cfg(test)]
impl Connector {
    /// A connector to `siem.example.com`, resolved by this resolver.
    pub(super) fn for_test(resolver: Resolver) -> Self {
        Self {
            receivers: vec![Receiver { host: "siem.example.com".to_owned(), port: 514 }],
            preferred: IpVersion::Any,
            connect_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(5),
            keepalive: Duration::from_secs(30),
            tls: None,
            resolver,
            services: Services::without_host(std::path::Path::new("/nonexistent")),
            untrusted_logged: Cell::new(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Only the kernel detects a peer that disappears silently, and only with these options.
    #[test]
    #[cfg(target_os = "linux")]
    fn keepalive_and_user_timeout_are_set() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connector = Connector::for_test(|_| Ok(Vec::new()));
        let socket = Socket::from(connector.socket("peer", listener.local_addr().unwrap()).unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(connector.write_timeout));
        assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), connector.keepalive);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), connector.keepalive);
        connector.keepalive = Duration::ZERO;
        let socket = Socket::from(connector.socket("peer", listener.local_addr().unwrap()).unwrap());
        assert!(!socket.keepalive().unwrap());
    }

    /// Simulates a machine that does not reply: the queue of this listener is full, so the kernel drops
    /// connection requests.
    #[test]
    #[cfg(target_os = "linux")]
    fn connect_timeout() {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let first = std::net::TcpStream::connect(address).unwrap();
        let mut connector = Connector::for_test(|_| Ok(Vec::new()));
        connector.connect_timeout = Duration::from_secs(1);
        let error = connector.socket("siem.example.com:514", address).unwrap_err();
        assert_eq!(error.message, "cannot connect to siem.example.com:514: timed out after 1 s");
        drop(first);
    }
}
