//! Help texts of all commands of the service.

#[path = "../../host/tests/help_texts/mod.rs"]
mod help_texts;

#[test]
fn help_of_every_command() {
    for (name, text) in help_texts::help_texts(&scanbridge_service::command()) {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, text);
        });
    }
}
