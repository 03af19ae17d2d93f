//! Blocks of commands become message bodies: the header lines first, then as many complete assets as fit.

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
    pub(crate) shares: Vec<Share>,
    /// Whether it has a part of an asset that is too large for one body. No other asset is in it then.
    is_part: bool,
}

/// What a body holds of one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// The asset.
    pub(crate) address: IpAddr,
    /// Where its lines begin in the body's text.
    start: usize,
    /// How many lines it has.
    pub(crate) commands: u64,
    /// How many of them are findings.
    pub(crate) findings: u64,
    /// How many assets end with it: none for a part, more than one for an asset that comes twice in a row.
    pub(crate) ended: u64,
}

impl Body {
    /// A body of one command for each of these assets, as far as judging its answer goes.
    pub(crate) fn about(assets: impl Iterator<Item = IpAddr>) -> Self {
        let mut body = Self::default();
        assets.for_each(|address| {
            body.add(Block { address, text: "", commands: 1, findings: 0, ends_asset: true });
        });
        body
    }

    /// Whether it contains this asset.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.shares.iter().any(|share| share.address == address)
    }

    /// The same in bodies of one asset each. No asset is split, because a part of an asset is already in a body of
    /// its own.
    pub(crate) fn one_by_one(&self) -> impl Iterator<Item = Self> {
        let header = self.shares.first().map_or(0, |share| share.start);
        let ends = self.shares.iter().skip(1).map(|share| share.start).chain([self.text.len()]);
        self.shares.iter().zip(ends).map(move |(share, end)| Self {
            text: format!("{}{}", &self.text[..header], &self.text[share.start..end]),
            commands: share.commands,
            findings: share.findings,
            shares: vec![Share { start: header, ..*share }],
            is_part: self.is_part,
        })
    }

    fn add(&mut self, block: Block<'_>) {
        let Block { address, text, commands, findings, ends_asset } = block;
        if self.shares.last().is_none_or(|share| share.address != address) {
            let start = self.text.len();
            self.shares.push(Share { address, start, commands: 0, findings: 0, ended: 0 });
        }
        if let Some(share) = self.shares.last_mut() {
            share.commands += commands;
            share.findings += findings;
            share.ended += u64::from(ends_asset);
        }
        self.text.push_str(text);
        self.commands += commands;
        self.findings += findings;
    }
}

/// Fills bodies. An asset is split only when it alone is too large for a body. Then the Defense Center keeps its
/// commands pending until the asset's last line, so that it is still replaced completely.
#[derive(Debug)]
pub(crate) struct Packer {
    header: String,
    limits: Limits,
    body: Body,
    /// Whether the last block did not end its asset.
    cut: bool,
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
        Self { header, limits, body: Body::default(), cut: false }
    }

    /// What is left of a body for blocks.
    pub(crate) fn room(&self) -> usize {
        self.limits.bytes.saturating_sub(self.header.len())
    }

    /// A report begins.
    pub(crate) fn begin(&mut self, limits: Limits) {
        self.limits = limits;
        self.cut = false;
    }

    /// Adds a block; if it does not fit, the current body is sent first. Returns the number of lines that were
    /// skipped because the Defense Center accepts no message of that size.
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
        let is_part = self.cut || !block.ends_asset;
        let is_other = self.body.shares.last().is_some_and(|share| share.address != block.address);
        if too_long || too_many || is_other && (is_part || self.body.is_part) {
            self.flush(send)?;
        }
        self.cut = !block.ends_asset;
        let Self { header, body, .. } = self;
        if body.text.is_empty() {
            body.text.push_str(header);
        }
        body.add(block);
        body.is_part |= is_part;
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
        let Body { text, commands, findings, shares, is_part } = &mut self.body;
        text.clear();
        shares.clear();
        (*commands, *findings, *is_part) = (0, 0, false);
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
