//! Option syntax of the 2014 commands: `-name=value`, `-name value`, `-name`, and any unambiguous prefix of a
//! name.

use std::ffi::OsString;

/// An option of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Server,
    Port,
    Plugininfo,
    Ipv6,
    Pkcs12,
    Password,
    Syslog,
    Stderr,
    Logfile,
    Level,
    Csvfile,
    Multiinfo,
    Help,
    Version,
}

/// A row of the option table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: Name,
    /// Full name, without the dash.
    pub(super) word: &'static str,
    /// The abbreviation that the guide of 2014 lists.
    pub(super) short: &'static str,
    /// Placeholder of the value in the usage; `None` for a flag.
    pub(super) value: Option<&'static str>,
    /// Help text; `\n` separates lines.
    pub(super) help: &'static str,
}

/// All options, in the order of the usage. Only `process_multiple` has `multiinfo`.
pub(super) const TABLE: [Row; 14] = [
    row(
        Name::Multiinfo,
        "multiinfo",
        "m",
        Some("IDS"),
        "report template IDs, separated by commas, no spaces",
    ),
    row(Name::Server, "server", "se", Some("HOST"), "Defense Center: host name or IP address"),
    row(Name::Port, "port", "po", Some("PORT"), "TCP port (default 8307)"),
    row(
        Name::Plugininfo,
        "plugininfo",
        "pl",
        Some("FILE"),
        "settings file (default InputPlugins/<plugin>.yaml)",
    ),
    row(Name::Ipv6, "ipv6", "i", None, "connect to the Defense Center over IPv6"),
    row(
        Name::Pkcs12,
        "pkcs12",
        "pk",
        Some("FILE"),
        "client certificate file (default: first *.pkcs12\nin the working directory)",
    ),
    row(Name::Password, "password", "pa", Some("WORD"), "password of the certificate file (default: none)"),
    row(Name::Syslog, "syslog", "sy", None, "log to syslog (standard error if it is unavailable)"),
    row(Name::Stderr, "stderr", "st", None, "log to standard error"),
    row(Name::Logfile, "logfile", "lo", Some("FILE"), "append the log to this file"),
    row(
        Name::Level,
        "level",
        "le",
        Some("0..3"),
        "log level: 3 debug, 2 info (default), 1 warnings,\n0 errors",
    ),
    row(Name::Csvfile, "csvfile", "c", Some("FILE"), "write commands to this file instead of sending them"),
    row(Name::Help, "help", "h", None, "print this help"),
    row(Name::Version, "version", "v", None, "print the version"),
];

const fn row(
    name: Name,
    word: &'static str,
    short: &'static str,
    value: Option<&'static str>,
    help: &'static str,
) -> Row {
    Row { name, word, short, value, help }
}

/// A command-line argument.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// An option; a flag has an empty value.
    Option(Name, String),
    /// An argument that is not an option.
    Word(String),
}

/// Parses the arguments, in order. `known` selects the options of the command.
///
/// # Errors
/// A message for the operator: unknown or ambiguous option, or missing or unexpected value.
pub(super) fn read(arguments: Vec<OsString>, known: impl Fn(Name) -> bool) -> Result<Vec<Typed>, String> {
    let rows: Vec<&Row> = TABLE.iter().filter(|row| known(row.name)).collect();
    let mut texts = arguments.into_iter().map(text).peekable();
    let mut typed = Vec::new();
    while let Some(argument) = texts.next() {
        let argument = argument?;
        let Some(option) = after_dashes(&argument) else {
            if argument == "--" {
                break;
            }
            typed.push(Typed::Word(argument));
            continue;
        };
        let (word, value) = match option.split_once('=') {
            Some((word, value)) => (word, Some(value.to_owned())),
            None => (option, None),
        };
        let row = find(&rows, word)?;
        let value = match (row.value, value) {
            (None, None) => String::new(),
            (None, Some(_)) => return Err(format!("option `-{}` does not accept a value", row.word)),
            (Some(placeholder), value) => {
                let is_option =
                    |text: &str| text == "--" || after_dashes(text).is_some_and(|next| is_known(&rows, next));
                let is_value = |next: &Result<String, String>| !matches!(next, Ok(text) if is_option(text));
                let value = match value {
                    Some(value) => Some(value),
                    None => texts.next_if(is_value).transpose()?,
                };
                // An empty password is valid: a script may pass an empty variable.
                value
                    .filter(|value| !value.is_empty() || row.name == Name::Password)
                    .ok_or_else(|| format!("option `-{}` requires a value: -{0}={placeholder}", row.word))?
            }
        };
        typed.push(Typed::Option(row.name, value));
    }
    // After `--` nothing is an option.
    typed.extend(texts.map(|text| text.map(Typed::Word)).collect::<Result<Vec<_>, _>>()?);
    Ok(typed)
}

fn text(argument: OsString) -> Result<String, String> {
    argument.into_string().map_err(|bad| format!("argument `{}` is not valid UTF-8", bad.to_string_lossy()))
}

/// The text after one or two dashes; `None` without a dash and for a dash alone, which is not an option.
fn after_dashes(argument: &str) -> Option<&str> {
    let option = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
    (!option.is_empty()).then_some(option)
}

fn is_known(rows: &[&Row], option: &str) -> bool {
    find(rows, option.split('=').next().unwrap_or_default()).is_ok()
}

