//! How often clients that are not known may send wrong tokens and fill the log.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

const FOR_ADDRESS: NonZeroU32 = NonZeroU32::new(5).expect("5 is not 0");
const FOR_ALL: NonZeroU32 = NonZeroU32::new(60).expect("60 is not 0");
/// Addresses that are kept before old ones are discarded.
const ADDRESSES: usize = 1024;

/// Limits for clients that are not known. An accepted token is never limited.
#[derive(Debug)]
pub(super) struct Limits {
    refused_of_address: DefaultKeyedRateLimiter<IpAddr>,
    refused_of_all: DefaultDirectRateLimiter,
    lines: DefaultDirectRateLimiter,
}

impl Limits {
    pub(super) fn new() -> Self {
        Self {
            refused_of_address: RateLimiter::keyed(Quota::per_minute(FOR_ADDRESS)),
            refused_of_all: RateLimiter::direct(Quota::per_minute(FOR_ALL)),
            lines: RateLimiter::direct(Quota::per_minute(FOR_ALL)),
        }
    }

    /// Whether a request may have a line in the log: 60 a minute.
    pub(super) fn may_log(&self) -> bool {
        self.lines.check().is_ok()
    }

    /// Counts a refused login. Returns whether there were too many: more than 5 a minute from the address, or 60 from all.
    pub(super) fn is_refused_too_often(&self, from: IpAddr) -> bool {
        if self.refused_of_address.len() > ADDRESSES {
            self.refused_of_address.retain_recent();
        }
        self.refused_of_address.check_key(&network(from)).is_err() || self.refused_of_all.check().is_err()
    }
}

/// One host can have all addresses of an IPv6 network, so its network counts.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixth_refused_login_of_a_network_in_a_minute_is_too_many() {
        let limits = Limits::new();
        let count = |addresses: &[&str]| {
            addresses.iter().filter(|address| !limits.is_refused_too_often(address.parse().unwrap())).count()
        };
        assert_eq!(count(&["192.0.2.1"; 9]), 5);
        assert_eq!(count(&["::ffff:192.0.2.1"; 2]), 0, "the same address in another form");
        assert_eq!(count(&["2001:db8::1", "2001:db8::2", "2001:db8::3"]), 3);
        assert_eq!(count(&["2001:db8::4"; 9]), 2, "the same network");
        let others: Vec<String> = (0..100).map(|number| format!("198.51.100.{number}")).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        assert_eq!(count(&others), 60 - 10, "60 for all addresses");
    }
}
