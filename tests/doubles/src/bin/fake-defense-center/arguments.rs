//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use scanbridge_doubles::certificates::Pkcs12;
use scanbridge_doubles::fake_defense_center::{
    Behavior, LineReader, Oversize, Stage, UnknownAssets, VersionRefusal,
};

pub(crate) const USAGE: &str = "\
usage: fake-defense-center [OPTION]…
  Writes FOLDER/client.pkcs12 and FOLDER/defense-center.pem, then listens until SIGTERM or SIGINT.

  --address IP            listen on this address (127.0.0.1)
  --port PORT             listen on this port; 0 selects a free one (8307)
  --folder FOLDER         directory for the client file and the authority (.)
  --password TEXT         password of the client file (empty)
  --modern                encrypt the client file with AES instead of RC2 and 3DES
  --map FILE              at the end, write the assets with their results and attributes to this file, as JSON
  --results FILE          before each reply, write the results of all assets to this file, one per line
  --tolerant              accept lines with bytes other than printable ASCII
  --max-size BYTES        announced maximum size of a message (524288)
  --domain NAME           a leaf domain; can be repeated
  --product-map NAME      a third-party product map that SetMap accepts; can be repeated
  --highest-version N     newest supported protocol version (1)
  --unknown-assets WORD   results for unknown assets are `kept`, `ignored`, or `fail` (kept)
  --flush-all-scanners    ScanFlush also deletes the results of other scanners
  --help                  print this text

Faults. N is the number of a message, from 1, counted over all connections:
  --reset                 end connections with a TCP reset, without a TLS close_notify
  --rude                  reset connections of clients with an unknown certificate, without a TLS alert
  --close-at POINT        close one connection at `handshake`, `version`, `message=N`, `reply=N`, or `half-reply=N`
  --close-after-bytes N   close one connection after N received bytes
  --close-on WORD         close without a message on a newer `version` or an `oversize` message; can be repeated
  --unreadable TEXT       drop lines that contain this text
  --failing-asset IP      flush and update of this asset fail; can be repeated
  --failing-host IP       AddHost of this asset fails; can be repeated
  --no-reply N            never reply to message N
  --reply N=TYPE:TEXT     reply to message N with a frame of this type and text; can be repeated
  --greeting TYPE:TEXT    first frame, instead of the maximum size
  --reply-pieces BYTES    send replies in pieces of this size
  --piece-delay MS        delay before each piece, in milliseconds
  --reply-delay MS        delay before each reply, in milliseconds";

/// The options.
pub(crate) struct Arguments {
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) folder: PathBuf,
    pub(crate) password: String,
    pub(crate) encryption: Pkcs12,
    /// The file for the host map.
    pub(crate) map: Option<PathBuf>,
    pub(crate) behavior: Behavior,
}

impl Arguments {
    /// Parses the command line. `None` if it asks for help.
    ///
    /// # Errors
    /// An unknown option, or a missing or invalid value.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut arguments = Self {
            address: "127.0.0.1".to_owned(),
            port: 8307,
            folder: PathBuf::from("."),
            password: String::new(),
            encryption: Pkcs12::DefenseCenter,
            map: None,
            behavior: Behavior::default(),
        };
        while let Some(option) = words.next() {
            if option == "--help" {
                return Ok(None);
            }
            let mut value = || words.next().ok_or("requires a value".to_owned());
            arguments.set(&option, &mut value).map_err(|reason| format!("{option}: {reason}"))?;
        }
        Ok(Some(arguments))
    }

    fn set(&mut self, option: &str, value: &mut dyn FnMut() -> Result<String, String>) -> Result<(), String> {
        let behavior = &mut self.behavior;
        match option {
            "--address" => self.address = value()?,
            "--port" => self.port = number(&value()?)?,
            "--folder" => self.folder = value()?.into(),
            "--password" => self.password = value()?,
            "--modern" => self.encryption = Pkcs12::Modern,
            "--map" => self.map = Some(value()?.into()),
            "--results" => behavior.results_file = Some(value()?.into()),
            "--tolerant" => behavior.line_reader = LineReader::Tolerant,
            "--max-size" => behavior.max_size = number(&value()?)?,
            "--domain" => behavior.domains.push(value()?),
            "--product-map" => behavior.maps.push(value()?),
            "--highest-version" => behavior.highest_version = number(&value()?)?,
            "--unknown-assets" => behavior.unknown_assets = unknown_assets(&value()?)?,
            "--flush-all-scanners" => behavior.flush_deletes_all_scanners = true,
            _ => return self.set_fault(option, value),
        }
        Ok(())
    }

    fn set_fault(
        &mut self,
        option: &str,
        value: &mut dyn FnMut() -> Result<String, String>,
    ) -> Result<(), String> {
        let behavior = &mut self.behavior;
        match option {
            "--reset" => behavior.reset_connections = true,
            "--rude" => behavior.rude = true,
            "--close-at" => behavior.close_at = Some(stage(&value()?)?),
            "--close-after-bytes" => behavior.close_after_bytes = Some(number(&value()?)?),
            "--close-on" => match value()?.as_str() {
                "version" => behavior.version_refusal = VersionRefusal::Close,
                "oversize" => behavior.oversize = Oversize::Close,
                other => return Err(format!("`{other}` must be `version` or `oversize`")),
            },
            "--unreadable" => behavior.unreadable = Some(value()?),
            "--failing-asset" => _ = behavior.failing_assets.insert(address(&value()?)?),
            "--failing-host" => _ = behavior.failing_hosts.insert(address(&value()?)?),
            "--no-reply" => behavior.no_reply_to = Some(number(&value()?)?),
            "--reply" => {
                let text = value()?;
                let (message, reply) = text.split_once('=').ok_or("must be N=TYPE:TEXT")?;
                behavior.replies.insert(number(message)?, frame(reply)?);
            }
            "--greeting" => behavior.greeting = Some(frame(&value()?)?),
            "--reply-pieces" => behavior.reply_pieces = Some(number(&value()?)?),
            "--piece-delay" => behavior.piece_delay = Duration::from_millis(number(&value()?)?),
            "--reply-delay" => behavior.reply_delay = Duration::from_millis(number(&value()?)?),
            _ => return Err("unknown option".to_owned()),
        }
        Ok(())
    }
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("`{text}` is not a valid number"))
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an IP address"))
}

fn unknown_assets(word: &str) -> Result<UnknownAssets, String> {
    match word {
        "kept" => Ok(UnknownAssets::Kept),
        "ignored" => Ok(UnknownAssets::Ignored),
        "fail" => Ok(UnknownAssets::Fail),
        other => Err(format!("`{other}` must be `kept`, `ignored` or `fail`")),
    }
}

fn stage(text: &str) -> Result<Stage, String> {
    let unknown = || format!("unknown point `{text}`");
    match text.split_once('=') {
        None if text == "handshake" => Ok(Stage::Handshake),
        None if text == "version" => Ok(Stage::Version),
        Some(("message", message)) => Ok(Stage::Message(number(message)?)),
        Some(("reply", message)) => Ok(Stage::Reply(number(message)?)),
        Some(("half-reply", message)) => Ok(Stage::HalfReply(number(message)?)),
        _ => Err(unknown()),
    }
}

/// Type and body of a frame, from `TYPE:TEXT`.
fn frame(text: &str) -> Result<(u32, Vec<u8>), String> {
    let (kind, body) = text.split_once(':').ok_or("a frame must be TYPE:TEXT")?;
    Ok((number(kind)?, body.as_bytes().to_vec()))
}
