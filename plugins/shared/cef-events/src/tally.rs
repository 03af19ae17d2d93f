//! Counters of events, and what is logged of them.

use scanbridge_plugin_api::tracing;

/// Counters of an encoder since they were last read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Derived events, which are written in addition to the findings.
    pub derived: u64,
    /// Events with at least one truncated text.
    pub truncated: u64,
    /// Assets with an invalid IP address.
    pub bad_addresses: u64,
    /// Events whose time was clamped to a limit.
    pub clamped: u64,
    /// Derived events that were dropped: too long even without their texts, or refused by the destination.
    pub too_long: u64,
    /// Events without a value that is not a number or a time.
    pub bad_values: u64,
    /// Assets without derived events, because nothing says which asset it is.
    pub unnamed: u64,
}

impl Tally {
    /// Adds the counters of another one.
    pub fn add(&mut self, other: Self) {
        self.derived += other.derived;
        self.truncated += other.truncated;
        self.bad_addresses += other.bad_addresses;
        self.clamped += other.clamped;
        self.too_long += other.too_long;
        self.bad_values += other.bad_values;
        self.unnamed += other.unnamed;
    }

    /// Logs what is missing or changed in events. `limit` is what limits the size of a line.
    pub(crate) fn log(self, limit: &str) {
        if self.truncated > 0 {
            let events = self.truncated;
            tracing::info!(events, "text fields truncated to the CEF field limits or {limit}");
        }
        if self.bad_addresses > 0 {
            tracing::warn!(
                assets = self.bad_addresses,
                "assets with an invalid IP address; their events have no `dst`"
            );
        }
        if self.clamped > 0 {
            tracing::warn!(
                events = self.clamped,
                "event times clamped to `time_past_limit_secs` or `time_future_limit_secs`"
            );
        }
        if self.too_long > 0 {
            tracing::warn!(
                events = self.too_long,
                "derived events dropped: larger than {limit} even without text fields, or than the destination accepts"
            );
        }
        if self.bad_values > 0 {
            tracing::warn!(events = self.bad_values, "events without a value that is not a number or a time");
        }
        if self.unnamed > 0 {
            tracing::warn!(
                assets = self.unnamed,
                "assets without derived events: they have no address, name, MAC address or ID"
            );
        }
    }
}
