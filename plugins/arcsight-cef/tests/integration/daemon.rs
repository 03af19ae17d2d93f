//! Real receivers: rsyslog and syslog-ng, in the foreground, with their own files and free ports.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scanbridge_doubles::certificates::{Authority, Request, installed};

/// The kind of receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    /// rsyslog's imtcp.
    RsyslogTcp,
    /// rsyslog's imptcp; some versions duplicate messages that are too long.
    RsyslogPlainTcp,
    /// rsyslog's imtcp with GnuTLS.
    RsyslogTls,
    /// rsyslog's imudp.
    RsyslogUdp,
    /// syslog-ng's `network()`, with newline framing.
    NgNetwork,
    /// The same. Writes host, program and message of each message, as syslog-ng reads them.
    NgNetworkFields,
    /// The same with `flags(syslog-protocol)`.
    NgProtocolFields,
    /// syslog-ng's `network()` for datagrams.
    NgUdp,
    /// syslog-ng's `syslog()`, with octet-counted framing.
    NgSyslog,
    /// The same over TLS.
    NgTls,
}

/// A receiver that writes each message as a line, and can be stopped and started again.
#[derive(Debug)]
pub(crate) struct Daemon {
    listener: Listener,
    port: u16,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Daemon {
    /// Starts a receiver; `None` if the program is missing. With `CI=true`, a missing program is a failure.
    pub(crate) fn start(listener: Listener) -> Option<Self> {
        if !is_installed(listener) {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("Example Root CA");
        let _ = authority.write_pem(folder.path(), "ca.pem");
        let _ =
            authority.issue(&Request::server(&["localhost", "127.0.0.1"])).write_pem(folder.path(), "server");
        let mut daemon = Self { listener, port, folder, child: None };
        fs::write(daemon.path("conf"), daemon.config()).unwrap();
        fs::write(daemon.path("out"), "").unwrap();
        daemon.run();
        Some(daemon)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The authority of its certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The file that it writes messages to.
    pub(crate) fn output(&self) -> PathBuf {
        self.path("out")
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn run(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(20);
        while !self.listens() {
            let log = || fs::read_to_string(self.path("log")).unwrap();
            assert!(Instant::now() < end, "{:?} does not listen: {}", self.listener, log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends SIGTERM, as an operator does, and waits until it has stopped.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
            kill_process(pid, Signal::TERM).unwrap();
            child.wait().unwrap();
        }
    }

    fn listens(&self) -> bool {
        if !matches!(self.listener, Listener::RsyslogUdp | Listener::NgUdp) {
            return TcpStream::connect(self.address()).is_ok();
        }
        // The second column is the local address in hexadecimal digits.
        let port = format!(":{:04X}", self.port);
        let sockets = fs::read_to_string("/proc/net/udp").unwrap();
        sockets.lines().any(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&port)))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        if self.listener.is_rsyslog() {
            let mut command = Command::new("rsyslogd");
            command.arg("-n").arg("-f").arg(self.path("conf")).arg("-i").arg(self.path("pid"));
            return command;
        }
        let root = ng_root();
        let library = root.join("usr/lib/syslog-ng");
        let mut command = Command::new(root.join("usr/sbin/syslog-ng"));
        let libraries =
            [library.clone(), root.join("usr/lib/x86_64-linux-gnu"), root.join("lib/x86_64-linux-gnu")];
        command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries).unwrap());
        command.args(["-F", "--no-caps"]).arg("-f").arg(self.path("conf")).arg("-p").arg(self.path("pid"));
        command.arg("-c").arg(self.path("ctl")).arg("-R").arg(self.path("persist"));
        command.arg("--module-path").arg(library.join("3.38"));
        command
    }

    fn config(&self) -> String {
        let folder = self.folder.path().display();
        let port = self.port;
        if self.listener.is_rsyslog() {
            self.rsyslog_config()
        } else {
            ng_config(self.listener, &folder.to_string(), port)
        }
    }

    fn rsyslog_config(&self) -> String {
        let (folder, port) = (self.folder.path().display(), self.port);
        let mut text = String::new();
        let mut line = |line: String| writeln!(text, "{line}").unwrap();
        if self.listener == Listener::RsyslogTls {
            line(format!(
                "global(workDirectory=\"{folder}\" defaultNetstreamDriver=\"gtls\" \
                 defaultNetstreamDriverCAFile=\"{folder}/ca.pem\" \
                 defaultNetstreamDriverCertFile=\"{folder}/server.crt\" \
                 defaultNetstreamDriverKeyFile=\"{folder}/server.key\")"
            ));
        } else {
            line(format!("global(workDirectory=\"{folder}\")"));
        }
        // It must write all received messages before it stops.
        line("main_queue(queue.timeoutshutdown=\"60000\")".to_owned());
        let module = match self.listener {
            Listener::RsyslogUdp => "imudp",
            Listener::RsyslogPlainTcp => "imptcp",
            _ => "imtcp",
        };
        let driver = match self.listener {
            Listener::RsyslogTls => {
                " streamDriver.name=\"gtls\" streamDriver.mode=\"1\" streamDriver.authMode=\"anon\""
            }
            _ => "",
        };
        line(format!("module(load=\"{module}\"{driver})"));
        line(
            "template(name=\"raw\" type=\"string\" string=\"%hostname% %programname% %rawmsg%\\n\")"
                .to_owned(),
        );
        line(format!(
            "ruleset(name=\"all\") {{ action(type=\"omfile\" file=\"{folder}/out\" template=\"raw\") }}"
        ));
        line(format!("input(type=\"{module}\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"all\")"));
        text
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Listener {
    fn is_rsyslog(self) -> bool {
        matches!(self, Self::RsyslogTcp | Self::RsyslogPlainTcp | Self::RsyslogTls | Self::RsyslogUdp)
    }
}

fn ng_config(listener: Listener, folder: &str, port: u16) -> String {
    let tls = format!(
        "tls(key-file(\"{folder}/server.key\") cert-file(\"{folder}/server.crt\") ca-file(\"{folder}/ca.pem\") \
         peer-verify(optional-untrusted))"
    );
    let source = match listener {
        Listener::NgNetwork => {
            format!("network(ip(\"127.0.0.1\") port({port}) transport(\"tcp\") log-msg-size(8192))")
        }
        Listener::NgNetworkFields => format!("network(ip(\"127.0.0.1\") port({port}) keep-hostname(yes))"),
        Listener::NgProtocolFields => {
            format!("network(ip(\"127.0.0.1\") port({port}) keep-hostname(yes) flags(syslog-protocol))")
        }
        Listener::NgUdp => format!("network(ip(\"127.0.0.1\") port({port}) transport(\"udp\"))"),
        Listener::NgSyslog => {
            format!("syslog(ip(\"127.0.0.1\") port({port}) transport(\"tcp\") log-msg-size(8192))")
        }
        _ => format!("syslog(ip(\"127.0.0.1\") port({port}) transport(\"tls\") log-msg-size(8192) {tls})"),
    };
    let template = match listener {
        Listener::NgNetworkFields | Listener::NgProtocolFields => "${HOST} ${PROGRAM} ${MESSAGE}\\n",
        _ => "${HOST} ${PROGRAM} ${MSGHDR}${MESSAGE}\\n",
    };
    format!(
        "@version: 3.38\noptions {{ keep-hostname(yes); }};\nsource s {{ {source}; }};\n\
         destination d {{ file(\"{folder}/out\" template(\"{template}\")); }};\n\
         log {{ source(s); destination(d); flags(flow-control); }};\n"
    )
}

/// Where the script `tests/doubles/unpack-syslog-ng` has unpacked syslog-ng; `/` for an installed one.
fn ng_root() -> PathBuf {
    std::env::var_os("SYSLOG_NG_ROOT").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

fn is_installed(listener: Listener) -> bool {
    if listener.is_rsyslog() {
        return installed("rsyslogd");
    }
    let is_unpacked = ng_root().join("usr/sbin/syslog-ng").exists() && Path::new("/proc/net/udp").exists();
    is_unpacked || installed("syslog-ng")
}
