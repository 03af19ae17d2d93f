//! How often an address may send a wrong token.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

const FOR_ADDRESS: NonZeroU32 = NonZeroU32::new(5).expect("5 is not 0");
const FOR_ALL: NonZeroU32 = NonZeroU32::new(60).expect("60 is not 0");
/// Addresses that are kept before old ones are discarded.
const ADDRESSES: usize = 1024;

/// Counts refused logins: 5 a minute for each address, 60 a minute for all. An accepted token is never limited.
#[derive(Debug)]
pub(super) struct RefusedLogins {
    of_address: DefaultKeyedRateLimiter<IpAddr>,
    of_all: DefaultDirectRateLimiter,
}

impl RefusedLogins {
    pub(super) fn new() -> Self {
        Self {
            of_address: RateLimiter::keyed(Quota::per_minute(FOR_ADDRESS)),
            of_all: RateLimiter::direct(Quota::per_minute(FOR_ALL)),
        }
    }

    /// Counts one. Returns whether there were too many.
    pub(super) fn are_too_many(&self, from: IpAddr) -> bool {
        if self.of_address.len() > ADDRESSES {
            self.of_address.retain_recent();
        }
        self.of_address.check_key(&network(from)).is_err() || self.of_all.check().is_err()
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
        let limits = RefusedLogins::new();
        let count = |addresses: &[&str]| {
            addresses.iter().filter(|address| !limits.are_too_many(address.parse().unwrap())).count()
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
