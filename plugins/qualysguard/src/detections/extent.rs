//! Determines how much of the requested knowledge base a response contains.

use std::io;

use scanbridge_qualys_report::Source;
use scanbridge_qualys_xml::{Limits, Page};

/// What a complete response contains of the requested definitions.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of them that exist.
    All,
    /// A part of them, and the URL of the rest, if it has one.
    Part { next: Option<String> },
    /// Only their IDs.
    Ids,
}

impl Extent {
    /// Reads the parts before and after the definitions.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn of(source: &Source) -> io::Result<Self> {
        Ok(Self::of_ends(&source.head(WINDOW)?, &source.tail(WINDOW)?))
    }

    fn of_ends(head: &[u8], tail: &[u8]) -> Self {
        let (head, tail) = (String::from_utf8_lossy(head), String::from_utf8_lossy(tail));
        let first =
            ["<VULN_LIST", "<ID_SET"].into_iter().filter_map(|tag| Some((head.find(tag)?, tag))).min();
        if matches!(first, Some((_, "<ID_SET"))) {
            return Self::Ids;
        }
        let after = tail.rsplit_once("</VULN_LIST>").map_or(&*tail, |(_, after)| after);
        let warning = after.find("<WARNING").map(|at| &after[at..]);
        let end = warning.and_then(|warning| warning.find("</RESPONSE"));
        let (Some(warning), Some(end)) = (warning, end) else { return Self::All };
        // The warning has the form of the one after a page of detections.
        let page = format!("{OPEN}{}{CLOSE}", &warning[..end]);
        match Page::read(page.as_bytes(), Limits::default()) {
            Ok(page) if page.warning == "1980" => Self::Part { next: page.next },
            _ => Self::All,
        }
    }
}

const OPEN: &str = "<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE>";
const CLOSE: &str = "</RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>";
/// Far more than the parts before and after the definitions have, in bytes.
const WINDOW: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extent_is_read_from_both_ends() {
        let text = "<DIAGNOSIS><![CDATA[<ID_SET> </VULN_LIST> <WARNING><CODE>1980</CODE></WARNING></RESPONSE>]]></DIAGNOSIS>";
        let vuln = format!("<VULN><QID>1</QID>{text}</VULN>");
        let list = format!("<VULN_LIST>{vuln}</VULN_LIST>");
        let url = "<WARNING>\n<CODE>1980</CODE><TEXT>x</TEXT><URL><![CDATA[\nhttps://q/?a=1&id_min=7\n]]></URL></WARNING>";
        let part = |next: Option<&str>| Extent::Part { next: next.map(str::to_owned) };
        for (response, extent) in [
            (list.clone(), Extent::All),
            (String::new(), Extent::All),
            ("<VULN_LIST/>".to_owned(), Extent::All),
            ("<ID_SET><ID>1</ID></ID_SET>".to_owned(), Extent::Ids),
            (format!("{list}{url}"), part(Some("https://q/?a=1&id_min=7"))),
            (format!("{list}<WARNING><CODE> 1980 </CODE><TEXT>x</TEXT></WARNING>"), part(None)),
            (format!("{list}<WARNING><CODE>1981</CODE><TEXT>x</TEXT></WARNING>"), Extent::All),
            (format!("{list}<WARNING></WARNING>"), Extent::All),
            ("<WARNING><CODE>1980</CODE></WARNING>".to_owned(), part(None)),
        ] {
            let document = format!(
                "<?xml version=\"1.0\"?>\n<KNOWLEDGE_BASE_VULN_LIST_OUTPUT><RESPONSE><DATETIME>t</DATETIME>\n{response}\n\
                 </RESPONSE>\n</KNOWLEDGE_BASE_VULN_LIST_OUTPUT>\n<!-- CONFIDENTIAL -->"
            );
            assert_eq!(Extent::of_ends(document.as_bytes(), document.as_bytes()), extent, "{response}");
        }
    }
}
