//! A connection on which a client must accept what is sent to it.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Time in which a client must accept at least one byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends with an error when the other side accepts nothing for too long. Otherwise it could occupy its place for ever.
pub(super) struct Timed<S> {
    stream: S,
    timer: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, timer: Box::pin(tokio::time::sleep(PATIENCE)), is_waiting: false }
    }

    fn limit<T>(&mut self, result: Poll<io::Result<T>>, task: &mut Context<'_>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.is_waiting = false;
            return result;
        }
        if !std::mem::replace(&mut self.is_waiting, true) {
            self.timer.as_mut().reset(Instant::now() + PATIENCE);
        }
        self.timer.as_mut().poll(task).map(|()| Err(ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(task, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(task, bytes);
        self.limit(result, task)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(task);
        self.limit(result, task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(task);
        self.limit(result, task)
    }
}
