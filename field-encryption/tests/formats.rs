//! What each format keeps, and that every value comes back.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;
use scanbridge_field_encryption::{Decrypted, Encrypted, FieldKey, Format, OwnName, is_token};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn key() -> FieldKey {
    FieldKey::derive(SECRET, "soc-emea", 1, "").unwrap()
}

fn encrypt(key: &FieldKey, format: Format, value: &str) -> (String, Encrypted) {
    let mut out = String::new();
    let result = key.encrypt(format, value, &mut out);
    (out, result)
}

fn decrypt(key: &FieldKey, format: Format, value: &str) -> String {
    let mut out = String::new();
    assert_eq!(key.decrypt(format, value, &mut out), Ok(Decrypted::Value), "{value}");
    out
}

/// Encrypts a value that can be decrypted.
fn there_and_back(key: &FieldKey, format: Format, value: &str) -> String {
    let (encrypted, result) = encrypt(key, format, value);
    assert_eq!(result, Encrypted::Value, "{value}");
    assert!(!is_token(&encrypted), "{value}");
    assert_eq!(decrypt(key, format, &encrypted), value, "{encrypted}");
    encrypted
}

#[test]
fn keys_depend_on_all_parts() {
    let derive =
        |secret: &[u8], identity, version, tweak| FieldKey::derive(secret, identity, version, tweak).unwrap();
    let keys = [
        derive(SECRET, "a", 1, ""),
        derive(b"another secret of 32 bytes ......", "a", 1, ""),
        derive(SECRET, "b", 1, ""),
        derive(SECRET, "a", 2, ""),
        derive(SECRET, "a", 1, "tweak"),
    ];
    let values: HashSet<String> =
        keys.iter().map(|key| encrypt(key, Format::Name, "web1.example.com").0).collect();
    assert_eq!(values.len(), keys.len());
    let checks: HashSet<u64> = keys[..4].iter().map(FieldKey::check_value).collect();
    assert_eq!(checks.len(), 4);
    let again = derive(SECRET, "a", 1, "");
    assert_eq!(
        encrypt(&again, Format::Name, "web1.example.com"),
        encrypt(&keys[0], Format::Name, "web1.example.com")
    );
    assert!(FieldKey::derive(b"fifteen bytes..", "a", 1, "").is_err());
}

/// Values that other releases must be able to decrypt.
#[test]
fn encrypted_values_never_change() {
    let key = key();
    let known = [
        (Format::Address, "10.1.2.3"),
        (Format::Address, "2001:db8::1"),
        (Format::Name, "web1.example.com"),
        (Format::Netbios, "WEB1"),
        (Format::Mac, "00:00:5e:00:53:01"),
        (Format::Hex, "5a4c1a40-6f7b-4a57-9e53-0f5b9a0d9f11"),
        (Format::Digits, "1234567"),
        (Format::Text, "Payroll: the server of the finance department, room 7"),
        (Format::Name, "ab"),
    ];
    let shown: Vec<String> = known.iter().map(|(format, value)| encrypt(&key, *format, value).0).collect();
    assert_eq!(shown, KNOWN);
    assert_eq!(format!("{:016x}", key.check_value()), CHECK);
}

const KNOWN: [&str; 9] = [
    "10.243.162.91",
    "2728:c4ab:44d7:5dcf:3dca:14b8:5de9:5e4",
    "x11m.9440uvi.0sa",
    "MTX5",
    "00:00:5e:3c:be:ba",
    "8dd732e7-1489-6835-1a32-2c9406edcc2c",
    "2142220",
    "BjbgJ1i: TJa 7cj9wR ix 3nr 9uqft5w JdcNZE4AfD, lgJK L",
    "tk--gjy4wwqwnnn",
];
const CHECK: &str = "8f3ab2a026c847f1";

fn is_private(address: Ipv4Addr) -> bool {
    address.is_private()
}

fn is_special(address: Ipv4Addr) -> bool {
    address.octets()[0] == 0 || address.octets()[0] >= 224 || address.is_loopback() || address.is_link_local()
}

