//! Reads from a source that may block: standard input or a named pipe.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use scanbridge_plugin_api::Services;

/// Reads on a separate thread, so that cancellation is noticed while no data arrives. If that thread still blocks on
/// its pipe, it is abandoned and ends with the process.
pub(crate) struct CancellableReader {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: Vec<u8>,
    position: usize,
    services: Services,
}

const BLOCK: usize = 256 << 10;
/// Maximum number of blocks read ahead.
const BLOCKS_AHEAD: usize = 2;

impl CancellableReader {
    /// Reads from what `open` returns; opening a named pipe blocks until a writer opens it.
    pub(crate) fn new<R: Read>(
        services: &Services,
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, blocks) = sync_channel(BLOCKS_AHEAD);
        let read_all = move || {
            let read = open().and_then(|mut from| {
                loop {
                    let mut block = vec![0; BLOCK];
                    let length = match from.read(&mut block) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        length => length?,
                    };
                    block.truncate(length);
                    // The receiver was dropped, or the pipe has ended.
                    if sender.send(Ok(block)).is_err() || length == 0 {
                        return Ok(());
                    }
                }
            });
            if let Err(error) = read {
                let _ = sender.send(Err(error)); // The receiver may be gone.
            }
        };
        std::thread::Builder::new().name("qualys-file-pipe".to_owned()).spawn(read_all)?;
        Ok(Self { blocks, block: Vec::new(), position: 0, services: services.clone() })
    }
}

impl Read for CancellableReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.position == self.block.len() {
            match self.blocks.recv_timeout(Duration::from_millis(200)) {
                // An empty block marks the end.
                Ok(Ok(block)) if block.is_empty() => return Ok(0),
                Ok(block) => (self.block, self.position) = (block?, 0),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) if self.services.is_cancelled() => {
                    return Err(io::Error::other("the run was interrupted"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let length = into.len().min(self.block.len() - self.position);
        into[..length].copy_from_slice(&self.block[self.position..self.position + length]);
        self.position += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    /// Returns each piece after a delay.
    struct Slow(Vec<&'static [u8]>);

    impl Read for Slow {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            sleep(Duration::from_millis(300));
            let piece = self.0.pop().unwrap_or_default();
            into[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn slow_pipe_is_read_to_its_end() {
        let services = Services::without_host(&std::env::temp_dir());
        let mut reader = CancellableReader::new(&services, || Ok(Slow(vec![b"late", b"is "]))).unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "is late");
    }
}
