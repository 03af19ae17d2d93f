//! The mapping `log` of the service file.

use std::path::Path;

use scanbridge_observe::{LogKeys, LogTarget};
use scanbridge_plugin_api::OptionKind;

use super::checker::Checker;
use super::fields::Fields;
use super::suggestion::nearest;
use super::tree::Node;

const KEYS: [&str; 5] = ["to", "file", "rotate_bytes", "keep", "level"];
const TARGETS: [&str; 3] = ["stderr", "journal", "file"];
const LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];
const SIZES: OptionKind = OptionKind::Size { min: 0, max: 1 << 40 };
const NUMBERS: OptionKind = OptionKind::Integer { min: 0, max: 1000 };

impl Checker<'_> {
    /// The log of the service. Its path is relative to `folder`.
    pub(super) fn service_log(&mut self, node: &Node, folder: &Path) -> LogKeys {
        let mut log = LogKeys::default();
        let fields = Fields::read(&mut self.collector, node, "`log`", &KEYS, |_| None);
        if let Some(node) = fields.get("to") {
            log.to = match self.word(node, "to", &TARGETS).as_deref() {
                Some("journal") => LogTarget::Journal,
                Some("file") => LogTarget::File,
                _ => LogTarget::Stderr,
            };
        }
        if let Some(node) = fields.get("file")
            && let Some(path) = self.text(node, "file")
        {
            log.file = folder.join(path.text).display().to_string();
        }
        for (key, kind, number) in
            [("rotate_bytes", SIZES, &mut log.rotate_bytes), ("keep", NUMBERS, &mut log.keep)]
        {
            if let Some(node) = fields.get(key) {
                let value = self.value_of(node, key, &kind);
                *number = value.and_then(|value| value.as_u64()).unwrap_or(*number);
            }
        }
        if let Some(node) = fields.get("level") {
            log.level = self.word(node, "level", &LEVELS).unwrap_or(log.level);
        }
        if log.to == LogTarget::File && fields.get("file").is_none() {
            let message = "`to: file` requires `file`".to_owned();
            self.collector
                .error("missing-key", &node.span, message)
                .help("for example `file: /var/log/scanbridge/service.log`");
        }
        for key in ["file", "rotate_bytes", "keep"] {
            if let Some(node) = fields.get(key).filter(|_| log.to != LogTarget::File) {
                let message = format!("`{key}` requires `to: file`");
                self.collector.error("contradiction", &node.span, message);
            }
        }
        log
    }

    pub(super) fn word(&mut self, node: &Node, key: &str, words: &[&'static str]) -> Option<String> {
        let text = self.text(node, key)?.text;
        if words.contains(&text.as_str()) {
            return Some(text);
        }
        let near = nearest(&text, words.iter().copied()).map(|word| format!("did you mean `{word}`?"));
        self.collector
            .error("bad-value", &node.span, format!("`{key}` must be one of {}", words.join(", ")))
            .label(near.unwrap_or_default());
        None
    }

    /// The value of a key of this type. What is wrong has been reported if there is none.
    pub(super) fn value_of(
        &mut self,
        node: &Node,
        key: &str,
        kind: &OptionKind,
    ) -> Option<serde_json::Value> {
        let text = self.text(node, key)?.text;
        match kind.parse(&text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.collector.error("bad-value", &node.span, format!("`{key}` {message}"));
                None
            }
        }
    }
}