#[test]
fn addresses_stay_in_their_class() {
    let (key, mut random) = (key(), Rng::with_seed(1));
    for _ in 0..20_000 {
        let address = Ipv4Addr::from_bits(random.u32(..));
        let encrypted: Ipv4Addr =
            there_and_back(&key, Format::Address, &address.to_string()).parse().unwrap();
        assert_eq!(
            (is_private(encrypted), is_special(encrypted)),
            (is_private(address), is_special(address))
        );
        let private = Ipv4Addr::from_bits(0x0a00_0000 | random.u32(..1 << 24));
        let encrypted: Ipv4Addr =
            there_and_back(&key, Format::Address, &private.to_string()).parse().unwrap();
        assert!(is_private(encrypted));
    }
    for (first, bits) in
        [(0xfc_u128 << 120, 121), (0x20 << 120, 125), (0xfe80 << 112, 118), (0xff << 120, 120)]
    {
        for _ in 0..2_000 {
            let address = Ipv6Addr::from_bits(first | random.u128(..) & ((1 << bits) - 1));
            let encrypted: Ipv6Addr =
                there_and_back(&key, Format::Address, &address.to_string()).parse().unwrap();
            assert_eq!(encrypted.to_bits() >> bits, first >> bits, "{address} {encrypted}");
        }
    }
    for text in ["::1", "::", "64:ff9b::1"] {
        let encrypted: Ipv6Addr = there_and_back(&key, Format::Address, text).parse().unwrap();
        assert!(!encrypted.is_multicast() && encrypted.to_ipv4_mapped().is_none());
    }
    let mapped = there_and_back(&key, Format::Address, "::ffff:192.0.2.1");
    assert_eq!(mapped.strip_prefix("::ffff:"), Some(&*encrypt(&key, Format::Address, "192.0.2.1").0));
    for text in ["192.0.2.1/24", "192.0.2.1-192.0.2.9", "fe80::1%eth0", "192.0.2", "host"] {
        assert_eq!(encrypt(&key, Format::Address, text).1, Encrypted::Token, "{text}");
    }
}

#[test]
fn names_keep_their_form_and_are_no_addresses() {
    let key = key();
    let name = there_and_back(&key, Format::Name, "web-1.shop_a.example.com.");
    let signs = |text: &str| -> Vec<_> { text.match_indices(['-', '_', '.']).map(|(at, _)| at).collect() };
    assert_eq!(signs(&name), signs("web-1.shop_a.example.com."));
    assert_eq!(
        encrypt(&key, Format::Name, "WEB1.Example.COM"),
        encrypt(&key, Format::Name, "web1.example.com")
    );
    assert_eq!(encrypt(&key, Format::Name, "192.0.2.1"), encrypt(&key, Format::Address, "192.0.2.1"));
    assert_eq!(encrypt(&key, Format::Name, "2001:DB8::1"), encrypt(&key, Format::Address, "2001:db8::1"));
    for value in ["dc1", "12345678", "192.0.2", "büro-20", "host.123", "web1:8080"] {
        let (token, result) = encrypt(&key, Format::Name, value);
        assert_eq!(result, Encrypted::Token, "{value}");
        assert!(is_token(&token), "{token}");
        assert_eq!(key.decrypt(Format::Name, &token, &mut String::new()), Ok(Decrypted::Token));
    }
    let netbios = there_and_back(&key, Format::Netbios, "WIN-PC_01");
    assert!(netbios.bytes().all(|byte| !byte.is_ascii_lowercase()));
    assert_eq!(encrypt(&key, Format::Netbios, "win-pc_01").0, netbios);
    assert_eq!(encrypt(&key, Format::Netbios, "BÜRO-20").1, Encrypted::Token);
    assert_eq!(encrypt(&key, Format::Netbios, "BÜRO-20"), encrypt(&key, Format::Netbios, "büro-20"));
}

