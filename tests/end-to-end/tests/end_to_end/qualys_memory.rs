//! What is downloaded goes through the host in bounded memory, however much it is.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use scanbridge_doubles::fake_qualys::{Population, Reply, Script};
use scanbridge_fixtures::good;

use crate::qualys_api::Bench;

/// The bound that holds for 1 GB, too.
const MOST_KIB: u64 = 48 << 10;

/// Runs a pipeline to its end, and gives the most memory that was resident.
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
    assert!(peak > 0, "the memory of a process can be looked at");
    peak
}

/// None once the process has ended.
fn resident_peak_kib(host: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", host.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[test]
fn a_template_report_that_is_larger_than_the_bound_stays_below_it() {
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
    assert!(report.len() as u64 > 2 * (MOST_KIB << 10));
    let bench = Bench::new(Script::new().on("action=fetch", [Reply::xml(report)]));
    let peak = peak_kib(&bench, "report_id: 77");
    assert!(peak <= MOST_KIB, "{peak} KiB");
}

#[test]
fn a_pull_of_ten_thousand_assets_takes_no_more_than_one_of_a_thousand() {
    let peak = |assets| {
        let bench = Bench::new(Script::new().population(Population::of(assets)));
        peak_kib(&bench, "source: host-detections, page_size: 500")
    };
    let (few, many) = (peak(1_000), peak(10_000));
    assert!(many <= MOST_KIB && many <= few + few / 4, "{few} KiB and {many} KiB");
}
