//! The command `process_multiple` of the Qualys Connector of 2014.

mod old_command;

fn main() -> std::process::ExitCode {
    old_command::replace_by_host("process_multiple")
}
