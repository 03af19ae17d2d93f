//! State as bytes: numbers in LEB128, seven bits per byte, lowest bits first.

/// The bytes are not a snapshot written by this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the saved state of a report in progress is invalid")]
pub struct BadSnapshot;

/// Appends a number.
pub fn put_number(snapshot: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        snapshot.push(number as u8 | 0x80);
        number >>= 7;
    }
    snapshot.push(number as u8);
}

/// Reads a number from the beginning of a snapshot.
///
/// # Errors
/// The snapshot ends within the number, or the number has more than 128 bits.
pub fn take_number(snapshot: &mut &[u8]) -> Result<u128, BadSnapshot> {
    let mut number: u128 = 0;
    for shift in (0..128).step_by(7) {
        let (byte, rest) = snapshot.split_first().ok_or(BadSnapshot)?;
        *snapshot = rest;
        let bits = u128::from(byte & 0x7f);
        if bits != 0 && bits.leading_zeros() < shift {
            return Err(BadSnapshot);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(BadSnapshot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_restored() {
        for number in [0, 1, 127, 128, 300, u128::from(u32::MAX), u128::MAX - 1, u128::MAX] {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            let mut rest = &bytes[..];
            assert_eq!(take_number(&mut rest), Ok(number));
            assert!(rest.is_empty());
            assert_eq!(take_number(&mut &bytes[..bytes.len() - 1]), Err(BadSnapshot));
        }
        let mut too_large = [0xff; 19];
        too_large[18] = 0x07;
        assert_eq!(take_number(&mut &too_large[..]), Err(BadSnapshot));
    }
}
