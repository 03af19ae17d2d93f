//! The contract tests that apply to every plugin.

use scanbridge_sourcefire::SourcefireOutput;
use serde_json::json;

use crate::setting_up::Registered;

#[test]
fn plugin_contract() {
    let Some(registered) = Registered::new() else { return };
    let options = || registered.options(&json!({}));
    scanbridge_plugin_contract::output::<SourcefireOutput>(options, |_| {
        registered.center.wait_until_idle();
        format!("{:?}", registered.center.host_map()).into_bytes()
    });
    assert!(!registered.results().is_empty());
}
