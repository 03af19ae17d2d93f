//! Executes one DATA message and builds the text of its result.

use std::net::IpAddr;

use super::address_list;
use super::behavior::Behavior;
use super::command::{self, SOURCE_COMMANDS};
use super::host_map::HostMap;
use super::line::Line;
use super::pending::Pending;

/// The state that is kept between messages and connections.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) map: HostMap,
    /// The current source. It is kept between messages, and between connections.
    source: Option<String>,
    /// The current product map.
    product_map: Option<String>,
}

/// One message during execution.
struct Message<'a> {
    state: &'a mut State,
    pending: &'a mut Pending,
    behavior: &'a Behavior,
    /// The current domain: that of the certificate until `SetDomain`.
    domain: String,
    command_count: u64,
    before_done: String,
    after_done: String,
}

/// The message was aborted.
struct Aborted;

/// Executes a message. Returns the result text and the domain that was selected last.
pub(super) fn execute(
    body: &[u8],
    state: &mut State,
    pending: &mut Pending,
    behavior: &Behavior,
) -> (String, String) {
    let mut message = Message {
        state,
        pending,
        behavior,
        domain: GLOBAL.to_owned(),
        command_count: 0,
        before_done: String::new(),
        after_done: String::new(),
    };
    for line in body.split(|byte| *byte == b'\n') {
        let is_dropped = behavior
            .unreadable
            .as_ref()
            .is_some_and(|text| line.windows(text.len()).any(|part| part == text.as_bytes()));
        if !is_dropped
            && let Line::Fields(fields) = Line::read(line, behavior.line_reader)
            && message.line(fields).is_err()
        {
            return (message.before_done, message.domain);
        }
    }
    let Message { before_done, command_count, after_done, domain, .. } = message;
    (format!("{before_done}Done processing {command_count} commands.\n{after_done}"), domain)
}

impl Message<'_> {
    fn line(&mut self, mut fields: Vec<String>) -> Result<(), Aborted> {
        // `SetMap:name,Command,…` selects the map for this line only.
        if let Some(name) = fields[0].strip_prefix("SetMap:").map(str::to_owned) {
            fields.remove(0);
            let previous = self.state.product_map.clone();
            self.set_map(&name)?;
            if !fields.is_empty() {
                self.command(&fields)?;
            }
            self.state.product_map = previous;
            return Ok(());
        }
        self.command(&fields)
    }

    fn command(&mut self, fields: &[String]) -> Result<(), Aborted> {
        let argument = |index: usize| fields.get(index).map(String::as_str).unwrap_or_default();
        match fields[0].as_str() {
            "SetDomain" => return self.set_domain(argument(1)),
            "SetSourceType" => return Ok(()),
            "SetSource" => return self.set_source(argument(1)),
            "SetMap" => {
                self.command_count += 1;
                return self.set_map(argument(1));
            }
            "AddScanResult" => match command::addition(fields) {
                Ok(addition) => self.pending.add(addition),
                Err(reason) => self.add_failure(fields, &reason),
            },
            "DeleteScanResult" => match command::deletion(fields) {
                Ok(deletion) => self.pending.delete(deletion),
                Err(reason) => self.add_failure(fields, &reason),
            },
            "ScanUpdate" => {
                let failures = self.pending.update(&mut self.state.map, &self.domain, self.behavior);
                self.after_done.extend(failures);
            }
            "ScanFlush" => {
                let failures = self.pending.flush(&mut self.state.map, &self.domain, self.behavior);
                self.after_done.extend(failures);
            }
            name if SOURCE_COMMANDS.contains(&name) => self.with_source(fields),
            // Unknown commands are dropped; the real center erases their warnings before it builds the result.
            _ => return Ok(()),
        }
        self.command_count += 1;
        Ok(())
    }

    fn with_source(&mut self, fields: &[String]) {
        if self.state.source.is_none() {
            self.add_message(&format!("[{}]: Must set source application", fields[0]));
        }
        if !self.is_leaf() {
            let reason = format!("'{}' is not a leaf domain", self.domain);
            return self.add_failure(fields, &reason);
        }
        let argument = |index: usize| fields.get(index).map(String::as_str).unwrap_or_default();
        match fields[0].as_str() {
            "AddHost" => match argument(1).parse::<IpAddr>() {
                Ok(address) if !self.behavior.failing_hosts.contains(&address) => {
                    let key = (self.domain.clone(), address);
                    self.state.map.assets.entry(key).or_default().is_added = true;
                }
                Ok(_) => self.add_failure(fields, "Failed to send UserMessage"),
                Err(_) => self.add_failure(fields, "Failed to recognize IP address:"),
            },
            "DeleteHost" | "SetOS" | "UnsetOS" | "SetAttributeValue" | "DeleteAttributeValue" => {
                self.for_each_address(fields);
            }
            _ => {}
        }
    }

    fn for_each_address(&mut self, fields: &[String]) {
        let known: Vec<IpAddr> = self.state.map.assets.keys().map(|(_, address)| *address).collect();
        let (addresses, messages) =
            address_list::matching(fields.get(1).map(String::as_str).unwrap_or_default(), &known);
        messages.iter().for_each(|message| self.add_message(message));
        for address in addresses {
            let key = (self.domain.clone(), address);
            let text = |index: usize| fields.get(index).cloned().unwrap_or_default();
            if fields[0] == "DeleteHost" {
                self.state.map.assets.remove(&key);
                continue;
            }
            let Some(asset) = self.state.map.assets.get_mut(&key) else { continue };
            match fields[0].as_str() {
                "SetOS" => asset.os = Some([text(2), text(3), text(4)]),
                "SetAttributeValue" => _ = asset.attributes.insert(text(2), text(3)),
                "DeleteAttributeValue" => _ = asset.attributes.remove(&text(2)),
                _ => asset.os = None,
            }
        }
    }

    fn set_domain(&mut self, name: &str) -> Result<(), Aborted> {
        let name = name.strip_prefix("Global\\").unwrap_or(name);
        if name == GLOBAL || self.behavior.domains.iter().any(|domain| domain == name) {
            self.domain = name.to_owned();
            return Ok(());
        }
        self.abort(&format!("'{name}' is not in the certificate domain"))
    }

    fn set_source(&mut self, name: &str) -> Result<(), Aborted> {
        if !self.is_leaf() {
            return self.abort(&format!("'{}' is not a leaf domain", self.domain));
        }
        self.state.source = Some(name.to_owned());
        Ok(())
    }

    fn set_map(&mut self, name: &str) -> Result<(), Aborted> {
        if self.behavior.maps.iter().any(|map| map == name) {
            self.state.product_map = Some(name.to_owned());
            return Ok(());
        }
        self.abort(&format!("Failed to find map '{name}'"))
    }

    fn is_leaf(&self) -> bool {
        self.behavior.domains.is_empty() || self.domain != GLOBAL
    }

    fn add_failure(&mut self, fields: &[String], reason: &str) {
        self.add_message(reason);
        let field_list: Vec<_> = fields
            .iter()
            .enumerate()
            .skip(1)
            .map(|(index, value)| format!("field {index}: {value}"))
            .collect();
        self.add_message(&format!("Failed to Execute Command: {}\n{}", fields[0], field_list.join("\n")));
    }

    fn abort(&mut self, reason: &str) -> Result<(), Aborted> {
        self.add_message(reason);
        Err(Aborted)
    }

    /// The real messages contain a file and line of the interpreter's source; ours is invented.
    fn add_message(&mut self, text: &str) {
        self.before_done.push_str(text);
        self.before_done.push_str(" [fake,1]\n");
    }
}

pub(super) const GLOBAL: &str = "Global";
