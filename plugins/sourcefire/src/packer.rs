//! Packs blocks of commands into message bodies: the header lines, then as many complete assets as fit.

use std::net::IpAddr;

use scanbridge_host_input_commands::Block;
use scanbridge_plugin_api::Result;

/// The body of one message.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    /// The lines.
    pub(crate) text: String,
    /// The number of lines that the Defense Center counts.
    pub(crate) commands: u64,
    /// The number of lines that are findings.
    pub(crate) findings: u64,
    /// The assets in the body, in order.
    pub(crate) shares: Vec<Share>,
    /// Whether it contains a part of an asset that is too large for one body. Such a body contains no other asset.
    is_part: bool,
}

/// The part of a body that belongs to one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// The asset.
    pub(crate) address: IpAddr,
    /// The position in the body's text at which its lines begin.
    start: usize,
    /// The number of its lines.
    pub(crate) commands: u64,
    /// The number of its findings.
    pub(crate) findings: u64,
    /// The number of assets that end here: 0 for a part, more than 1 for an asset that appears twice in a row.
    pub(crate) ended: u64,
}

impl Body {
    /// A body with one command for each of these assets. It serves only to evaluate a reply.
    pub(crate) fn about(assets: impl Iterator<Item = IpAddr>) -> Self {
        let mut body = Self::default();
        assets.for_each(|address| {
            body.add(Block { address, text: "", commands: 1, findings: 0, ends_asset: true });
        });
        body
    }

    /// Returns true if the body contains this asset.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.shares.iter().any(|share| share.address == address)
    }

    /// Splits the body into bodies of one asset each. No asset is split, because a part of an asset already has its
    /// own body.
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

/// Packs blocks into bodies. An asset is split only if it is too large for one body. Then the Defense Center keeps
/// its commands pending until the asset's last line, so that it is still replaced completely.
#[derive(Debug)]
pub(crate) struct Packer {
    header: String,
    limits: Limits,
    body: Body,
    /// Whether the last block did not end its asset.
    in_asset: bool,
}

/// The limits of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Size in bytes, including the header lines. Only a single longer line makes a larger body.
    pub(crate) bytes: usize,
    /// Number of findings, unless a single asset has more.
    pub(crate) findings: u64,
}

impl Packer {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { header: String::new(), limits, body: Body::default(), in_asset: false }
    }

    /// The bytes that blocks may use in a body.
    pub(crate) fn block_limit(&self) -> usize {
        self.limits.bytes.saturating_sub(self.header.len())
    }

    /// Begins a report, whose bodies begin with `header`.
    pub(crate) fn begin(&mut self, header: String, limits: Limits) {
        self.header = header;
        self.limits = limits;
        self.in_asset = false;
    }

    /// Adds a block; if it does not fit, the current body is sent first.
    ///
    /// # Errors
    /// Those of `send`.
    pub(crate) fn push(
        &mut self,
        block: Block<'_>,
        send: &mut impl FnMut(&Body) -> Result<()>,
    ) -> Result<()> {
        let too_long = self.body.text.len() + block.text.len() > self.limits.bytes;
        let too_many = self.body.findings + block.findings > self.limits.findings;
        let is_part = self.in_asset || !block.ends_asset;
        let is_other = self.body.shares.last().is_some_and(|share| share.address != block.address);
        if too_long || too_many || is_other && (is_part || self.body.is_part) {
            self.flush(send)?;
        }
        self.in_asset = !block.ends_asset;
        let Self { header, body, .. } = self;
        if body.text.is_empty() {
            body.text.push_str(header);
        }
        body.add(block);
        body.is_part |= is_part;
        Ok(())
    }

    /// Sends the current body.
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
}

#[cfg(test)]
#[path = "packer_tests.rs"]
mod tests;
