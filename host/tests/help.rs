//! Help texts of all commands of the host.

mod help_texts;

use help_texts::{help_texts, usage};
use scanbridge::cli::command;

#[test]
fn help_of_every_command() {
    for (name, text) in help_texts(&command()) {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, text);
        });
    }
}

#[test]
fn misspelled_option_gets_a_suggestion() {
    let line = "scanbridge run p.yaml --sumary json".split(' ').map(str::to_owned).collect::<Vec<_>>();
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("usage-error", usage(command(), &line).1);
    });
}
