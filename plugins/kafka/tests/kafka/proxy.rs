//! A proxy between clients and a broker, whose network a test interrupts.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::cluster::Cluster;

/// Forwards connections. It ends with this process.
pub(crate) struct Proxy {
    /// For the option `brokers`.
    pub(crate) address: String,
    network: Arc<Network>,
}

#[derive(Default)]
struct Network {
    target: OnceLock<String>,
    /// Nothing is forwarded and nothing is closed: packets get lost.
    is_halted: AtomicBool,
    /// Connections of an earlier number are closed.
    epoch: AtomicUsize,
}

const SLICE: Duration = Duration::from_millis(20);

impl Proxy {
    /// A broker of its own behind a proxy; `None` if it is not available.
    pub(crate) fn start() -> Option<(Cluster, Self)> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let network = Arc::new(Network::default());
        let cluster = Cluster::start(&["1", "--proxied", &port.to_string()])?;
        network.target.set(cluster.target.clone()).unwrap();
        let shared = Arc::clone(&network);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, network) = (client.unwrap(), Arc::clone(&shared));
                std::thread::spawn(move || network.connection(&client));
            }
        });
        Some((cluster, Self { address: format!("127.0.0.1:{port}"), network }))
    }

    /// Loses everything from now on, also the packets of new connections.
    pub(crate) fn halt(&self) {
        self.network.is_halted.store(true, Ordering::SeqCst);
    }

    /// Forwards again. What was on its way when the network was halted arrives now.
    pub(crate) fn resume(&self) {
        self.network.is_halted.store(false, Ordering::SeqCst);
    }

    /// Closes all connections; new ones work.
    pub(crate) fn reset(&self) {
        self.network.epoch.fetch_add(1, Ordering::SeqCst);
    }
}

impl Network {
    fn connection(self: Arc<Self>, client: &TcpStream) {
        let epoch = self.epoch.load(Ordering::SeqCst);
        self.wait(epoch);
        let Ok(broker) = TcpStream::connect(self.target.get().unwrap()) else { return };
        let (from, to) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
        let network = Arc::clone(&self);
        std::thread::spawn(move || network.forward(&from, &to, epoch));
        self.forward(&broker, client, epoch);
    }

    /// Waits while the network is halted. Returns whether the connection of this number still exists.
    fn wait(&self, epoch: usize) -> bool {
        while self.is_halted.load(Ordering::SeqCst) && self.epoch.load(Ordering::SeqCst) == epoch {
            std::thread::sleep(SLICE);
        }
        self.epoch.load(Ordering::SeqCst) == epoch
    }

    fn forward(&self, mut from: &TcpStream, mut to: &TcpStream, epoch: usize) {
        from.set_read_timeout(Some(SLICE)).unwrap();
        let mut piece = [0; 16 << 10];
        while self.wait(epoch) {
            match from.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => {
                    if !self.wait(epoch) || to.write_all(&piece[..length]).is_err() {
                        break;
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => break,
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
