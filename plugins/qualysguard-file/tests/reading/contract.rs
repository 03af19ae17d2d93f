//! The contract tests of the plugin API, for each kind of report.

use std::fs;

use scanbridge_bench::generator::{Extent, Format, Shape};
use scanbridge_fixtures::good;
use scanbridge_qualysguard_file::QualysGuardFile;
use serde_json::json;

#[test]
fn input_contract_for_each_kind_of_report() {
    for name in ["scan-all-kinds.xml", "template-report.xml", "detections.xml"] {
        let options = json!({ "path": [good(name)], "knowledge_base": good("knowledge-base.xml") });
        scanbridge_plugin_contract::input::<QualysGuardFile>(&options);
    }
}

/// Several files, one of them larger than a batch, so that there are positions within reports and between them.
#[test]
fn input_resumes_at_every_position() {
    let folder = tempfile::tempdir().unwrap();
    let shape = Shape {
        format: Format::Template,
        extent: Extent::Assets(120),
        findings_per_asset: 10,
        qids: 40,
        own_texts: false,
        seed: 3,
    };
    shape.write(fs::File::create(folder.path().join("large.xml")).unwrap()).unwrap();
    for name in ["scan-all-kinds.xml", "scan-no-assets.xml", "template-report.xml"] {
        fs::copy(good(name), folder.path().join(name)).unwrap();
    }
    for watch in [false, true] {
        let options = json!({ "path": [folder.path()], "watch": watch });
        scanbridge_plugin_contract::input::<QualysGuardFile>(&options);
    }
}

#[test]
fn wrong_values_are_found_without_opening_the_plugin() {
    scanbridge_plugin_contract::wrong_option_values_of_input::<QualysGuardFile>(
        &[serde_json::json!({ "path": ["/nonexistent/a.xml"] })],
        &[
            ("path", "at least one path that is not empty"),
            ("pattern", "file name patterns are not an option kind"),
            ("ignore_kinds", "names of XML elements are not an option kind"),
            ("done_folder", "it cannot be a parent of the reports"),
        ],
    );
}
