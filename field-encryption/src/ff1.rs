//! FF1 of NIST SP 800-38G, for values whose halves fit into 64 bits.

use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};

/// The number of rounds.
const ROUNDS: u8 = 10;
/// The smallest number of values that a domain may have: revision 1 of the standard requires it.
pub const MIN_VALUES: u128 = 1_000_000;

type Block = [u8; 16];

/// The cipher with one AES key.
#[derive(Debug)]
pub struct Ff1(EncryptingKey);

/// All strings of one length over the numerals 0 to `radix` - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain {
    radix: u32,
    length: u32,
    /// The number of values of the left half, and of the right half, which is the longer one.
    values: [u128; 2],
    /// The bytes of a right half.
    bytes: usize,
}

/// The two halves of a string, as numbers.
pub type Halves = (u64, u64);

/// What all rounds of a call have in common: the state of the CBC-MAC before the last block, and that block.
struct Rounds {
    state: Block,
    last: Block,
}

impl Domain {
    /// `None` if there are fewer than a million values, or a half does not fit into 64 bits.
    #[must_use]
    pub fn new(radix: u32, length: usize) -> Option<Self> {
        let length = u32::try_from(length).ok()?;
        let halves = [length / 2, length.div_ceil(2)];
        let values = halves.map(|letters| u128::from(radix).checked_pow(letters));
        let values = [values[0]?, values[1]?];
        let is_small = values[0].checked_mul(values[1]).is_some_and(|all| all < MIN_VALUES);
        if !(2..=1 << 16).contains(&radix) || is_small || values[1] > 1 << 64 {
            return None;
        }
        let bits = u128::BITS - (values[1] - 1).leading_zeros();
        Some(Self { radix, length, values, bytes: bits.div_ceil(8) as usize })
    }

    /// The numerals on the left.
    pub(crate) fn left(self) -> usize {
        (self.length / 2) as usize
    }
}

impl Ff1 {
    /// The cipher with an AES key of 16, 24 or 32 bytes; `None` for another length.
    #[must_use]
    pub fn new(key: &[u8]) -> Option<Self> {
        let algorithm = match key.len() {
            16 => &AES_128,
            24 => &AES_192,
            32 => &AES_256,
            _ => return None,
        };
        let key = UnboundCipherKey::new(algorithm, key).ok()?;
        EncryptingKey::ecb(key).ok().map(Self)
    }

    /// Encrypts the halves of a string.
    #[must_use]
    pub fn encrypt(&self, domain: Domain, tweak: &[u8], (mut left, mut right): Halves) -> Halves {
        let rounds = self.rounds(domain, tweak);
        for round in 0..ROUNDS {
            let modulus = domain.values[usize::from(round % 2)];
            let sum = u128::from(left) + self.round(domain, &rounds, round, right) % modulus;
            (left, right) = (right, half(sum % modulus));
        }
        (left, right)
    }

    /// Undoes [`Ff1::encrypt`].
    #[must_use]
    pub fn decrypt(&self, domain: Domain, tweak: &[u8], (mut left, mut right): Halves) -> Halves {
        let rounds = self.rounds(domain, tweak);
        for round in (0..ROUNDS).rev() {
            let modulus = domain.values[usize::from(round % 2)];
            let sum = u128::from(right) + modulus - self.round(domain, &rounds, round, left) % modulus;
            (left, right) = (half(sum % modulus), left);
        }
        (left, right)
    }

    fn rounds(&self, domain: Domain, tweak: &[u8]) -> Rounds {
        let [radix @ .., _] = (domain.radix << 8).to_be_bytes();
        let mut state: Block = [1, 2, 1, 0, 0, 0, ROUNDS, (domain.length / 2) as u8, 0, 0, 0, 0, 0, 0, 0, 0];
        state[3..6].copy_from_slice(&radix);
        state[8..12].copy_from_slice(&domain.length.to_be_bytes());
        state[12..].copy_from_slice(&(tweak.len() as u32).to_be_bytes());
        self.aes(&mut state);
        // The tweak, zeros up to a whole number of blocks, the number of the round and the half, which ends the last block.
        let blocks = (tweak.len() + 1 + domain.bytes).div_ceil(16);
        let byte = |index: usize| tweak.get(index).copied().unwrap_or_default();
        let block = |number: usize| -> Block { std::array::from_fn(|index| byte(16 * number + index)) };
        for number in 0..blocks - 1 {
            xor(&mut state, &block(number));
            self.aes(&mut state);
        }
        Rounds { state, last: block(blocks - 1) }
    }

    /// The number that a round adds.
    fn round(&self, domain: Domain, rounds: &Rounds, round: u8, half: u64) -> u128 {
        let mut block = rounds.last;
        let start = 16 - domain.bytes;
        block[start - 1] = round;
        block[start..].copy_from_slice(&half.to_be_bytes()[8 - domain.bytes..]);
        xor(&mut block, &rounds.state);
        self.aes(&mut block);
        let length = 4 * domain.bytes.div_ceil(4) + 4;
        u128::from_be_bytes(block) >> (8 * (16 - length))
    }

    fn aes(&self, block: &mut Block) {
        let encrypted = self.0.less_safe_encrypt(block, EncryptionContext::None);
        encrypted.expect("a whole block can be encrypted");
    }
}

fn xor(block: &mut Block, with: &Block) {
    *block = (u128::from_ne_bytes(*block) ^ u128::from_ne_bytes(*with)).to_ne_bytes();
}

fn half(number: u128) -> u64 {
    u64::try_from(number).expect("a half fits into 64 bits")
}
