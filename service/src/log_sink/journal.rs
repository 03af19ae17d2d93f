//! The journal's native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>): one datagram with free fields per entry.

use std::fs::File;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr};

/// The socket of systemd-journald.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";
/// A journal that does not read must not stop the service.
const WRITE_LIMIT: Duration = Duration::from_secs(2);
/// The journal refuses longer names of fields.
const MAX_NAME: usize = 64;

/// The connection to the journal. There is nothing to close or repeat: each entry names its socket.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

/// One entry in the form of the protocol.
#[derive(Debug, Default)]
pub(super) struct Entry(Vec<u8>);

impl Journal {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(WRITE_LIMIT))?;
        Ok(Self { socket, path: path.to_owned() })
    }

    /// Sends an entry. One that is too long for a datagram goes through a sealed file in memory.
    ///
    /// # Errors
    /// When the socket is missing, or nothing reads it.
    pub(super) fn send(&self, entry: &Entry) -> io::Result<()> {
        match self.socket.send_to(&entry.0, &self.path) {
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::MSGSIZE | Errno::NOBUFS)) => {
                self.send_file(&entry.0)
            }
            sent => sent.map(drop),
        }
    }

    fn send_file(&self, entry: &[u8]) -> io::Result<()> {
        let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
        let mut file = File::from(memfd_create("scanbridge-log", flags)?);
        file.write_all(entry)?;
        // The journal maps the file only if it cannot change any more.
        fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = [file.as_fd()];
        let has_space = control.push(SendAncillaryMessage::ScmRights(&files));
        assert!(has_space, "the buffer has the size of one file descriptor");
        let address = SocketAddrUnix::new(&self.path)?;
        sendmsg_addr(&self.socket, &address, &[], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

impl Entry {
    /// Adds a field. Its name becomes upper case, with `_` for each character that the journal does not allow in a name.
    pub(super) fn add(&mut self, prefix: &str, name: &str, value: &str) {
        let name = prefix.chars().chain(name.chars()).take(MAX_NAME);
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        self.0.extend(name.map(|c| letter(c) as u8));
        if value.contains('\n') {
            self.0.push(b'\n');
            self.0.extend((value.len() as u64).to_le_bytes());
        } else {
            self.0.push(b'=');
        }
        self.0.extend(value.as_bytes());
        self.0.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use std::io::{IoSliceMut, Read, Seek};

    use rustix::fs::fcntl_get_seals;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::*;

    /// A journal of which only the socket is there.
    fn double() -> (tempfile::TempDir, UnixDatagram, Journal) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        (folder, socket, Journal::new(&path).unwrap())
    }

    #[test]
    fn fields_have_valid_names_and_any_value() {
        let mut entry = Entry::default();
        entry.add("", "PRIORITY", "4");
        entry.add("SCANBRIDGE_", "fields.état", "a=b");
        entry.add("SCANBRIDGE_", "hint", "two\nlines\n");
        entry.add("SCANBRIDGE_", &"x".repeat(100), "");
        let (_folder, socket, journal) = double();
        journal.send(&entry).unwrap();
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        let expected = [
            &b"PRIORITY=4\nSCANBRIDGE_FIELDS__TAT=a=b\nSCANBRIDGE_HINT\n\x0a\0\0\0\0\0\0\0two\nlines\n\n"[..],
            b"SCANBRIDGE_",
            &[b'X'; 53],
            b"=\n",
        ];
        assert_eq!(buffer[..length].escape_ascii().to_string(), expected.concat().escape_ascii().to_string());
    }

    #[test]
    fn long_entry_comes_as_a_sealed_file() {
        let (_folder, socket, journal) = double();
        let mut entry = Entry::default();
        entry.add("", "MESSAGE", &"a long text ".repeat(500_000));
        journal.send(&entry).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut data = [0; 16];
        let received =
            recvmsg(&socket, &mut [IoSliceMut::new(&mut data)], &mut control, RecvFlags::empty()).unwrap();
        assert_eq!(received.bytes, 0, "the datagram itself is empty");
        let Some(RecvAncillaryMessage::ScmRights(mut files)) = control.drain().next() else { panic!() };
        let mut file = File::from(files.next().unwrap());
        let seals = fcntl_get_seals(&file).unwrap();
        assert!(seals.contains(SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE));
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        assert!(bytes == entry.0);
    }

    #[test]
    fn journal_that_is_missing_or_does_not_read_is_an_error() {
        let (folder, socket, journal) = double();
        let mut entry = Entry::default();
        entry.add("", "MESSAGE", "text");
        let error = (0..100_000).find_map(|_| journal.send(&entry).err()).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(socket);
        assert_eq!(journal.send(&entry).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        std::fs::remove_file(folder.path().join("socket")).unwrap();
        assert_eq!(journal.send(&entry).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