/// The option with this name or abbreviation, else the only one with this prefix, ignoring case.
fn find<'r>(rows: &[&'r Row], typed: &str) -> Result<&'r Row, String> {
    let word = typed.to_ascii_lowercase();
    if let Some(row) = rows.iter().find(|row| row.word == word || row.short == word) {
        return Ok(row);
    }
    let matching: Vec<_> =
        rows.iter().filter(|row| !word.is_empty() && row.word.starts_with(&word)).collect();
    match matching.as_slice() {
        [row] => Ok(row),
        [] => Err(unknown(rows, typed)),
        several => {
            let words: Vec<_> = several.iter().map(|row| format!("-{}", row.word)).collect();
            Err(format!("option `-{typed}` is ambiguous: {}", words.join(", ")))
        }
    }
}

fn unknown(rows: &[&Row], typed: &str) -> String {
    let problem = format!("unknown option `-{typed}`");
    let near = rows
        .iter()
        .map(|row| (strsim::damerau_levenshtein(typed, row.word), row.word))
        .min()
        .filter(|(distance, _)| *distance <= typed.chars().count() / 2);
    match near {
        _ if Name::Multiinfo.is(typed) => format!("{problem}; it is an option of process_multiple"),
        Some((_, word)) => format!("{problem}; did you mean `-{word}`?"),
        None => problem,
    }
}

impl Name {
    fn is(self, typed: &str) -> bool {
        TABLE.iter().any(|row| row.name == self && row.word == typed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single(line: &[&str]) -> Result<Vec<Typed>, String> {
        read(line.iter().map(OsString::from).collect(), |name| name != Name::Multiinfo)
    }

    #[test]
    fn every_prefix_of_an_option_with_a_value_is_accepted() {
        for (name, long, short) in [
            (Name::Server, "server", "se"),
            (Name::Port, "port", "po"),
            (Name::Plugininfo, "plugininfo", "pl"),
            (Name::Pkcs12, "pkcs12", "pk"),
            (Name::Password, "password", "pa"),
            (Name::Logfile, "logfile", "lo"),
            (Name::Level, "level", "le"),
            (Name::Csvfile, "csvfile", "c"),
        ] {
            let expected = Ok(vec![Typed::Option(name, "a=b".to_owned())]);
            for end in short.len()..=long.len() {
                let typed = &long[..end];
                assert_eq!(single(&[&format!("-{typed}=a=b")]), expected, "-{typed}");
                assert_eq!(single(&[&format!("--{typed}=a=b")]), expected, "--{typed}");
                assert_eq!(single(&[&format!("-{}=a=b", typed.to_uppercase())]), expected, "-{typed}");
                assert_eq!(single(&[&format!("-{typed}"), "a=b"]), expected, "-{typed} a=b");
            }
        }
    }

    #[test]
    fn flags_reject_a_value() {
        for (name, long, short) in
            [(Name::Ipv6, "ipv6", "i"), (Name::Syslog, "syslog", "sy"), (Name::Stderr, "stderr", "st")]
        {
            for end in short.len()..=long.len() {
                let typed = format!("-{}", &long[..end]);
                let word = Typed::Word("QualysGuard".to_owned());
                let expected = Ok(vec![Typed::Option(name, String::new()), word]);
                assert_eq!(single(&[&typed, "QualysGuard"]), expected, "{typed}");
                assert_eq!(
                    single(&[&format!("{typed}=1")]),
                    Err(format!("option `-{long}` does not accept a value"))
                );
            }
        }
    }

    #[test]
    fn ambiguous_option_lists_the_candidates() {
        for (typed, candidates) in [
            ("-p=1", "-port, -plugininfo, -pkcs12, -password"),
            ("-s", "-server, -syslog, -stderr"),
            ("-l=1", "-logfile, -level"),
        ] {
            let error = single(&[typed]).unwrap_err();
            let word = &typed[..2];
            assert_eq!(error, format!("option `{word}` is ambiguous: {candidates}"));
        }
    }

    #[test]
    fn unknown_option_gets_a_suggestion() {
        for (typed, expected) in [
            ("-bogus", "unknown option `-bogus`"),
            ("-sevrer=a", "unknown option `-sevrer`; did you mean `-server`?"),
            ("-csvfiles=a", "unknown option `-csvfiles`; did you mean `-csvfile`?"),
            ("-=a", "unknown option `-`"),
            ("-multiinfo", "unknown option `-multiinfo`; it is an option of process_multiple"),
        ] {
            assert_eq!(single(&[typed]), Err(expected.to_owned()));
        }
    }

    #[test]
    fn missing_value_is_reported() {
        for line in [
            &["-logfile"][..],
            &["-logfile="],
            &["-logfile", "-level=3"],
            &["-logfile", ""],
            &["-logfile", "--"],
        ] {
            assert_eq!(
                single(line),
                Err("option `-logfile` requires a value: -logfile=FILE".to_owned()),
                "{line:?}"
            );
        }
        for line in [&["-password="][..], &["-password", ""]] {
            assert_eq!(single(line), Ok(vec![Typed::Option(Name::Password, String::new())]), "{line:?}");
        }
        assert!(single(&["-password"]).is_err() && single(&["-password", "-level=3"]).is_err());
        // A value that only looks like an option, as a password may.
        let expected = Ok(vec![Typed::Option(Name::Password, "-x!".to_owned())]);
        assert_eq!(single(&["-password", "-x!"]), expected);
    }

    #[test]
    fn plugin_name_is_accepted_anywhere_and_after_two_dashes() {
        let words = |line: &[&str]| {
            let typed = single(line).unwrap();
            typed.into_iter().filter(|typed| matches!(typed, Typed::Word(_))).count()
        };
        assert_eq!(words(&["QualysGuard", "-se=a"]), 1);
        assert_eq!(words(&["-se=a", "--", "-i", "-"]), 2);
        assert_eq!(words(&["-"]), 1);
    }
}
