//! The options of `scanbridge run` as arguments again, for the processes of several pipelines.

use std::ffi::OsString;

use clap::ValueEnum;

use super::arguments::CommonOptions;
use super::format::SummaryFormat;
use crate::session::RunOptions;

/// The arguments after `scanbridge run` that set these options.
pub(crate) fn run_arguments(
    common: &CommonOptions,
    options: RunOptions,
    summary: SummaryFormat,
) -> Vec<OsString> {
    let RunOptions { restart, wait, once, trigger, instance } = options;
    let mut arguments = common_arguments(common);
    arguments.extend(["--summary".into(), word(&summary), "--trigger".into(), word(&trigger)]);
    if let Some(instance) = instance {
        arguments.extend(["--instance".into(), instance.to_string().into()]);
    }
    for (name, is_set) in [("--restart", restart), ("--wait", wait), ("--once", once)] {
        arguments.extend(is_set.then(|| OsString::from(name)));
    }
    arguments
}

/// The arguments of any command that set the options of every command.
pub(crate) fn common_arguments(common: &CommonOptions) -> Vec<OsString> {
    let CommonOptions {
        plugin_dirs,
        allow_world_writable_plugins,
        allow_core_dumps,
        state_dir,
        fips,
        log_format,
        log_levels,
        log_time,
        log_file,
        color,
        verbose,
        quiet,
    } = common;
    let mut arguments: Vec<OsString> = Vec::new();
    let mut add = |name: &str, value: OsString| arguments.extend([OsString::from(name), value]);
    plugin_dirs.iter().for_each(|folder| add("--plugin-dir", folder.into()));
    state_dir.iter().for_each(|folder| add("--state-dir", folder.into()));
    fips.iter().filter(|fips| !fips.is_off()).for_each(|fips| add("--fips", fips.word().into()));
    log_levels.iter().for_each(|rule| add("--log-level", rule.to_string().into()));
    log_file.iter().for_each(|file| add("--log-file", file.into()));
    add("--log-format", word(log_format));
    add("--log-time", word(log_time));
    add("--color", word(color));
    for (name, is_set) in [
        ("--allow-world-writable-plugins", *allow_world_writable_plugins),
        ("--allow-core-dumps", *allow_core_dumps),
    ] {
        arguments.extend(is_set.then(|| OsString::from(name)));
    }
    arguments.extend((0..*verbose).map(|_| OsString::from("-v")));
    arguments.extend((0..*quiet).map(|_| OsString::from("-q")));
    arguments
}

fn word(value: &impl ValueEnum) -> OsString {
    let value = value.to_possible_value().expect("no value of an option is skipped");
    value.get_name().into()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::Parser;

    use super::super::{Arguments, Command};
    use super::*;

    fn parsed(arguments: &[OsString], file: &str) -> (Arguments, RunOptions, SummaryFormat) {
        let all = ["scanbridge", "run"].map(OsString::from).into_iter().chain(arguments.iter().cloned());
        let arguments = Arguments::try_parse_from(all.chain(["--".into(), file.into()])).unwrap();
        let Command::Run { restart, wait, once, trigger, instance, summary, files, .. } =
            arguments.command.clone()
        else {
            panic!("another command")
        };
        assert_eq!(files, [PathBuf::from(file)]);
        (arguments, RunOptions { restart, wait, once, trigger, instance }, summary)
    }

    #[test]
    fn every_option_reaches_the_process_of_each_pipeline() {
        for text in [
            "",
            "--restart --wait --once --summary json --trigger schedule --instance 2",
            "--fips suite-b-128",
            "--plugin-dir a --plugin-dir b --state-dir s --log-format json --log-level siem=debug --log-level a=off \
             --log-time local --log-file f --color never -vv --allow-core-dumps --allow-world-writable-plugins",
            "-qq --summary none",
        ] {
            let given: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
            let (arguments, options, summary) = parsed(&given, "p.yaml");
            let again = parsed(&run_arguments(&arguments.common, options, summary), "p.yaml");
            assert_eq!(again, (arguments, options, summary), "{text}");
        }
    }
}
