//! Text from other programs, made safe for a line of the log.

pub(crate) use scanbridge_observe::without_controls;

#[cfg(test)]
mod tests {
    #[test]
    fn logs_and_plugins_have_one_rule_for_hidden_characters() {
        for c in '\0'..=char::MAX {
            assert_eq!(scanbridge_observe::is_printable(c), scanbridge_plugin_api::is_printable(c), "{c:?}");
        }
    }
}
