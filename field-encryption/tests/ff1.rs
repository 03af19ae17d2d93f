//! FF1 against the sample vectors of NIST and two other implementations.

#![expect(clippy::unwrap_used, reason = "a panic fails the test, also in helpers")]

use fpe::ff1::{FF1, FlexibleNumeralString};
use proptest::prelude::*;
use scanbridge_field_encryption::{Domain, Ff1};

const ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Encrypts numerals with the halves that the crate works with.
fn crypt(ff1: &Ff1, radix: u32, tweak: &[u8], numerals: &[u16], decrypts: bool) -> Vec<u16> {
    let domain = Domain::new(radix, numerals.len()).unwrap();
    let (left, right) = numerals.split_at(numerals.len() / 2);
    let number =
        |half: &[u16]| half.iter().fold(0, |sum: u64, numeral| sum * u64::from(radix) + u64::from(*numeral));
    let halves = (number(left), number(right));
    let (first, second) =
        if decrypts { ff1.decrypt(domain, tweak, halves) } else { ff1.encrypt(domain, tweak, halves) };
    let string = |mut number: u64, length: usize| {
        let mut half = vec![0; length];
        for numeral in half.iter_mut().rev() {
            *numeral = (number % u64::from(radix)) as u16;
            number /= u64::from(radix);
        }
        half
    };
    [string(first, left.len()), string(second, right.len())].concat()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|index| u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap())
        .collect()
}

/// Samples 1 to 9 of NIST for FF1 (SP 800-38G).
#[test]
fn sample_vectors_of_nist() {
    let keys = [
        "2B7E151628AED2A6ABF7158809CF4F3C",
        "2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F",
        "2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94",
    ];
    let (tens, tweak_10, tweak_36) = ("0123456789", "39383736353433323130", "3737373770717273373737");
    let samples = [
        (0, 10, "", tens, "2433477484"),
        (0, 10, tweak_10, tens, "6124200773"),
        (0, 36, tweak_36, "0123456789abcdefghi", "a9tv40mll9kdu509eum"),
        (1, 10, "", tens, "2830668132"),
        (1, 10, tweak_10, tens, "2496655549"),
        (1, 36, tweak_36, "0123456789abcdefghi", "xbj3kv35jrawxv32ysr"),
        (2, 10, "", tens, "6657667009"),
        (2, 10, tweak_10, tens, "1001623463"),
        (2, 36, tweak_36, "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"),
    ];
    for (number, (key, radix, tweak, clear, encrypted)) in samples.into_iter().enumerate() {
        let ff1 = Ff1::new(&hex(keys[key])).unwrap();
        let numerals = |text: &str| -> Vec<u16> {
            text.bytes()
                .map(|byte| ALPHABET.iter().position(|letter| *letter == byte).unwrap() as u16)
                .collect()
        };
        let tweak = hex(tweak);
        let result = crypt(&ff1, radix, &tweak, &numerals(clear), false);
        assert_eq!(result, numerals(encrypted), "sample {}", number + 1);
        assert_eq!(crypt(&ff1, radix, &tweak, &result, true), numerals(clear), "sample {}", number + 1);
    }
}

#[test]
fn small_domains_are_refused() {
    for (radix, least) in [(2, 20), (10, 6), (16, 5), (36, 4), (62, 4)] {
        assert!(Domain::new(radix, least).is_some());
        assert_eq!(Domain::new(radix, least - 1), None);
    }
    assert!(Domain::new(2, 128).is_some() && Domain::new(10, 38).is_some() && Domain::new(62, 20).is_some());
    assert_eq!(Domain::new(2, 129), None, "halves of more than 64 bits");
    assert!(Ff1::new(&[0; 20]).is_none());
}

fn arguments() -> impl Strategy<Value = (Vec<u8>, u32, Vec<u8>, Vec<u16>)> {
    let key = prop_oneof![16..=16_usize, 24..=24_usize, 32..=32_usize]
        .prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length));
    let tweak = proptest::collection::vec(any::<u8>(), 0..40);
    let string = (2_u32..=62).prop_flat_map(|radix| {
        let bits = f64::from(radix).log2();
        let (least, most) = ((20.0 / bits).ceil() as usize, 2 * (63.9 / bits) as usize);
        let numerals = proptest::collection::vec(0..radix as u16, least..=most);
        numerals.prop_map(move |numerals| (radix, numerals))
    });
    (key, tweak, string).prop_map(|(key, tweak, (radix, numerals))| (key, radix, tweak, numerals))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn agrees_with_two_other_implementations((key, radix, tweak, numerals) in arguments()) {
        let ff1 = Ff1::new(&key).unwrap();
        let ours = crypt(&ff1, radix, &tweak, &numerals, false);
        prop_assert_eq!(&crypt(&ff1, radix, &tweak, &ours, true), &numerals);

        let theirs = fpr_ff1::FF1::builder(&key, radix).max_tweak_len(64).build().unwrap();
        prop_assert_eq!(&theirs.encrypt_numerals(&numerals, Some(&tweak)).unwrap(), &ours);

        let string = FlexibleNumeralString::from(numerals);
        let encrypted = match key.len() {
            16 => FF1::<aes::Aes128>::new(&key, radix).unwrap().encrypt(&tweak, &string),
            24 => FF1::<aes::Aes192>::new(&key, radix).unwrap().encrypt(&tweak, &string),
            _ => FF1::<aes::Aes256>::new(&key, radix).unwrap().encrypt(&tweak, &string),
        };
        prop_assert_eq!(Vec::<u16>::from(encrypted.unwrap()), ours);
    }
}
