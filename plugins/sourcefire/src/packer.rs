//! Blocks of commands become message bodies: the header lines first, then as many whole assets as there is room for.

use std::net::IpAddr;

use scanbridge_host_input_commands::Block;
use scanbridge_plugin_api::Result;

/// The body of one message.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    /// The lines.
    pub(crate) text: String,
    /// How many of them the Defense Center counts.
    pub(crate) commands: u64,
    /// How many of them are findings.
    pub(crate) findings: u64,
    /// The assets that they are about, in order.
    pub(crate) assets: Vec<IpAddr>,
    /// How many assets end in it.
    pub(crate) ended: u64,
}

/// Fills bodies. An asset is split only when it alone is too large for a body; then the Defense Center keeps what
/// was asked for until the asset's last line, so that it is replaced as a whole all the same.
#[derive(Debug)]
pub(crate) struct Packer {
    header: String,
    limits: Limits,
    body: Body,
}

/// How large bodies may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// In bytes, header lines and all.
    pub(crate) bytes: usize,
    /// In bytes, at the utmost: what the center takes. Only a single line that is longer than `bytes` comes here.
    pub(crate) most_bytes: usize,
    /// In findings, unless a single asset has more.
    pub(crate) findings: u64,
}

impl Packer {
    pub(crate) fn new(header: String, limits: Limits) -> Self {
        Self { header, limits, body: Body::default() }
    }

    /// What is left of a body for blocks.
    pub(crate) fn room(&self) -> usize {
        self.limits.bytes.saturating_sub(self.header.len())
    }

    pub(crate) fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Adds a block; what there is no room for any more is sent before. Gives how many lines were left out since
    /// the center takes no message that long.
    ///
    /// # Errors
    /// Those of `send`.
    pub(crate) fn push(
        &mut self,
        block: Block<'_>,
        send: &mut impl FnMut(&Body) -> Result<()>,
    ) -> Result<u64> {
        if self.header.len() + block.text.len() > self.limits.most_bytes {
            return self.push_lines(block, send);
        }
        let too_long = self.body.text.len() + block.text.len() > self.limits.bytes;
        let too_many = self.body.findings + block.findings > self.limits.findings;
        if too_long || too_many {
            self.flush(send)?;
        }
        let Self { header, body, .. } = self;
        if body.text.is_empty() {
            body.text.push_str(header);
        }
        body.text.push_str(block.text);
        body.commands += block.commands;
        body.findings += block.findings;
        body.ended += u64::from(block.ends_asset);
        if body.assets.last() != Some(&block.address) {
            body.assets.push(block.address);
        }
        Ok(0)
    }

    /// Sends what there is.
    ///
    /// # Errors
    /// Those of `send`.
    pub(crate) fn flush(&mut self, send: &mut impl FnMut(&Body) -> Result<()>) -> Result<()> {
        if self.body.text.is_empty() {
            return Ok(());
        }
        let sent = send(&self.body);
        let Body { text, commands, findings, assets, ended } = &mut self.body;
        text.clear();
        assets.clear();
        (*commands, *findings, *ended) = (0, 0, 0);
        sent
    }

    /// Adds the lines of a block one by one, without those that are too long.
    fn push_lines(&mut self, block: Block<'_>, send: &mut impl FnMut(&Body) -> Result<()>) -> Result<u64> {
        let mut left_out = 0;
        let lines = block.text.split_inclusive('\n');
        let last = lines.clone().count().saturating_sub(1);
        for (index, text) in lines.enumerate() {
            if self.header.len() + text.len() > self.limits.most_bytes {
                left_out += 1;
                continue;
            }
            let findings = u64::from(text.starts_with("AddScanResult,"));
            let ends_asset = block.ends_asset && index == last;
            self.push(Block { text, commands: 1, findings, ends_asset, ..block }, send)?;
        }
        Ok(left_out)
    }
}

#[cfg(test)]
#[path = "packer_tests.rs"]
mod tests;
