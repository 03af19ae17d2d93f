//! Requests to a running service, for the commands of `scanbridge service`.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// Why there is no usable response.
#[derive(Debug)]
pub(crate) struct ClientError {
    pub(crate) message: String,
    pub(crate) exit_code: u8,
    /// Whether there is no service, or none that this user may connect to.
    pub(crate) is_absent: bool,
}

/// The response: status and body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

const LIMIT: Duration = Duration::from_secs(100);
const MAX_BODY: usize = 64 << 20;

/// Sends one request.
///
/// # Errors
/// When the service cannot be reached, or its response is not JSON.
pub(crate) fn request(socket: &Path, method: &Method, path: &str) -> Result<Response, ClientError> {
    request_within(LIMIT, socket, method, (path, String::new()))
}

/// Sends one request with a body of JSON, or an empty one.
///
/// # Errors
/// As for [`request`].
pub(crate) fn request_within(
    limit: Duration,
    socket: &Path,
    method: &Method,
    request: (&str, String),
) -> Result<Response, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| unavailable(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let exchange = tokio::time::timeout(limit, exchange(socket, method, request)).await;
        exchange.unwrap_or_else(|_| Err(unavailable(format!("{} timed out", socket.display()))))
    })
}

async fn exchange(
    socket: &Path,
    method: &Method,
    (path, body): (&str, String),
) -> Result<Response, ClientError> {
    let failed = |error: &dyn std::fmt::Display| unavailable(format!("{}: {error}", socket.display()));
    let stream = UnixStream::connect(socket).await.map_err(|error| cannot_connect(socket, &error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let connection = tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let request = if body.is_empty() { request } else { request.header("content-type", "application/json") };
    let request = request.body(Full::<Bytes>::from(body)).map_err(|error| failed(&error))?;
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let status = response.status().as_u16();
    let body =
        Limited::new(response.into_body(), MAX_BODY).collect().await.map_err(|error| failed(&error))?;
    connection.abort();
    let body = serde_json::from_slice(&body.to_bytes()).map_err(|error| failed(&error))?;
    Ok(Response { status, body })
}

fn cannot_connect(socket: &Path, error: &io::Error) -> ClientError {
    let path = socket.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => ClientError {
            message: format!("no service at {path}; start one with `scanbridge serve`, or set --socket"),
            exit_code: 69,
            is_absent: true,
        },
        ErrorKind::PermissionDenied => ClientError {
            message: format!("permission denied for {path}; run as root or as the user of the service"),
            exit_code: 77,
            is_absent: true,
        },
        _ => unavailable(format!("cannot connect to {path}: {error}")),
    }
}

fn unavailable(message: String) -> ClientError {
    ClientError { message, exit_code: 69, is_absent: false }
}
