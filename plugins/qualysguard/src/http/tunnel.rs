//! CONNECT: a proxy is asked for a tunnel.

use scanbridge_plugin_api::Secret;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::trouble::{Cause, of_io};
use crate::options::Proxy;

/// No proxy has a longer answer.
const MOST_ANSWER: usize = 16 << 10;

/// Asks for a tunnel to `host:port` over a connection to the proxy.
pub(super) async fn open<S>(stream: &mut S, proxy: &Proxy, target: &str) -> Result<(), Cause>
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

    let answer = read_head(stream).await?;
    let line = String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or_default());
    let mut words = line.splitn(3, ' ');
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let status = words.next().and_then(|word| word.parse::<u16>().ok()).filter(|_| is_http);
    match status {
        None => Err(Cause::NoHttp("it answered CONNECT with something else".to_owned())),
        Some(200..=299) => Ok(()),
        Some(407) => Err(Cause::ProxyLogin(proxy.login.is_some())),
        Some(status) => {
            let reason: String = words.next().unwrap_or_default().chars().take(80).collect();
            let reason = reason.replace(|c: char| c.is_control(), "");
            Err(Cause::ProxyRefused(format!("{status} {reason}").trim_end().to_owned()))
        }
    }
}

/// `Basic` with user and password.
pub(crate) fn basic(user: &str, password: &Secret) -> Secret {
    use base64::Engine as _;
    let plain = format!("{user}:{}", password.expose());
    Secret::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain)))
}

async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, Cause> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // One by one, for what stands behind the head belongs to the tunnel.
        let byte = match stream.read_u8().await {
            Ok(byte) => byte,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(Cause::Cut("it was closed in place of an answer to CONNECT".to_owned()));
            }
            Err(error) => return Err(of_io(&error)),
        };
        head.push(byte);
        if head.len() > MOST_ANSWER {
            return Err(Cause::NoHttp("its answer to CONNECT does not end".to_owned()));
        }
    }
    Ok(head)
}
