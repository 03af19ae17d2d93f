//! A generated report as the fake Qualys provides it.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use scanbridge_doubles::fake_qualys::{ReceivedRequest, Reply, Responder};

use super::shape::ReportFiles;
use crate::measuring::stage::StageError;

/// Responds to the calls that the input `QualysGuard` makes for one report.
pub(super) struct StoredReport {
    text: String,
    kind: Kind,
}

enum Kind {
    Scan,
    Template,
    Detections {
        /// Each asset in the text.
        assets: Vec<Range<usize>>,
        knowledge_base: String,
        /// Each definition in the knowledge base, by QID.
        definitions: HashMap<String, Range<usize>>,
    },
}

impl StoredReport {
    /// Reads a generated report and its knowledge base.
    ///
    /// # Errors
    /// Fails if a file cannot be read or is of another kind.
    pub(super) fn read(files: &ReportFiles) -> Result<Self, StageError> {
        let text = read(&files.report.path)?;
        let root =
            text.split_once("<!DOCTYPE ").and_then(|(_, rest)| rest.split_once(' ')).map(|(root, _)| root);
        let kind = match root {
            Some("SCAN") => Kind::Scan,
            Some("ASSET_DATA_REPORT") => Kind::Template,
            Some("HOST_LIST_VM_DETECTION_OUTPUT") => {
                let knowledge_base = files
                    .knowledge_base
                    .as_ref()
                    .map(|file| read(&file.path))
                    .transpose()?
                    .unwrap_or_default();
                let definitions = entries(&knowledge_base, "<VULN>\n<QID>", "</VULN_LIST>")
                    .into_iter()
                    .filter_map(|entry| Some((qid(&knowledge_base[entry.clone()])?.to_owned(), entry)))
                    .collect();
                Kind::Detections {
                    assets: entries(&text, "<HOST>\n<ID>", "</HOST_LIST>"),
                    knowledge_base,
                    definitions,
                }
            }
            _ => {
                return Err(StageError::new(
                    files.report.path.display(),
                    "the fake Qualys cannot provide it",
                ));
            }
        };
        Ok(Self { text, kind })
    }

    /// The options of the input that request this report.
    pub(super) fn options(&self) -> &'static str {
        match self.kind {
            Kind::Scan => "source: scan-reports",
            Kind::Template => "report_id: 77",
            Kind::Detections { .. } => "source: host-detections",
        }
    }

    /// A page of detections, with the URL of the next one if there is one.
    fn page(&self, assets: &[Range<usize>], request: &ReceivedRequest) -> String {
        let number =
            |name, default| request.field(name).and_then(|value| value.parse().ok()).unwrap_or(default);
        let first = number("id_min", FIRST_ASSET).max(FIRST_ASSET) - FIRST_ASSET;
        let limit = number("truncation_limit", DEFAULT_PAGE);
        let first = first.min(assets.len());
        let end = (first + limit).min(assets.len());
        let begin_of = |asset: usize| assets.get(asset).or(assets.last()).map_or(0, |asset| asset.start);
        let list_end = assets.last().map_or(0, |last| last.end);
        let page_end = if end == assets.len() { list_end } else { begin_of(end) };
        let mut page = String::with_capacity(page_end - begin_of(first) + 2048);
        page.push_str(&self.text[..begin_of(0)]);
        page.push_str(&self.text[begin_of(first)..page_end]);
        page.push_str("</HOST_LIST>\n");
        if end < assets.len() {
            page.push_str(&format!(
                "<WARNING>\n<CODE>1980</CODE>\n<TEXT>record limit exceeded. Use URL to get next batch of results.\
                 </TEXT>\n<URL><![CDATA[https://{}{}?action=list&truncation_limit={limit}&id_min={}]]></URL>\n\
                 </WARNING>\n",
                request.header("host").unwrap_or_default(),
                request.path,
                FIRST_ASSET + end
            ));
        }
        page.push_str("</RESPONSE>\n</HOST_LIST_VM_DETECTION_OUTPUT>\n");
        page
    }
}

