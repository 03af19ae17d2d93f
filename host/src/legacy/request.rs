//! The request: options of the command line, checked.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use scanbridge_plugin_api::Secret;
use tracing::Level;

use super::dialect::{self, Name, Typed};
use super::log::LogTargets;
use super::usage::{Program, Usage};

/// One call of an old command.
#[derive(Debug)]
pub(crate) struct Request {
    /// The input plugin.
    pub(crate) plugin: String,
    /// The settings file, if set.
    pub(crate) plugininfo: Option<String>,
    /// Destination of the findings.
    pub(crate) destination: Destination,
    /// Warning about an option that has no effect.
    pub(crate) warning: Option<&'static str>,
    /// Report template IDs of `process_multiple`; empty for `qualys_connector`, which uses that of the
    /// settings file.
    pub(crate) templates: Vec<String>,
    /// Log targets.
    pub(crate) log: LogTargets,
    /// Log level.
    pub(crate) level: Level,
}

/// Destination of the findings.
#[derive(Debug)]
pub(crate) enum Destination {
    /// A file with Defense Center commands.
    CsvFile(String),
    /// A Defense Center.
    DefenseCenter(DefenseCenter),
}

/// Connection settings of a Defense Center.
#[derive(Debug, Default)]
pub(crate) struct DefenseCenter {
    pub(crate) server: String,
    pub(crate) port: Option<u16>,
    pub(crate) pkcs12: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) ipv6: bool,
}

/// Options read so far; the last value counts.
#[derive(Default)]
struct Options {
    plugin: Option<String>,
    plugininfo: Option<String>,
    server: Option<String>,
    center: DefenseCenter,
    csvfile: Option<String>,
    templates: Vec<String>,
    log: LogTargets,
    level: Option<Level>,
}

impl Request {
    /// Reads the arguments, without the program name.
    ///
    /// # Errors
    /// What to print instead of running.
    pub(crate) fn read(program: Program, arguments: Vec<OsString>) -> Result<Self, Usage> {
        if arguments.is_empty() {
            return Err(Usage::NothingTyped);
        }
        let typed = dialect::read(arguments, |name| program.has(name))?;
        let has = |name| typed.iter().any(|typed| matches!(typed, Typed::Option(found, _) if *found == name));
        if has(Name::Help) {
            return Err(Usage::Help);
        }
        if has(Name::Version) {
            return Err(Usage::Version);
        }
        let mut options = Options::default();
        for typed in typed {
            options.set(typed)?;
        }
        options.into_request(program)
    }
}

impl Options {
    fn set(&mut self, typed: Typed) -> Result<(), String> {
        let (name, value) = match typed {
            Typed::Option(name, value) => (name, value),
            Typed::Word(word) => {
                if let Some(first) = self.plugin.replace(word) {
                    let second = self.plugin.take().unwrap_or_default();
                    return Err(format!("only one plugin can be given, found `{first}` and `{second}`"));
                }
                return Ok(());
            }
        };
        match name {
            Name::Server => self.server = Some(value),
            Name::Port => self.center.port = Some(port(&value)?),
            Name::Plugininfo => self.plugininfo = Some(value),
            Name::Ipv6 => self.center.ipv6 = true,
            Name::Pkcs12 => self.center.pkcs12 = Some(value),
            Name::Password => self.center.password = (!value.is_empty()).then(|| Secret::new(value)),
            Name::Syslog => self.log.syslog = true,
            Name::Stderr => self.log.stderr = true,
            Name::Logfile => self.log.file = Some(PathBuf::from(value)),
            Name::Level => self.level = Some(level(&value)?),
            Name::Csvfile => self.csvfile = Some(value),
            Name::Multiinfo => self.templates = templates(&value)?,
            Name::Help | Name::Version => {}
        }
        Ok(())
    }

    fn into_request(self, program: Program) -> Result<Request, Usage> {
        if program == Program::ProcessMultiple && self.templates.is_empty() {
            return Err("option `-multiinfo` is required, for example -multiinfo=424242,535353"
                .to_owned()
                .into());
        }
        let mut log = self.log;
        // Commands on standard output must not be mixed with the log.
        log.stderr |= self.csvfile.as_deref() == Some("-") && !log.syslog && log.file.is_none();
        let warning = (self.csvfile.is_some() && self.server.is_some())
            .then_some("-server is ignored because -csvfile is set; the commands are written to the file");
        let destination = match (self.csvfile, self.server) {
            (Some(path), _) => Destination::CsvFile(path),
            (None, Some(server)) => Destination::DefenseCenter(DefenseCenter { server, ..self.center }),
            (None, None) => {
                let problem =
                    "no destination: set -server=HOST for a Defense Center or -csvfile=FILE for a file";
                return Err(problem.to_owned().into());
            }
        };
        Ok(Request {
            plugin: self.plugin.unwrap_or_else(|| "QualysGuard".to_owned()),
            plugininfo: self.plugininfo,
            destination,
            warning,
            templates: self.templates,
            log,
            level: self.level.unwrap_or(Level::INFO),
        })
    }
}

impl Destination {
    /// Path of the command file. With a template, its ID and `_` precede the file name; standard output (`-`)
    /// is unchanged.
    pub(crate) fn csv_path(path: &str, template: Option<&str>) -> String {
        let Some(template) = template.filter(|_| path != "-") else { return path.to_owned() };
        match Path::new(path).file_name().and_then(|name| name.to_str()) {
            Some(name) => {
                let (folder, rest) = path.split_at(path.rfind(name).unwrap_or(0));
                format!("{folder}{template}_{rest}")
            }
            None => path.to_owned(),
        }
    }
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("invalid `-port`: expected a number from 1 to 65535, found `{text}`")),
    }
}

