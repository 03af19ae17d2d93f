//! What is stored for a resume: how far the Defense Center has confirmed the current report, and what it refused.

use scanbridge_host_input_commands::{AddressSet, BadSnapshot, put_number, take_number};
use scanbridge_plugin_api::{PluginError, Receipt, Result};

use crate::delivery::Confirmed;

/// The progress of the delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The confirmed part of the current report.
    pub(crate) confirmed: Confirmed,
    /// Assets of all reports with refused commands whose findings could not be named.
    pub(crate) refused: AddressSet,
    /// The position at which the command writer resumes; empty between reports.
    pub(crate) writer: Vec<u8>,
}

impl Progress {
    /// The receipt; empty when there is nothing to store.
    pub(crate) fn receipt(&self) -> Receipt {
        if *self == Self::default() {
            return Receipt::default();
        }
        let Self { confirmed, refused, writer } = self;
        let mut bytes = vec![FORM];
        for number in [confirmed.assets, confirmed.findings, confirmed.commands] {
            put_number(&mut bytes, number.into());
        }
        refused.save(&mut bytes);
        bytes.extend_from_slice(writer);
        Receipt(bytes)
    }

    /// Reads a receipt.
    ///
    /// # Errors
    /// A configuration error, if it is not a receipt of this plugin.
    pub(crate) fn read(receipt: &Receipt) -> Result<Self> {
        if receipt.0.is_empty() {
            return Ok(Self::default());
        }
        Self::parse(&receipt.0).map_err(|_| unreadable())
    }

    fn parse(bytes: &[u8]) -> Result<Self, BadSnapshot> {
        let mut rest = bytes.strip_prefix(&[FORM]).ok_or(BadSnapshot)?;
        let mut number = || u64::try_from(take_number(&mut rest)?).map_err(|_| BadSnapshot);
        let confirmed = Confirmed { assets: number()?, findings: number()?, commands: number()? };
        let refused = AddressSet::restore(&mut rest)?;
        Ok(Self { confirmed, refused, writer: rest.to_vec() })
    }
}

/// The error for a receipt that this version cannot read.
pub(crate) fn unreadable() -> PluginError {
    PluginError::config("cannot resume: the saved state of the report has an unsupported version").with_hint(
        "use `--restart` to start from the beginning; assets are replaced as a whole, so a repeat \
         is harmless",
    )
}

/// The first byte of each receipt, which distinguishes format versions.
const FORM: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipt_round_trip() {
        let mut progress = Progress {
            confirmed: Confirmed { assets: 1, findings: 300, commands: u64::MAX },
            writer: vec![1, 2, 3],
            ..Progress::default()
        };
        progress.refused.insert("192.0.2.1".parse().unwrap());
        assert_eq!(Progress::read(&progress.receipt()), Ok(progress));
        assert_eq!(Progress::default().receipt(), Receipt::default());
        assert_eq!(Progress::read(&Receipt::default()), Ok(Progress::default()));
        for bad in [&[9][..], &[1], &[1, 0, 0], &[1, 0, 0, 0, 0xff]] {
            assert!(Progress::read(&Receipt(bad.to_vec())).is_err(), "{bad:?}");
        }
    }
}
