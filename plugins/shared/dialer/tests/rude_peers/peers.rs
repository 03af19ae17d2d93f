//! Peers that do not accept connections, and a host that requests a stop.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{LazyLock, Mutex};

use scanbridge_plugin_api::abi::{InputHandle, input_table};
use scanbridge_plugin_api::batch::BatchBuilder;
use scanbridge_plugin_api::{
    CheckReport, Input, Open, OpenedInput, OptionSpec, Position, Result, Services, Step,
};
use scanbridge_plugin_contract::ExamHost;
use serde_json::json;
use socket2::{Domain, Socket, Type};

/// A machine that does not respond: the queue of this listener is full, so the kernel drops further requests.
pub(crate) struct BlackHole {
    pub(crate) address: SocketAddr,
    _listener: Socket,
    _first: TcpStream,
}

impl BlackHole {
    pub(crate) fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        Self { address, _first: TcpStream::connect(address).unwrap(), _listener: listener }
    }
}

/// An address that refuses connections: its listener is closed.
pub(crate) fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A host that can request a stop, and the services of a plugin that it has opened.
pub(crate) fn stoppable() -> (&'static ExamHost, Services) {
    let host = ExamHost::new();
    let frame = scanbridge_plugin_contract::frame(&json!({}), Path::new("/nonexistent"));
    let services = OPENED.1.lock().unwrap();
    let opened = InputHandle::open(input_table::<Plugin>(), &frame, None, host.table());
    drop(opened.unwrap());
    (host, services.recv().unwrap())
}

/// The services of the instances of [`Plugin`].
static OPENED: LazyLock<(Sender<Services>, Mutex<Receiver<Services>>)> = LazyLock::new(|| {
    let (sender, receiver) = channel();
    (sender, Mutex::new(receiver))
});

/// A plugin that passes its services to the test: only an opened plugin has services that can be cancelled.
struct Plugin;

impl Input for Plugin {
    const NAME: &'static str = "Dialing";
    const SUMMARY: &'static str = "passes its services to the test";
    const OPTIONS: &'static [OptionSpec] = &[];

    fn open(open: &Open<'_>, _: Option<&Position>) -> Result<OpenedInput<Self>> {
        OPENED.0.send(open.services.clone()).unwrap();
        Ok(Self.into())
    }

    fn check(&mut self) -> Result<CheckReport> {
        Ok(CheckReport::default())
    }

    fn next(&mut self, _: BatchBuilder) -> Result<Step> {
        Ok(Step::finished())
    }
}
