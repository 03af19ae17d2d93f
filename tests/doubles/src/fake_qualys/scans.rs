//! Generated stored scans: their list of API v1, and the result of each.

use std::time::Duration;

use super::reply::Reply;
use super::request::ReceivedRequest;

/// Stored scans with the references `scan/1.00001`, `scan/1.00002` … Each later one is a day newer.
#[derive(Debug, Clone)]
pub struct StoredScans {
    /// Number of finished scans.
    pub finished: u32,
    /// Number of scans after them that are still running.
    pub running: u32,
    /// Findings of each scan.
    pub findings: u32,
    /// Delay before each result.
    pub delay: Duration,
}

impl StoredScans {
    /// This many finished scans with two findings each.
    #[must_use]
    pub fn of(finished: u32) -> Self {
        Self { finished, running: 0, findings: 2, delay: Duration::ZERO }
    }

    /// The reference of a scan; the first is 1.
    #[must_use]
    pub fn reference(number: u32) -> String {
        format!("scan/1.{number:05}")
    }

    /// The response to requests for the list and for results; `None` for other requests.
    pub(super) fn respond(&self, request: &ReceivedRequest) -> Option<Reply> {
        if request.path.ends_with("/msp/scan_report_list.php") {
            return Some(self.list());
        }
        let reference = request.field("ref").filter(|_| request.path.ends_with("/msp/scan_report.php"))?;
        let number = reference.strip_prefix("scan/1.")?.parse().ok()?;
        let is_known = (1..=self.finished).contains(&number);
        Some(if is_known { self.result(number) } else { Reply::generic(2206, "Scan not found") })
    }

    fn list(&self) -> Reply {
        let scans: String = (1..=self.finished + self.running)
            .map(|number| {
                let status = if number <= self.finished { "FINISHED" } else { "RUNNING" };
                format!(
                    "<SCAN_REPORT ref=\"{}\" date=\"{}\" status=\"{status}\" target=\"192.0.2.1\">\
                     <TITLE><![CDATA[{}]]></TITLE></SCAN_REPORT>\n",
                    Self::reference(number),
                    date(number),
                    title(number)
                )
            })
            .collect();
        Reply::xml(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<SCAN_REPORT_LIST user=\"x\">{scans}</SCAN_REPORT_LIST>\n"
        ))
    }

    fn result(&self, number: u32) -> Reply {
        let [_, _, high, low] = number.to_be_bytes();
        let findings: String = (1..=self.findings)
            .map(|finding| {
                format!(
                    "<VULN number=\"{}\" severity=\"3\"><TITLE><![CDATA[Finding {finding}]]></TITLE>\
                     <RESULT><![CDATA[in scan {number:05}]]></RESULT></VULN>\n",
                    100_000 + finding
                )
            })
            .collect();
        Reply::xml(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<SCAN value=\"{}\"><HEADER><KEY value=\"USERNAME\">x</KEY>\
             <KEY value=\"DATE\">{}</KEY><KEY value=\"TITLE\"><![CDATA[{}]]></KEY><KEY value=\"STATUS\">FINISHED</KEY>\
             </HEADER>\n<IP value=\"10.9.{high}.{low}\" name=\"h{number}.example.com\"><OS><![CDATA[Linux]]></OS><VULNS>\
             <CAT value=\"General\" port=\"443\" protocol=\"tcp\">{findings}</CAT></VULNS></IP></SCAN>\n",
            Self::reference(number),
            date(number),
            title(number)
        ))
        .delay(self.delay)
    }
}

/// A day of 2025 or later for each scan.
fn date(number: u32) -> String {
    let (year, day) = (2025 + (number - 1) / 336, (number - 1) % 336);
    format!("{year}-{:02}-{:02}T22:10:00Z", 1 + day / 28, 1 + day % 28)
}

fn title(number: u32) -> String {
    let region = ["EMEA", "APAC", "Americas"][number as usize % 3];
    format!("Weekly {region} {number:05}")
}
