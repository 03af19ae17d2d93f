//! IP addresses: each stays in its class, so that a private address stays private.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::ff1::Domain;
use crate::format::ADDRESS;
use crate::key::{Direction, FieldKey};

/// Addresses that are encrypted among themselves.
struct Class {
    ranges: &'static [RangeInclusive<u128>],
    /// The bits of the number of an address in the class.
    bits: u32,
}

const fn range(first: u128, bits: u32) -> RangeInclusive<u128> {
    first..=first | ((1 << bits) - 1)
}

/// The classes of IPv4: private, not for machines, everything else.
static V4: [Class; 3] = [
    Class { ranges: &[range(0x0a00_0000, 24), range(0xac10_0000, 20), range(0xc0a8_0000, 16)], bits: 25 },
    Class {
        ranges: &[range(0, 24), range(0x7f00_0000, 24), range(0xa9fe_0000, 16), range(0xe000_0000, 29)],
        bits: 30,
    },
    Class { ranges: &[], bits: 32 },
];

/// The classes of IPv6: local, global, link-local, multicast, everything else.
static V6: [Class; 5] = [
    Class { ranges: &[range(0xfc << 120, 121)], bits: 121 },
    Class { ranges: &[range(0x20 << 120, 125)], bits: 125 },
    Class { ranges: &[range(0xfe80 << 112, 118)], bits: 118 },
    Class { ranges: &[range(0xff << 120, 120)], bits: 120 },
    Class { ranges: &[], bits: 128 },
];

impl Class {
    /// The number of an address among those of the class. In the last class, all addresses have the numbers that they are.
    fn rank(&self, address: u128) -> Option<u128> {
        let mut before = 0;
        for range in self.ranges {
            if range.contains(&address) {
                return Some(before + (address - range.start()));
            }
            before += range.end() - range.start() + 1;
        }
        None
    }

    /// The address with this number; `None` if there is none.
    fn address(&self, mut rank: u128) -> Option<u128> {
        for range in self.ranges {
            let size = range.end() - range.start() + 1;
            if rank < size {
                return Some(range.start() + rank);
            }
            rank -= size;
        }
        None
    }
}

impl FieldKey {
    /// Encrypts or decrypts an address.
    pub(crate) fn crypt_address(&self, address: IpAddr, direction: Direction) -> IpAddr {
        let crypt_v4 = |address: Ipv4Addr| {
            let bits = self.crypt_class((&V4, 0), address.to_bits().into(), direction);
            Ipv4Addr::from_bits(u32::try_from(bits).expect("the classes of IPv4 have 32 bits"))
        };
        match address {
            IpAddr::V4(address) => crypt_v4(address).into(),
            // The same address in another form.
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(address) => crypt_v4(address).to_ipv6_mapped().into(),
                None => {
                    let bits = self.crypt_class((&V6, V4.len()), address.to_bits(), direction);
                    Ipv6Addr::from_bits(bits).into()
                }
            },
        }
    }

    /// Walks from number to number until it is that of an address of the class. `first` is the number of the first class.
    fn crypt_class(&self, (classes, first): (&[Class], usize), address: u128, direction: Direction) -> u128 {
        let (last, special) = classes.split_last().expect("there are classes");
        let is_special = |address| special.iter().any(|class| class.rank(address).is_some());
        let found = special
            .iter()
            .enumerate()
            .find_map(|(number, class)| Some((number, class, class.rank(address)?)));
        let (number, class, mut rank) = found.unwrap_or((special.len(), last, address));
        let mut tweak = self.tweak(ADDRESS);
        tweak.set_block(first + number);
        let domain = Domain::new(2, class.bits as usize).expect("a class has enough addresses");
        let right = class.bits.div_ceil(2);
        loop {
            let low = rank & ((1 << right) - 1);
            let halves = ((rank >> right) as u64, low as u64);
            let (left, low) = match direction {
                Direction::Encrypt => self.ff1.encrypt(domain, tweak.bytes(), halves),
                Direction::Decrypt => self.ff1.decrypt(domain, tweak.bytes(), halves),
            };
            rank = u128::from(left) << right | u128::from(low);
            let is_mapped =
                |address: u128| class.bits == 128 && Ipv6Addr::from_bits(address).to_ipv4_mapped().is_some();
            let address = if number < special.len() {
                class.address(rank)
            } else {
                Some(rank).filter(|address| !is_special(*address) && !is_mapped(*address))
            };
            if let Some(address) = address {
                return address;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_a_class_are_consecutive() {
        for class in V4[..2].iter().chain(&V6[..4]) {
            let size: u128 = class.ranges.iter().map(|range| range.end() - range.start() + 1).sum();
            assert!(size <= 1 << class.bits && size > 1 << (class.bits - 1));
            for rank in [0, 1, (1 << 16) - 1, 1 << 16, size / 2, size - 1] {
                assert_eq!(class.rank(class.address(rank).unwrap()), Some(rank));
            }
            assert_eq!(class.address(size), None);
        }
    }
}
