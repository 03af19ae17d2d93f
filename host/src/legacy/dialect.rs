//! How options were typed in 2014: `-name=value`, `-name value`, `-name`, and any prefix that fits only one name.

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

/// A row of the table of options.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: Name,
    /// As it is typed, without the dash.
    pub(super) word: &'static str,
    /// The abbreviation that the guide of 2014 lists.
    pub(super) short: &'static str,
    /// What stands for the value in the usage; none for a flag.
    pub(super) value: Option<&'static str>,
    pub(super) help: &'static str,
}

/// All options, in the order of the usage. `multiinfo` belongs to `process_multiple` alone.
pub(super) const TABLE: [Row; 14] = [
    row(
        Name::Multiinfo,
        "multiinfo",
        "m",
        Some("IDS"),
        "IDs of the report templates, separated by commas without spaces",
    ),
    row(Name::Server, "server", "se", Some("HOST"), "Defense Center, host name or IP address"),
    row(Name::Port, "port", "po", Some("PORT"), "TCP port (default 8307)"),
    row(
        Name::Plugininfo,
        "plugininfo",
        "pl",
        Some("FILE"),
        "settings file (default \
         InputPlugins/<plugin>.yaml)",
    ),
    row(Name::Ipv6, "ipv6", "i", None, "connect to the Defense Center over IPv6 (keep)"),
    row(
        Name::Pkcs12,
        "pkcs12",
        "pk",
        Some("FILE"),
        "client certificate file (default: first *.pkcs12 in \
         the working directory)",
    ),
    row(Name::Password, "password", "pa", Some("WORD"), "password of the certificate file (default: none)"),
    row(Name::Syslog, "syslog", "sy", None, "log to syslog; to standard error if syslog is unavailable"),
    row(Name::Stderr, "stderr", "st", None, "log to standard error (keep)"),
    row(Name::Logfile, "logfile", "lo", Some("FILE"), "append the log to this file"),
    row(
        Name::Level,
        "level",
        "le",
        Some("0..3"),
        "log level: 3 debug, 2 info (default), 1 warnings, 0 \
         errors",
    ),
    row(
        Name::Csvfile,
        "csvfile",
        "c",
        Some("FILE"),
        "write the commands to this file instead of sending \
         them",
    ),
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

/// What was typed, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// An option; a flag has an empty value.
    Option(Name, String),
    /// A word that is no option.
    Word(String),
}

/// Reads the arguments. `known` says which rows of the table there are.
///
/// # Errors
/// The sentence for the operator: an unknown or ambiguous name, a value that is missing or too much.
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
                // No password is a password: a script may hand over a variable that is empty.
                value
                    .filter(|value| !value.is_empty() || row.name == Name::Password)
                    .ok_or_else(|| format!("option `-{}` requires a value: -{0}={placeholder}", row.word))?
            }
        };
        typed.push(Typed::Option(row.name, value));
    }
    // Behind `--` nothing is an option.
    typed.extend(texts.map(|text| text.map(Typed::Word)).collect::<Result<Vec<_>, _>>()?);
    Ok(typed)
}

fn text(argument: OsString) -> Result<String, String> {
    argument.into_string().map_err(|bad| format!("argument `{}` is not valid UTF-8", bad.to_string_lossy()))
}

/// The option behind one dash or two; a lone dash is a word.
fn after_dashes(argument: &str) -> Option<&str> {
    let option = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
    (!option.is_empty()).then_some(option)
}

fn is_known(rows: &[&Row], option: &str) -> bool {
    find(rows, option.split('=').next().unwrap_or_default()).is_ok()
}

/// The row with this name or abbreviation, else the only one that begins so. Letter case is ignored.
fn find<'r>(rows: &[&'r Row], typed: &str) -> Result<&'r Row, String> {
    let word = typed.to_ascii_lowercase();
    if let Some(row) = rows.iter().find(|row| row.word == word || row.short == word) {
        return Ok(row);
    }
    let fitting: Vec<_> = rows.iter().filter(|row| !word.is_empty() && row.word.starts_with(&word)).collect();
    match fitting.as_slice() {
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
    fn every_spelling_of_every_option_with_a_value_is_the_same() {
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
    fn flags_take_no_value() {
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
    fn ambiguous_names_list_what_they_may_mean() {
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
    fn unknown_names_are_refused_with_a_suggestion() {
        for (typed, expected) in [
            ("-bogus", "unknown option `-bogus`"),
            ("-sevrer=a", "unknown option `-sevrer`; did you mean `-server`?"),
            ("-csvfiles=a", "unknown option `-csvfiles`; did you mean `-csvfile`?"),
            ("-=a", "unknown option `-`"),
            ("-multiinfo", "there is no option `-multiinfo`; it is an option of process_multiple"),
        ] {
            assert_eq!(single(&[typed]), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_value_that_is_missing_is_said() {
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
        // What only looks like an option is a value: passwords do.
        let expected = Ok(vec![Typed::Option(Name::Password, "-x!".to_owned())]);
        assert_eq!(single(&["-password", "-x!"]), expected);
    }

    #[test]
    fn words_may_stand_anywhere_and_all_behind_two_dashes_are_words() {
        let words = |line: &[&str]| {
            let typed = single(line).unwrap();
            typed.into_iter().filter(|typed| matches!(typed, Typed::Word(_))).count()
        };
        assert_eq!(words(&["QualysGuard", "-se=a"]), 1);
        assert_eq!(words(&["-se=a", "--", "-i", "-"]), 2);
        assert_eq!(words(&["-"]), 1);
    }
}
