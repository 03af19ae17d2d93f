//! Generated detections of any number of assets, in pages, with their knowledge base.

use std::time::Duration;

use super::reply::Reply;
use super::request::ReceivedRequest;

/// Generated assets with the IDs 1001, 1002 … Each has `per_asset` detections; QIDs begin at 100001.
#[derive(Debug, Clone)]
pub struct Population {
    /// Number of assets.
    pub assets: u32,
    /// Number of detections of each asset.
    pub per_asset: u32,
    /// Number of different QIDs.
    pub qids: u32,
    /// Host name in the URL of the next page. `None`: the one of the request.
    pub next_host: Option<String>,
    /// Assets for which every page that contains them is truncated.
    pub truncated_assets: Vec<u32>,
    /// Assets without detections: they are in the list of assets only.
    pub without_detections: Vec<u32>,
    /// Pages with more assets than this are truncated.
    pub max_assets_per_page: u32,
    /// A list of assets has no more than this many, and names its rest.
    pub max_listed: u32,
    /// Delay before each page.
    pub delay: Duration,
}

/// The ID of the first asset.
const FIRST: u32 = 1001;

impl Population {
    /// A population of this many assets, each with three detections, with 40 QIDs in total.
    #[must_use]
    pub fn of(assets: u32) -> Self {
        Self {
            assets,
            per_asset: 3,
            qids: 40,
            next_host: None,
            truncated_assets: Vec::new(),
            without_detections: Vec::new(),
            max_assets_per_page: u32::MAX,
            max_listed: u32::MAX,
            delay: Duration::ZERO,
        }
    }

    /// The response to requests for detections, assets, knowledge base and version; `None` for other requests.
    pub(super) fn respond(&self, request: &ReceivedRequest) -> Option<Reply> {
        let path = request.path.as_str();
        if path.ends_with("/fo/asset/host/vm/detection/") {
            return Some(self.page(request));
        }
        if path.ends_with("/fo/asset/host/") {
            return Some(self.list(request));
        }
        if path.ends_with("/fo/knowledge_base/vuln/") {
            return Some(Reply::xml(knowledge_base(request)));
        }
        path.ends_with("/msp/about.php")
            .then(|| Reply::xml("<?xml version=\"1.0\"?>\n<ABOUT><WEB-VERSION>10.39</WEB-VERSION></ABOUT>\n"))
    }

    /// The assets of a response, except those that are omitted, and the first asset of the next one.
    fn requested(&self, request: &ReceivedRequest, omitted: &[u32]) -> (Vec<u32>, Option<u32>) {
        let number = |name| request.field(name).and_then(|value| value.parse::<u32>().ok());
        let first = number("id_min").unwrap_or(0).max(FIRST);
        let ids: Option<Vec<u32>> =
            request.field("ids").map(|ids| ids.split(',').filter_map(|id| id.parse().ok()).collect());
        let end = number("id_max").map_or(u32::MAX, |last| last + 1).min(FIRST + self.assets);
        let limit = number("truncation_limit").filter(|limit| *limit > 0).unwrap_or(1000);
        let is_wanted = |asset: &u32| ids.as_ref().is_none_or(|ids| ids.contains(asset));
        let mut all = (first..end).filter(|asset| !omitted.contains(asset) && is_wanted(asset));
        let requested: Vec<u32> = all.by_ref().take(limit as usize).collect();
        (requested, all.next())
    }

