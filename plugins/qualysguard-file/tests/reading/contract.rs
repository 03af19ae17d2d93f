//! The exam that every plugin takes, once for each kind of report.

use scanbridge_fixtures::good;
use scanbridge_qualysguard_file::QualysGuardFile;
use serde_json::json;

#[test]
fn the_input_keeps_every_promise() {
    for name in ["scan-all-kinds.xml", "template-report.xml", "detections.xml"] {
        let options = json!({ "path": [good(name)], "knowledge_base": good("knowledge-base.xml") });
        scanbridge_plugin_contract::input::<QualysGuardFile>(&options);
    }
}