impl Responder for StoredReport {
    fn respond(&self, request: &ReceivedRequest) -> Reply {
        let path = request.path.as_str();
        match &self.kind {
            Kind::Scan if path.ends_with("/msp/scan_report_list.php") => Reply::xml(SCAN_LIST),
            Kind::Scan if path.ends_with("/msp/scan_report.php") => Reply::xml(self.text.as_str()),
            Kind::Template if request.field("action") == Some("list") => Reply::xml(REPORT_LIST),
            Kind::Template if request.field("action") == Some("fetch") => Reply::xml(self.text.as_str()),
            Kind::Detections { assets, .. } if path.ends_with("/fo/asset/host/vm/detection/") => {
                Reply::xml(self.page(assets, request))
            }
            Kind::Detections { knowledge_base, definitions, .. }
                if path.ends_with("/fo/knowledge_base/vuln/") =>
            {
                let requested = request.field("ids").unwrap_or_default().split(',');
                let found: String = requested
                    .filter_map(|qid| definitions.get(qid))
                    .map(|entry| &knowledge_base[entry.clone()])
                    .collect();
                Reply::xml(format!("{KNOWLEDGE_BASE_HEAD}{found}{KNOWLEDGE_BASE_TAIL}"))
            }
            _ => Reply::new(500, "text/plain", format!("no response to: {}", request.line())),
        }
    }
}

/// The ranges that begin with `begin`; the last one ends before `end`.
fn entries(text: &str, begin: &str, end: &str) -> Vec<Range<usize>> {
    let starts: Vec<usize> = text.match_indices(begin).map(|(start, _)| start).collect();
    let end = text.rfind(end).unwrap_or(text.len());
    let ends = starts.iter().skip(1).copied().chain([end]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

fn qid(definition: &str) -> Option<&str> {
    definition.split_once("<QID>")?.1.split_once("</QID>").map(|(qid, _)| qid)
}

fn read(path: &Path) -> Result<String, StageError> {
    std::fs::read_to_string(path).map_err(|error| StageError::new(path.display(), error))
}

/// The ID of the first asset of generated detections.
const FIRST_ASSET: usize = 6_000_001;

/// Assets in a page if the request does not say it.
const DEFAULT_PAGE: usize = 1000;

const SCAN_LIST: &str = "<?xml version=\"1.0\"?>\n<SCAN_REPORT_LIST user=\"example\">\
    <SCAN_REPORT ref=\"scan/1790000000.12345\" date=\"2026-03-04T10:14:53Z\" status=\"FINISHED\" target=\"198.18.0.0\"/>\
    </SCAN_REPORT_LIST>";

const REPORT_LIST: &str = "<?xml version=\"1.0\"?>\n<REPORT_LIST_OUTPUT><RESPONSE>\
    <DATETIME>2026-04-01T00:00:00Z</DATETIME><REPORT_LIST><REPORT><ID>77</ID><TITLE>Example</TITLE><TYPE>Scan</TYPE>\
    <OUTPUT_FORMAT>XML</OUTPUT_FORMAT><SIZE>1 MB</SIZE><STATUS><STATE>Finished</STATE></STATUS></REPORT></REPORT_LIST>\
    </RESPONSE></REPORT_LIST_OUTPUT>";

const KNOWLEDGE_BASE_HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<KNOWLEDGE_BASE_VULN_LIST_OUTPUT><RESPONSE>\
    <DATETIME>2026-04-01T00:00:00Z</DATETIME>\n<VULN_LIST>\n";

const KNOWLEDGE_BASE_TAIL: &str = "</VULN_LIST></RESPONSE></KNOWLEDGE_BASE_VULN_LIST_OUTPUT>\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_begin_and_end_where_the_elements_do() {
        let text = "<L>\n<HOST>\n<ID>1</ID></HOST>\n<HOST>\n<ID>2</ID></HOST>\n</L>";
        let found: Vec<&str> =
            entries(text, "<HOST>\n<ID>", "</L>").into_iter().map(|entry| &text[entry]).collect();
        assert_eq!(found, ["<HOST>\n<ID>1</ID></HOST>\n", "<HOST>\n<ID>2</ID></HOST>\n"]);
    }

    #[test]
    fn pages_contain_each_asset_once() {
        let text =
            "HEAD<HOST>\n<ID>6000001</ID></HOST>\n<HOST>\n<ID>6000002</ID></HOST>\n</HOST_LIST>\n".to_owned();
        let assets = entries(&text, "<HOST>\n<ID>", "</HOST_LIST>");
        let report = StoredReport { text, kind: Kind::Template };
        let page = |id_min: &str| {
            let fields = [("truncation_limit", "1"), ("id_min", id_min)];
            let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            report.page(&assets, &ReceivedRequest { fields, ..ReceivedRequest::default() })
        };
        let (first, second) = (page("0"), page("6000002"));
        assert!(first.starts_with("HEAD<HOST>\n<ID>6000001</ID></HOST>\n</HOST_LIST>\n<WARNING>"), "{first}");
        assert!(first.contains("id_min=6000002]]>"), "{first}");
        assert!(
            second.starts_with("HEAD<HOST>\n<ID>6000002</ID></HOST>\n</HOST_LIST>\n</RESPONSE>"),
            "{second}"
        );
    }
}
