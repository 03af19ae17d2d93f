//! Filters of the pipeline and of an output.

use crate::case::Case;

/// The numbers of the assets whose findings reach an output, with these two filters.
fn passed(pipeline: &str, output: &str) -> Vec<u32> {
    let mut case = Case::new(
        "behave",
        &[&format!("id: out, plugin: Rogue, filter: {{ {output} }}, with: {{ log: LOG }}")],
    );
    case.text += &format!("filter: {{ {pipeline} }}\n");
    let summary = case.run();
    assert_eq!(summary.exit_code(), 0, "{summary:?}");
    let log = case.log(0);
    let assets = log.iter().filter_map(|line| line.strip_prefix("192.0.2."));
    let assets: Vec<u32> = assets.map(|number| number.parse().unwrap()).collect();
    let [out] = &summary.outputs[..] else { panic!("one output") };
    assert_eq!((out.records, out.records + out.filtered), (assets.len() as u64, 9), "{summary:?}");
    assets
}

/// The assets are 192.0.2.2 to 192.0.2.10, each with a vulnerability.
#[test]
fn finding_must_pass_the_filters_of_pipeline_and_output() {
    for (one, other, expected) in [
        ("ip_ranges: [192.0.2.2-192.0.2.6]", "ip_ranges: [192.0.2.5-192.0.2.10]", vec![5, 6]),
        ("ip_ranges: [192.0.2.2]", "ip_ranges: [192.0.2.3]", vec![]),
        ("kinds: [vulnerability]", "kinds: [service]", vec![]),
        ("kinds: [vulnerability, service]", "kinds: [vulnerability]", (2..=10).collect()),
        ("kinds: [service]", "ip_ranges: [192.0.2.4]", vec![]),
        ("exclude: { ip_ranges: [192.0.2.4] }", "ip_ranges: [192.0.2.3-192.0.2.5]", vec![3, 5]),
        ("exclude: { kinds: [vulnerability] }", "ip_ranges: [192.0.2.4]", vec![]),
    ] {
        assert_eq!(passed(one, other), expected, "{one}; {other}");
        assert_eq!(passed(other, one), expected, "{other}; {one}");
    }
}