/// A name in clear that looks as if it were made of the characters of a token is a name, and one that has the mark of a token
/// becomes a token.
#[test]
fn names_and_tokens_are_not_confused() {
    let key = key();
    for value in ["abcdefghijklm", "tk-abcdefghijkl", "averylonghosts1", "xn--bro-20-kva7a"] {
        there_and_back(&key, Format::Name, value);
    }
    for value in ["tk--abcdefghijk", "TK--ABCDEFGHIJK"] {
        for format in [Format::Name, Format::Netbios, Format::Text] {
            assert_eq!(encrypt(&key, format, value).1, Encrypted::Token);
        }
    }
    assert_eq!(encrypt(&key, Format::Name, ""), (String::new(), Encrypted::Value));
}

#[test]
fn numbers_and_hardware_addresses_stay_valid() {
    let (key, mut random) = (key(), Rng::with_seed(2));
    for _ in 0..2_000 {
        let bytes: Vec<String> = (0..6).map(|_| format!("{:02x}", random.u8(..))).collect();
        let mac = bytes.join(":");
        let encrypted = there_and_back(&key, Format::Mac, &mac);
        assert_eq!((encrypted.len(), &encrypted[..8]), (17, &mac[..8]));
    }
    let uuid = there_and_back(&key, Format::Hex, "5a4c1a40-6f7b-4a57-9e53-0f5b9a0d9f11");
    assert!(uuid.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    }));
    assert!(
        there_and_back(&key, Format::Digits, "0012345678901234567890")
            .bytes()
            .all(|byte| byte.is_ascii_digit())
    );
    for (format, value) in [
        (Format::Digits, "12345"),
        (Format::Digits, "a1234567"),
        (Format::Hex, "abcd"),
        (Format::Hex, "agent-12345678"),
        (Format::Mac, "00:00:5e"),
        (Format::Text, "DMZ"),
        (Format::Text, "Прод-серверы 1234"),
    ] {
        assert_eq!(encrypt(&key, format, value).1, Encrypted::Token, "{value}");
        let wrong = key.decrypt(format, value, &mut String::new());
        assert!(wrong.is_err(), "{value} cannot be an encrypted value");
    }
}

#[test]
fn texts_keep_everything_but_ascii_letters() {
    let key = key();
    let clear = "Überwachung: =cmd|' /C calc'!A0\tline\r\nsecond line, 100 % – ok";
    let encrypted = there_and_back(&key, Format::Text, clear);
    for (a, b) in clear.chars().zip(encrypted.chars()) {
        assert_eq!(a.is_ascii_alphanumeric(), b.is_ascii_alphanumeric());
        assert!(a.is_ascii_alphanumeric() || a == b);
    }
    assert_eq!(encrypted.len(), clear.len());
}

/// A plugin may truncate a text. Everything before the block in which it ends can be decrypted.
#[test]
fn cut_text_is_decrypted_up_to_its_last_whole_block() {
    let (key, mut random) = (key(), Rng::with_seed(3));
    for length in [25, 60, 61, 63, 64, 119, 120, 400] {
        let clear: String =
            (0..length).map(|at| if at % 7 == 3 { ' ' } else { random.alphanumeric() }).collect();
        let (encrypted, _) = encrypt(&key, Format::Text, &clear);
        for cut in 0..length {
            let mut out = String::new();
            let lost = key.decrypt_cut(Format::Text, &encrypted[..cut], &mut out).unwrap();
            assert_eq!(out.len() + lost, cut);
            assert_eq!(out, clear[..out.len()], "{length} cut to {cut}");
            assert!(lost < 2 * 28, "at most a block and the characters that it may have given: {lost}");
        }
    }
    let cut = |format, value: &str| key.decrypt_cut(format, value, &mut String::new());
    assert_eq!(cut(Format::Address, "10.1.2"), Ok(6));
    assert_eq!(cut(Format::Name, "abcdefghijklmnopqrstuvwxyzabcd"), Ok(30));
}

