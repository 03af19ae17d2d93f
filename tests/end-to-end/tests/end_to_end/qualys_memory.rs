//! The host processes downloads of any size in bounded memory.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use scanbridge_doubles::fake_qualys::{Population, Reply, Script};
use scanbridge_fixtures::good;

use crate::qualys_api::Bench;

/// Maximum resident memory, in KiB. It is the same for a report of 1 GB.
const MAX_KIB: u64 = 48 << 10;

/// Runs a pipeline to its end. Returns the peak of its resident memory, in KiB.
fn peak_kib(bench: &Bench, settings: &str) -> u64 {
    let mut host = bench.sandbox.host_running(&bench.pipeline(settings));
    let mut host = host.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    let status = loop {
        peak = resident_peak_kib(&host).unwrap_or(peak);
        match host.try_wait().unwrap() {
            Some(status) => break status,
            None => sleep(Duration::from_millis(5)),
        }
    };
    assert_eq!(status.code(), Some(0));
    assert!(peak > 0, "the memory of the process could not be read");
    peak
}

/// None if the process has ended.
fn resident_peak_kib(host: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", host.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[test]
fn memory_is_bounded_for_a_large_template_report() {
    let text = fs::read_to_string(good("template-report.xml")).unwrap();
    let (head, tail) = text.split_once("</HOST_LIST>").unwrap();
    let result = "x".repeat(40 << 10);
    let hosts: String = (0..2_500)
        .map(|number| {
            format!(
                "<HOST><IP>10.0.{}.{}</IP><TRACKING_METHOD>IP</TRACKING_METHOD><VULN_INFO_LIST><VULN_INFO>\
                 <QID id=\"qid_38628\">38628</QID><TYPE>Vuln</TYPE><RESULT><![CDATA[{result}]]></RESULT>\
                 </VULN_INFO></VULN_INFO_LIST></HOST>",
                number / 250,
                number % 250
            )
        })
        .collect();
    let report = format!("{head}{hosts}</HOST_LIST>{tail}");
    assert!(report.len() as u64 > 2 * (MAX_KIB << 10));
    let bench = Bench::new(Script::new().on("action=fetch", [Reply::xml(report)]));
    let peak = peak_kib(&bench, "report_id: 77");
    assert!(peak <= MAX_KIB, "{peak} KiB");
}

#[test]
fn memory_does_not_grow_with_the_number_of_assets() {
    let peak = |assets| {
        let bench = Bench::new(Script::new().population(Population::of(assets)));
        peak_kib(&bench, "source: host-detections, page_size: 500")
    };
    let (few, many) = (peak(1_000), peak(10_000));
    assert!(many <= MAX_KIB && many <= few + few / 4, "{few} KiB and {many} KiB");
}