    fn page(&self, request: &ReceivedRequest) -> Reply {
        let (requested, next) = self.requested(request, &self.without_detections);
        let mut xml = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<HOST_LIST_VM_DETECTION_OUTPUT>\n<RESPONSE>\n\
             <DATETIME>2026-04-01T00:00:01Z</DATETIME>\n",
        );
        if !requested.is_empty() {
            xml += "<HOST_LIST>\n";
            for asset in &requested {
                self.asset(*asset, &mut xml);
            }
            xml += "</HOST_LIST>\n";
        }
        xml += &self.warning(request, next);
        xml += "</RESPONSE>\n</HOST_LIST_VM_DETECTION_OUTPUT>\n";
        let truncated = requested.iter().any(|asset| self.truncated_assets.contains(asset))
            || requested.len() > self.max_assets_per_page as usize;
        let half = xml.len() / 2;
        let page = Reply::xml(xml).delay(self.delay);
        if truncated { page.truncate_at(half) } else { page }
    }

    fn asset(&self, asset: u32, xml: &mut String) {
        let [_, b, c, d] = asset.to_be_bytes();
        *xml += &format!(
            "<HOST><ID>{asset}</ID><IP>10.{b}.{c}.{d}</IP><TRACKING_METHOD>IP</TRACKING_METHOD>\
             <OS><![CDATA[Linux]]></OS><DNS><![CDATA[a{asset}.example.com]]></DNS><DETECTION_LIST>\n"
        );
        for index in 0..self.per_asset {
            let qid = 100_001 + (asset * 7 + index) % self.qids;
            *xml += &format!(
                "<DETECTION><QID>{qid}</QID><TYPE>Confirmed</TYPE><SEVERITY>{}</SEVERITY><PORT>{}</PORT>\
                 <PROTOCOL>tcp</PROTOCOL><SSL>0</SSL><RESULTS><![CDATA[seen on a{asset}]]></RESULTS>\
                 <STATUS>Active</STATUS><FIRST_FOUND_DATETIME>2026-01-01T00:00:00Z</FIRST_FOUND_DATETIME>\
                 <LAST_FOUND_DATETIME>2026-03-31T00:00:00Z</LAST_FOUND_DATETIME></DETECTION>\n",
                1 + qid % 5,
                1000 + index
            );
        }
        *xml += "</DETECTION_LIST></HOST>\n";
    }

    /// The warning about the rest of a list.
    fn warning(&self, request: &ReceivedRequest, next: Option<u32>) -> String {
        let Some(next) = next else { return String::new() };
        let host = self.next_host.as_deref().or(request.header("host")).unwrap_or_default();
        let path = &request.path;
        format!(
            "<WARNING>\n<CODE>1980</CODE>\n<TEXT>record limit exceeded. Use URL to get next batch of results.\
             </TEXT>\n<URL><![CDATA[\nhttps://{host}{path}?action=list&truncation_limit={}&id_min={next}\n]]></URL>\n\
             </WARNING>\n",
            request.field("truncation_limit").unwrap_or("1000")
        )
    }

    fn list(&self, request: &ReceivedRequest) -> Reply {
        let (mut requested, mut next) = self.requested(request, &[]);
        if requested.len() > self.max_listed as usize {
            next = Some(requested[self.max_listed as usize]);
            requested.truncate(self.max_listed as usize);
        }
        let warning = self.warning(request, next);
        let ids: String = requested.iter().map(|id| format!("<ID>{id}</ID>")).collect();
        Reply::xml(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<HOST_LIST_OUTPUT><RESPONSE>\
             <DATETIME>2026-04-01T00:00:01Z</DATETIME><ID_SET>{ids}</ID_SET>{warning}</RESPONSE></HOST_LIST_OUTPUT>\n"
        ))
    }
}

fn knowledge_base(request: &ReceivedRequest) -> String {
    let ids = request.field("ids").unwrap_or_default();
    let is_update = request.field("last_modified_after").is_some();
    let entries: String = ids
        .split(',')
        .filter(|id| !id.is_empty() && !is_update)
        .map(|id| {
            format!(
                "<VULN><QID>{id}</QID><VULN_TYPE>Vulnerability</VULN_TYPE><SEVERITY_LEVEL>3</SEVERITY_LEVEL>\
                 <TITLE><![CDATA[Title of {id}]]></TITLE><CATEGORY>CGI</CATEGORY>\
                 <CVE_LIST><CVE><ID><![CDATA[CVE-2026-{id}]]></ID><URL><![CDATA[http://cve.example.com/]]></URL></CVE></CVE_LIST>\
                 <DIAGNOSIS><![CDATA[Diagnosis of {id}.]]></DIAGNOSIS></VULN>\n"
            )
        })
        .collect();
    let list = if entries.is_empty() { entries } else { format!("<VULN_LIST>\n{entries}</VULN_LIST>") };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<KNOWLEDGE_BASE_VULN_LIST_OUTPUT><RESPONSE>\
         <DATETIME>2026-04-01T00:00:00Z</DATETIME>{list}</RESPONSE></KNOWLEDGE_BASE_VULN_LIST_OUTPUT>\n"
    )
}
