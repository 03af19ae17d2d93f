use proptest::prelude::*;

use super::*;

const HEADER: &str = "SetSource,S\n";

/// A block of an asset. Each of its lines is a finding that is longer by the given number of bytes. `ends`: it ends
/// the asset.
#[derive(Debug, Clone)]
struct Part {
    address: IpAddr,
    text: String,
    findings: u64,
    ends_asset: bool,
}

fn part(last: u8, lengths: &[usize], ends_asset: bool) -> Part {
    let mut text: String =
        lengths.iter().map(|length| format!("AddScanResult,{}\n", "x".repeat(*length))).collect();
    if ends_asset {
        text.push_str("ScanUpdate\n");
    }
    Part { address: IpAddr::from([192, 0, 2, last]), text, findings: lengths.len() as u64, ends_asset }
}

/// Packs the parts.
fn pack(parts: &[Part], limits: Limits) -> Vec<Body> {
    let mut packer = Packer::new(limits);
    packer.begin(HEADER.to_owned(), limits);
    let mut bodies = Vec::new();
    let mut send = |body: &Body| {
        bodies.push(body.clone());
        Ok(())
    };
    for part in parts {
        let block = Block {
            address: part.address,
            text: &part.text,
            commands: part.text.lines().count() as u64,
            findings: part.findings,
            ends_asset: part.ends_asset,
        };
        packer.push(block, &mut send).unwrap();
    }
    packer.flush(&mut send).unwrap();
    packer.flush(&mut send).unwrap();
    bodies
}

fn lines(body: &Body) -> &str {
    body.text.strip_prefix(HEADER).expect("the header comes first")
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = (1_u8..9, prop::collection::vec(0_usize..90, 0..8), any::<bool>());
    prop::collection::vec(part.prop_map(|(last, lengths, ends)| part_of(last, &lengths, ends)), 0..20)
}

fn part_of(last: u8, lengths: &[usize], ends: bool) -> Part {
    // A block is never empty.
    part(last, lengths, ends || lengths.is_empty())
}

proptest! {
    #[test]
    fn bodies_contain_every_line_in_order_within_limits(
        parts in parts(),
        bytes in 64_usize..700,
        findings in 1_u64..12,
    ) {
        let bodies = pack(&parts, Limits { bytes, findings });
        let all: String = parts.iter().map(|part| part.text.as_str()).collect();
        prop_assert_eq!(bodies.iter().map(lines).collect::<String>(), all);
        for body in &bodies {
            let text = lines(body);
            let counted: u64 = body.shares.iter().map(|share| share.commands).sum();
            prop_assert_eq!(counted, body.commands);
            // A part of an asset shares its body with no other asset.
            prop_assert!(body.shares.len() == 1 || body.shares.iter().all(|share| share.ended > 0));
            prop_assert!(!text.is_empty());
            prop_assert_eq!(body.commands, text.lines().count() as u64);
            prop_assert_eq!(body.findings, text.matches("AddScanResult").count() as u64);
            // More than the limits only when it is a single block.
            let single = parts.iter().any(|part| part.text.contains(text));
            prop_assert!(single || (body.text.len() <= bytes && body.findings <= findings), "{body:?}");
        }
    }

    #[test]
    fn block_within_the_limits_is_not_split(parts in parts(), findings in 1_u64..12) {
        let bodies = pack(&parts, Limits { bytes: 1200, findings });
        // Each body ends where a block ends.
        let mut ends = std::collections::BTreeSet::from([0]);
        let mut length = 0;
        for part in &parts {
            length += part.text.len();
            ends.insert(length);
        }
        let mut length = 0;
        for body in &bodies {
            length += lines(body).len();
            prop_assert!(ends.contains(&length), "{body:?}");
        }
    }
}

#[test]
fn bodies_list_their_assets_and_count_ended_ones() {
    let parts = [part(1, &[1], true), part(2, &[1, 1], false), part(2, &[1], true), part(1, &[1], true)];
    let bodies = pack(&parts, Limits { bytes: 4096, findings: 100 });
    // A part of an asset has its own body.
    assert_eq!(bodies.len(), 3);
    let shares = bodies.iter().flat_map(|body| &body.shares);
    let found: Vec<_> = shares.map(|share| (share.address.to_string(), share.ended)).collect();
    let expected = [("192.0.2.1", 1), ("192.0.2.2", 1), ("192.0.2.1", 1)];
    assert_eq!(found, expected.map(|(address, ended)| (address.to_owned(), ended)));
}

#[test]
fn body_is_split_into_one_body_per_asset() {
    let parts = [part(1, &[1], true), part(1, &[2], true), part(2, &[3, 4], true)];
    let bodies = pack(&parts, Limits { bytes: 4096, findings: 100 });
    assert_eq!(bodies.len(), 1);
    let single: Vec<Body> = bodies[0].one_by_one().collect();
    // Consecutive parts of one asset stay together, with the header before them.
    let texts = [format!("{HEADER}{}{}", parts[0].text, parts[1].text), format!("{HEADER}{}", parts[2].text)];
    assert_eq!(single.iter().map(|body| body.text.clone()).collect::<Vec<_>>(), texts);
    let counts: Vec<_> =
        single.iter().map(|body| (body.commands, body.findings, body.shares[0].ended)).collect();
    assert_eq!(counts, [(4, 2, 2), (3, 2, 1)]);
}
