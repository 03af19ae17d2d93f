//! Blocks: what the caller gets of an asset at once.

use std::net::IpAddr;

/// Complete command lines of one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// The asset.
    pub address: IpAddr,
    /// The lines, each with its LF.
    pub text: &'a str,
    /// The number of lines that the Defense Center counts in its reply.
    pub commands: u64,
    /// The number of lines that are findings.
    pub findings: u64,
    /// Whether the asset is complete: the text ends in [`SCAN_UPDATE`](crate::SCAN_UPDATE) or
    /// [`SCAN_FLUSH`](crate::SCAN_FLUSH). Otherwise the asset was too large for one block, and the next block continues
    /// it. Until the last block the Defense Center keeps the commands pending, so the asset is still replaced
    /// completely.
    pub ends_asset: bool,
}

/// The limits on what is passed on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockLimits {
    /// Maximum size of a block in bytes. Only a single longer line makes a larger block.
    pub bytes: usize,
    /// Maximum size of a line in bytes, with its LF. The line of a finding is shortened to it.
    pub line_bytes: usize,
    /// The size in bytes at which the first part of an asset is passed on before the asset has ended.
    pub asset_bytes: usize,
}

impl Default for BlockLimits {
    /// Blocks of 64 KiB and assets of 512 KiB, which only limits memory; lines of any size.
    fn default() -> Self {
        Self { bytes: 64 << 10, line_bytes: usize::MAX, asset_bytes: 512 << 10 }
    }
}

/// The block that is being filled. The buffer is reused.
#[derive(Debug, Default)]
pub(crate) struct OpenBlock {
    text: String,
    commands: u64,
    findings: u64,
}

impl OpenBlock {
    /// Adds a line. Passes on the block first if the line does not fit.
    pub(crate) fn push<E>(
        &mut self,
        address: IpAddr,
        line: &str,
        limit: usize,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.text.is_empty() && self.text.len() + line.len() > limit {
            self.pass_on(address, false, sink)?;
        }
        self.text.push_str(line);
        self.commands += 1;
        Ok(())
    }

    /// Adds the line of a finding.
    pub(crate) fn push_finding<E>(
        &mut self,
        address: IpAddr,
        line: &str,
        limit: usize,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.push(address, line, limit, sink)?;
        self.findings += 1;
        Ok(())
    }

    /// Passes on the block, unless it is empty.
    pub(crate) fn pass_on<E>(
        &mut self,
        address: IpAddr,
        ends_asset: bool,
        sink: &mut impl FnMut(Block<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.text.is_empty() {
            return Ok(());
        }
        let Self { text, commands, findings } = self;
        let passed = sink(Block { address, text, commands: *commands, findings: *findings, ends_asset });
        self.clear();
        passed
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        (self.commands, self.findings) = (0, 0);
    }
}