fn level(text: &str) -> Result<Level, String> {
    match text {
        "0" => Ok(Level::ERROR),
        "1" => Ok(Level::WARN),
        "2" => Ok(Level::INFO),
        "3" => Ok(Level::DEBUG),
        _ => Err(format!(
            "invalid `-level`: expected 0 (errors), 1 (warnings), 2 (info) or 3 (debug), found `{text}`"
        )),
    }
}

fn templates(text: &str) -> Result<Vec<String>, String> {
    let bad = |problem: String| {
        Err(format!("invalid `-multiinfo`: expected IDs separated by commas, without spaces; {problem}"))
    };
    let mut ids = Vec::new();
    for id in text.split(',') {
        if id.is_empty() {
            return bad(format!("empty ID in `{text}`"));
        }
        if !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return bad(format!("`{id}` is not a number"));
        }
        ids.push(id.to_owned());
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(program: Program, line: &[&str]) -> Result<Request, Usage> {
        Request::read(program, line.iter().map(OsString::from).collect())
    }

    fn single(line: &[&str]) -> Request {
        read(Program::QualysConnector, line).unwrap()
    }

    fn problem(program: Program, line: &[&str]) -> String {
        match read(program, line) {
            Err(Usage::Wrong(problem)) => problem,
            other => panic!("{line:?}: {other:?}"),
        }
    }

    #[test]
    fn missing_option_uses_default() {
        let request = single(&["-server=dc.example.com"]);
        assert_eq!(request.plugin.as_str(), "QualysGuard");
        assert_eq!(request.plugininfo, None);
        assert_eq!(request.level, Level::INFO);
        assert!(!request.log.syslog && !request.log.stderr && request.log.file.is_none());
        let Destination::DefenseCenter(center) = request.destination else { panic!("no Defense Center") };
        assert_eq!(center.server.as_str(), "dc.example.com");
        assert_eq!(center.port, None);
        assert_eq!(center.pkcs12, None);
        assert!(center.password.is_none() && !center.ipv6);
    }

    #[test]
    fn last_value_wins_and_empty_password_is_unset() {
        let request = single(&["-se=a", "-server=b", "-po=1", "-po", "2", "-pa=x", "-pa=", "-le=0", "-le=1"]);
        assert_eq!(request.level, Level::WARN);
        let Destination::DefenseCenter(center) = request.destination else { panic!("no Defense Center") };
        assert_eq!((center.server.as_str(), center.port), ("b", Some(2)));
        assert!(center.password.is_none());
    }

    #[test]
    fn csvfile_overrides_server_with_a_warning() {
        let request = single(&["-server=dc", "-csvfile=a.csv", "QualysGuardFile"]);
        assert!(matches!(request.destination, Destination::CsvFile(path) if path == "a.csv"));
        assert!(request.warning.is_some());
        assert_eq!(request.plugin, "QualysGuardFile");
        assert!(single(&["-csvfile=a.csv"]).warning.is_none());
    }

    #[test]
    fn commands_on_standard_output_are_not_mixed_with_the_log() {
        assert!(single(&["-csvfile=-"]).log.stderr);
        assert!(!single(&["-csvfile=-", "-logfile=a"]).log.stderr);
    }

    #[test]
    fn out_of_range_level_and_port_are_rejected() {
        for (typed, level) in
            [("0", Level::ERROR), ("1", Level::WARN), ("2", Level::INFO), ("3", Level::DEBUG)]
        {
            assert_eq!(single(&["-c=a", "-level", typed]).level, level);
        }
        for (option, value) in
            [("-level", "4"), ("-level", "x"), ("-port", "0"), ("-port", "65536"), ("-port", "x")]
        {
            let problem = problem(Program::QualysConnector, &["-c=a", option, value]);
            let (start, end) = (format!("invalid `{option}`: expected "), format!(", found `{value}`"));
            assert!(problem.starts_with(&start) && problem.ends_with(&end), "{problem}");
        }
    }

    #[test]
    fn multiinfo_requires_comma_separated_ids() {
        let request = read(Program::ProcessMultiple, &["-multiinfo", "424242,535353", "-c=a"]).unwrap();
        assert_eq!(request.templates, ["424242", "535353"]);
        for (ids, part) in [
            ("1, 2", "` 2` is not a number"),
            ("1,,2", "empty ID in `1,,2`"),
            ("1,", "empty ID in `1,`"),
            ("1,x", "`x` is not a number"),
        ] {
            let problem = problem(Program::ProcessMultiple, &["-multiinfo", ids, "-c=a"]);
            assert!(problem.contains(part), "{problem}");
        }
        assert!(problem(Program::ProcessMultiple, &["-c=a"]).starts_with("option `-multiinfo` is required"));
    }

    #[test]
    fn missing_destination_and_second_plugin_are_rejected() {
        assert!(problem(Program::QualysConnector, &["QualysGuard"]).starts_with("no destination"));
        let two = problem(Program::QualysConnector, &["-c=a", "A", "B"]);
        assert_eq!(two, "only one plugin can be given, found `A` and `B`");
    }

    #[test]
    fn template_id_precedes_the_file_name() {
        for (path, expected) in [
            ("Output.csv", "424242_Output.csv"),
            ("sub/Output.csv", "sub/424242_Output.csv"),
            ("/srv/out/out", "/srv/out/424242_out"),
            ("../o", "../424242_o"),
        ] {
            assert_eq!(Destination::csv_path(path, Some("424242")), expected);
            assert_eq!(Destination::csv_path(path, None), path);
        }
        assert_eq!(Destination::csv_path("-", Some("424242")), "-");
    }
}
