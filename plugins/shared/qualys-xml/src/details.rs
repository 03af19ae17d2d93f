//! Details of a report: what its head says and the model has no field for.

use scanbridge_plugin_api::model::ReportDetail;

use crate::other::{MAX_ITEMS, within_limits};

/// Elements and attributes of the heads of reports, by their paths, with the names of the details.
const NAMES: &[(&str, &str)] = &[
    ("NETWORK", "network"),
    ("ASSET_GROUPS/ASSET_GROUP/ASSET_GROUP_TITLE", "asset_group"),
    ("ASSET_TAG_LIST/INCLUDED_TAGS/ASSET_TAG", "included_tag"),
    ("ASSET_TAG_LIST/INCLUDED_TAGS@scope", "included_scope"),
    ("ASSET_TAG_LIST/EXCLUDED_TAGS/ASSET_TAG", "excluded_tag"),
    ("ASSET_TAG_LIST/EXCLUDED_TAGS@scope", "excluded_scope"),
    ("OPTION_PROFILE/OPTION_PROFILE_TITLE", "option_profile"),
    ("OPTION_PROFILE/OPTION_PROFILE_TITLE@option_profile_default", "option_profile_default"),
    ("COMPANY", "company"),
    ("TARGET/USER_ASSET_GROUPS/ASSET_GROUP_TITLE", "asset_group"),
    ("TARGET/USER_IP_LIST/RANGE/START", "user_range"),
    ("TARGET/USER_IP_LIST/RANGE/END", END_OF_RANGE),
    ("TARGET/USER_IP_LIST/RANGE@network_id", "network_id"),
    ("TARGET/COMBINED_IP_LIST/RANGE/START", "combined_range"),
    ("TARGET/COMBINED_IP_LIST/RANGE/END", END_OF_RANGE),
    ("TARGET/COMBINED_IP_LIST/RANGE@network_id", "network_id"),
    ("TARGET/ASSET_TAG_LIST/INCLUDED_TAGS/ASSET_TAG", "included_tag"),
    ("TARGET/ASSET_TAG_LIST/INCLUDED_TAGS@scope", "included_scope"),
    ("TARGET/ASSET_TAG_LIST/EXCLUDED_TAGS/ASSET_TAG", "excluded_tag"),
    ("TARGET/ASSET_TAG_LIST/EXCLUDED_TAGS@scope", "excluded_scope"),
    ("RISK_SCORE_SUMMARY/TOTAL_VULNERABILITIES", "total_vulnerabilities"),
    ("RISK_SCORE_SUMMARY/AVG_SECURITY_RISK", "avg_security_risk"),
    ("RISK_SCORE_SUMMARY/BUSINESS_RISK", "business_risk"),
    ("NON_RUNNING_KERNELS", "non_running_kernels"),
    ("APPENDICES/NO_RESULTS/IP_LIST/RANGE/START", "no_results"),
    ("APPENDICES/NO_RESULTS/IP_LIST/RANGE/END", END_OF_RANGE),
    ("APPENDICES/NO_RESULTS/IP_LIST/RANGE@network_id", "network_id"),
    ("APPENDICES/TEMPLATE_DETAILS/FILTER_SUMMARY", "filter_summary"),
    ("APPENDICES/TEMPLATE_DETAILS/VULN_LISTS", "vuln_lists"),
    ("APPENDICES/TEMPLATE_DETAILS/SELECTIVE_VULNS", "selective_vulns"),
    ("APPENDICES/TEMPLATE_DETAILS/EXCLUDED_VULN_LISTS", "excluded_vuln_lists"),
    ("APPENDICES/TEMPLATE_DETAILS/EXCLUDED_VULNS", "excluded_vulns"),
    ("APPENDICES/TEMPLATE_DETAILS/RESULTING_VULNS", "resulting_vulns"),
];

/// The end of the range that the detail before it begins.
const END_OF_RANGE: &str = "-";

/// Whether this part of a report is known.
pub(crate) fn is_known(path: &str) -> bool {
    name_of(path).is_some()
}

fn name_of(path: &str) -> Option<&'static str> {
    let known = NAMES.iter().find(|(known, _)| *known == path).map(|(_, name)| *name);
    known.or_else(|| path.starts_with("NON_RUNNING_KERNELS/").then_some("non_running_kernels"))
}

/// Adds the text at this path. Returns false if there are too many details.
pub(crate) fn add(details: &mut Vec<ReportDetail>, path: &str, text: &str) -> bool {
    let name = name_of(path).map_or_else(|| path.to_ascii_lowercase(), str::to_owned);
    if name == END_OF_RANGE
        && let Some(start) = details.last_mut()
    {
        if start.value != text {
            start.value = format!("{}-{}", start.value, text);
        }
        return true;
    }
    add_named(details, &name, text)
}

/// Adds a detail with this name.
pub(crate) fn add_named(details: &mut Vec<ReportDetail>, name: &str, text: &str) -> bool {
    let Some((name, value)) = within_limits(name, text) else { return false };
    if details.len() >= MAX_ITEMS {
        return false;
    }
    details.push(ReportDetail::new(name, value));
    true
}