#[test]
fn mentions_leave_the_text_readable() {
    let key = key();
    let names = [
        OwnName { clear: "web1.example.com", format: Format::Name },
        OwnName { clear: "web1", format: Format::Name },
        OwnName { clear: "WEB1", format: Format::Netbios },
        OwnName { clear: "dc", format: Format::Netbios },
    ];
    let mentions = key.mentions(names);
    let clear = "Host web1.example.com (192.0.2.7:443, [2001:db8::7]:80) answered web1 from 10.0.0.1-10.0.0.9; \
                 mac 00:00:5e:00:53:01, 00-00-5e-00-53-02: std::string 1.3.6.1.4.1 at 12:30:45, dc, web10, IP:192.0.2.8.";
    let mut encrypted = String::new();
    let (values, tokens) = key.encrypt_mentions(&mentions, clear, &mut encrypted);
    assert_eq!((values, tokens), (9, 0), "{encrypted}");
    for text in
        ["web1.example.com", "192.0.2.7", "2001:db8::7", "answered web1 ", "10.0.0.1", "53:01", "192.0.2.8"]
    {
        assert!(!encrypted.contains(text), "{text}: {encrypted}");
    }
    for text in [
        "Host ",
        ":443, [",
        "]:80) answered ",
        "mac 00:00:5e:",
        "std::string 1.3.6.1.4.1 at 12:30:45, dc, web10",
    ] {
        assert!(encrypted.contains(text), "{text}: {encrypted}");
    }
    let mut decrypted = String::new();
    key.decrypt_mentions(&mentions, &encrypted, &mut decrypted);
    assert_eq!(decrypted, clear);
}

/// How many values of each format go there and back.
const VALUES: u32 = 1_000_000;

fn letters(random: &mut Rng, alphabet: &[u8], length: std::ops::Range<usize>) -> String {
    let length = random.usize(length);
    (0..length).map(|_| char::from(alphabet[random.usize(..alphabet.len())])).collect()
}

/// Random values of a format, none of which has fewer than a million alternatives.
fn random_value(format: Format, random: &mut Rng) -> String {
    let name = b"abcdefghijklmnopqrstuvwxyz0123456789-_";
    match format {
        Format::Address if random.bool() => IpAddr::from(Ipv4Addr::from_bits(random.u32(..))).to_string(),
        Format::Address => Ipv6Addr::from_bits(random.u128(..)).to_string(),
        Format::Name => format!("{}.{}.c", letters(random, name, 1..20), letters(random, &name[..36], 3..20)),
        Format::Netbios => format!("N{}", letters(random, &name[..36], 3..15).to_ascii_uppercase()),
        Format::Mac => format!("{:012x}", random.u64(..1 << 48)),
        Format::Hex => letters(random, b"0123456789abcdef-", 12..40) + "00000",
        Format::Digits => letters(random, b"0123456789", 6..50),
        Format::Text => letters(random, b"abcXYZ0189 =,;\"'", 10..60) + "abcd",
    }
}

#[test]
fn a_million_values_of_each_format_come_back() {
    let key = key();
    std::thread::scope(|scope| {
        for (seed, format) in Format::ALL.into_iter().enumerate() {
            let key = &key;
            scope.spawn(move || {
                let mut random = Rng::with_seed(seed as u64);
                for _ in 0..VALUES {
                    there_and_back(key, format, &random_value(format, &mut random));
                }
            });
        }
    });
}

#[test]
fn a_million_addresses_have_no_collision() {
    let key = key();
    for first in [0x0a00_0000_u32, 0x0800_0000, 0xe000_0000] {
        let encrypted: HashSet<String> = (0..VALUES)
            .map(|number| encrypt(&key, Format::Address, &Ipv4Addr::from_bits(first + number).to_string()).0)
            .collect();
        assert_eq!(encrypted.len(), VALUES as usize);
    }
    let tokens: HashSet<String> =
        (0..VALUES).map(|number| encrypt(&key, Format::Name, &format!("é{number}")).0).collect();
    assert_eq!(tokens.len(), VALUES as usize);
}
