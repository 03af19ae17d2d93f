//! Diagnoses why a proxy does not open a tunnel.
//!
//! reqwest opens the tunnels that are used, but hides the status with which a proxy rejects one. So the
//! request is repeated here once.

use std::time::Duration;

use scanbridge_dialer::{DialError, Dialer};
use scanbridge_plugin_api::{PluginError, printable};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::http_error::{Cause, of_io};
use crate::proxy::{Proxy, basic};
use crate::route::ViaProxy;

/// Maximum length of a status line, in bytes.
const MAX_STATUS_LINE_BYTES: usize = 16 << 10;

/// Requests one tunnel to `host:port`, only to find the cause of a failure. `limit` covers connecting and the
/// response.
///
/// # Errors
/// The cause of the failure; `Ok` if the proxy opens the tunnel.
pub(crate) async fn diagnose(
    via: &ViaProxy,
    dialer: &Dialer,
    target: &str,
    limit: Duration,
) -> Result<(), Cause> {
    let diagnosis = connect_and_ask(via, dialer, target, limit);
    timeout(limit, diagnosis).await.map_err(|_| Cause::ConnectTimeout(limit))?
}

async fn connect_and_ask(
    via: &ViaProxy,
    dialer: &Dialer,
    target: &str,
    limit: Duration,
) -> Result<(), Cause> {
    let proxy = &via.proxy;
    let mut stream = connect(proxy, dialer, limit).await?;
    let Some(tls) = &via.tls else { return ask(&mut stream, proxy, target).await };
    let name =
        proxy.host.clone().try_into().map_err(|_| Cause::Dns("not a valid TLS server name".to_owned()))?;
    let stream = TlsConnector::from(tls.config()).connect(name, stream).await;
    ask(&mut stream.map_err(|error| Cause::Tls(Box::new(tls.explain(&error))))?, proxy, target).await
}

async fn connect(proxy: &Proxy, dialer: &Dialer, limit: Duration) -> Result<TcpStream, Cause> {
    let (dialer, host, port) = (dialer.clone(), proxy.host.clone(), proxy.port);
    let dialed = spawn_blocking(move || dialer.dial(&host, port, limit)).await;
    let stream = dialed.expect("the dialer does not panic").map_err(|error| match error {
        DialError::Cancelled => Cause::Settings(Box::new(PluginError::cancelled())),
        DialError::Source(error) => Cause::Settings(error),
        DialError::Lookup(reason) => Cause::Dns(reason),
        DialError::TimedOut(_) => Cause::ConnectTimeout(limit),
        DialError::Connect(error) => of_io(&error),
    })?;
    TcpStream::from_std(stream).map_err(|error| of_io(&error))
}

async fn ask<S>(stream: &mut S, proxy: &Proxy, target: &str) -> Result<(), Cause>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some((user, password)) = &proxy.login {
        let login = basic(user, password);
        request += &format!("Proxy-Authorization: {}\r\n", login.expose());
    }
    request += "\r\n";
    stream.write_all(request.as_bytes()).await.map_err(|error| of_io(&error))?;
    stream.flush().await.map_err(|error| of_io(&error))?;

    let line = read_status(stream).await?;
    let line = String::from_utf8_lossy(&line);
    let mut words = line.trim_end().splitn(3, ' ');
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let status = words.next().and_then(|word| word.parse::<u16>().ok()).filter(|_| is_http);
    match status {
        None => Err(Cause::InvalidHttp("invalid response to CONNECT".to_owned())),
        Some(200) => Ok(()),
        Some(407) => Err(Cause::ProxyLogin(proxy.login.is_some())),
        Some(status) => {
            let reason = printable(words.next().unwrap_or_default(), 80);
            Err(Cause::ProxyRefused(format!("{status} {reason}").trim_end().to_owned()))
        }
    }
}

/// Reads the status line of the response.
async fn read_status<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, Cause> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await {
            Ok(b'\n') => return Ok(line),
            Ok(byte) => line.push(byte),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Err(closed()),
            Err(error) => return Err(of_io(&error)),
        }
        if line.len() > MAX_STATUS_LINE_BYTES {
            return Err(endless());
        }
    }
}

pub(crate) fn closed() -> Cause {
    Cause::ConnectionLost("connection closed without a response to CONNECT".to_owned())
}

pub(crate) fn endless() -> Cause {
    Cause::InvalidHttp("response to CONNECT is too long".to_owned())
}
