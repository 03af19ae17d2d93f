//! Converts the settings of the Qualys Connector of 2014: its settings file, its client certificate and its command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use scanbridge_observe::Cron;
use scanbridge_plugin_api::PluginKind;

use super::conversion::{Conversion, Treatment};
use super::draft::{Draft, Instance, Schedule, Timing};
use super::old_option::OldInstance;
use super::old_text::{NotConverted, OldText, read_old};
use crate::config::{self, Catalogue, Written, WrittenEntry};
use crate::legacy::{Destination, Program, Request, Usage, first_certificate};

/// Converts the settings in a directory, or a settings file. `command` is the command line that was used, for example a
/// line of a crontab.
///
/// # Errors
/// When there are no settings, or they or the command line are invalid.
pub(crate) fn from_qualys_connector(
    path: &Path,
    command: Option<&str>,
    catalogue: &dyn Catalogue,
) -> Result<Conversion, NotConverted> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = if path.is_dir() { path.as_path() } else { path.parent().unwrap_or(Path::new("/")) };
    let mut conversion = Conversion { draft: Draft::new(), lines: Vec::new() };
    let request = command.map(|command| read_command(command, &mut conversion)).transpose()?;
    let plugin = request.as_ref().map_or("QualysGuard", |request| request.plugin.as_str());
    let settings = settings_file(&path, folder, request.as_ref(), plugin)?;
    let old = read_old(&settings)?;

    let input = plugin_of(PluginKind::Input, plugin, catalogue)?;
    conversion.draft.inputs[0] = new_instance("qualys", &input.name);
    let mut instance =
        OldInstance { conversion: &mut conversion, catalogue, kind: PluginKind::Input, plugin: input };
    take_settings(&mut instance, &settings, &old)?;
    if let Some(request) = request.as_ref().filter(|request| !request.templates.is_empty()) {
        let ids = request.templates.iter().cloned().map(Written::Text).collect();
        let change = "one run now has the reports of all templates, each with its own title";
        instance.take("-multiinfo", "template_id", &Written::List(ids), change);
    }
    for option in input.options.iter().filter(|option| option.required) {
        if instance.conversion.draft.inputs[0].setting(&option.name).is_none() {
            instance.ask(&option.name, &option.name, "is missing in the old settings");
        }
    }
    destination(&mut conversion, folder, request.as_ref(), catalogue)?;
    Ok(conversion)
}

fn plugin_of<'c>(
    kind: PluginKind,
    name: &str,
    catalogue: &'c dyn Catalogue,
) -> Result<&'c scanbridge_plugin_api::Descriptor, NotConverted> {
    let missing = || NotConverted::Invalid(format!("the {} plugin {name} is not installed", kind.word()));
    catalogue.find(kind, name).ok_or_else(missing)
}

fn new_instance(id: &str, plugin: &str) -> Instance {
    Instance { id: id.to_owned(), plugin: plugin.to_owned(), ..Instance::default() }
}

/// The settings file that the old command would have used.
fn settings_file(
    path: &Path,
    folder: &Path,
    request: Option<&Request>,
    plugin: &str,
) -> Result<PathBuf, NotConverted> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    if let Some(file) = request.and_then(|request| request.plugininfo.as_ref()) {
        return Ok(folder.join(file));
    }
    let usual = [format!("InputPlugins/{plugin}.yaml"), format!("{plugin}.yaml")];
    let found = usual.iter().map(|name| folder.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| NotConverted::Missing {
        place: folder.display().to_string(),
        what: "settings file (InputPlugins/QualysGuard.yaml)",
    })
}

fn take_settings(instance: &mut OldInstance<'_>, file: &Path, old: &OldText) -> Result<(), NotConverted> {
    let document = config::read_text(file, &old.text).map_err(|problems| {
        let first = problems.list.first();
        let line = first.and_then(|first| first.location.excerpt.as_ref()).map(|excerpt| excerpt.line);
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        let message = first.map(|first| first.message.as_str()).unwrap_or_default();
        NotConverted::Invalid(format!("{}{line}: {message}", file.display()))
    })?;
    let Written::Mapping(entries) = document.written() else {
        return Err(NotConverted::Missing { place: file.display().to_string(), what: "settings" });
    };
    if old.is_latin {
        let note = "is not UTF-8 and was read as ISO 8859-1; check names and passwords with umlauts";
        instance.conversion.add(Treatment::Changed, "encoding", "UTF-8", note);
    }
    for (index, WrittenEntry { key, line, value }) in entries.iter().enumerate() {
        if let Some(later) = entries[index + 1..].iter().find(|later| later.key == *key) {
            let note = format!("line {line}: set again on line {}, and the last one counted", later.line);
            instance.conversion.add(Treatment::LeftOut, key, "", &note);
            continue;
        }
        match (key.as_str(), value) {
            (_, Written::Nothing) => {
                instance.conversion.add(Treatment::LeftOut, key, "", &format!("line {line}: has no value"));
            }
            // The old connector sent CONNECT without TLS, whatever the scheme.
            ("proxy", Written::Text(url)) if url.to_ascii_lowercase().starts_with("https://") => {
                let url = Written::Text(format!("http://{}", &url["https://".len()..]));
                let change = "http:// instead of https://: the old connector never used TLS to the proxy; write \
                              https:// if the proxy requires TLS";
                instance.take(key, "proxy", &url, change);
            }
            _ => instance.take(key, key, value, ""),
        }
    }
    Ok(())
}

fn destination(
    conversion: &mut Conversion,
    folder: &Path,
    request: Option<&Request>,
    catalogue: &dyn Catalogue,
) -> Result<(), NotConverted> {
    let kind = PluginKind::Output;
    if let Some(Request { destination: Destination::CsvFile(path), .. }) = request {
        let plugin = plugin_of(kind, "CSV", catalogue)?;
        conversion.draft.outputs[0] = new_instance("csvfile", &plugin.name);
        let mut instance = OldInstance { conversion, catalogue, kind, plugin };
        instance.take(
            "-csvfile",
            "format",
            &Written::Text("host-input".to_owned()),
            "the format that it wrote",
        );
        let (path, change) = absolute(folder, path);
        instance.take("-csvfile", "path", &Written::Text(path), change);
        return Ok(());
    }
    let plugin = plugin_of(kind, "Sourcefire", catalogue)?;
    conversion.draft.outputs[0] = new_instance("defense-center", &plugin.name);
    let mut instance = OldInstance { conversion, catalogue, kind, plugin };
    let center = match request.map(|request| &request.destination) {
        Some(Destination::DefenseCenter(center)) => Some(center),
        _ => None,
    };
    match center {
        Some(center) => instance.take("-server", "server", &Written::Text(center.server.clone()), ""),
        None => instance.ask("-server", "server", "is in the old command line: give it with --command"),
    }
    if let Some(port) = center.and_then(|center| center.port) {
        instance.take("-port", "port", &Written::Text(port.to_string()), "");
    }
    if center.is_some_and(|center| center.ipv6) {
        instance.take("-ipv6", "ipv6", &Written::Text("yes".to_owned()), "");
    }
    match center.and_then(|center| center.pkcs12.as_ref()).map(|path| absolute(folder, path)) {
        Some((path, change)) => instance.take("-pkcs12", "pkcs12", &Written::Text(path), change),
        None => match first_certificate(folder).and_then(|path| Some(path.to_str()?.to_owned())) {
            Some(path) => {
                let change = "the first *.pkcs12 file of the directory, as before";
                instance.take("-pkcs12", "pkcs12", &Written::Text(path), change);
            }
            None => instance.ask("-pkcs12", "pkcs12", "the directory has no *.pkcs12 file"),
        },
    }
    match center.map(|center| &center.password) {
        Some(Some(password)) => {
            instance.take("-password", "password", &Written::Text(password.expose().to_owned()), "");
        }
        Some(None) => {}
        None => instance.ask(
            "-password",
            "password",
            "is in the old command line; leave it empty if there was none",
        ),
    }
    Ok(())
}

/// A path of the old command line, and how it was changed.
fn absolute(folder: &Path, path: &str) -> (String, &'static str) {
    if path == "-" || Path::new(path).is_absolute() {
        return (path.to_owned(), "");
    }
    (folder.join(path).display().to_string(), "a complete path: it was relative to the old directory")
}

/// Reads the command line. What is before the program is a schedule if it is one; the rest of it, and what follows the
/// command, is reported.
fn read_command(command: &str, conversion: &mut Conversion) -> Result<Request, NotConverted> {
    let invalid = |problem: String| NotConverted::Invalid(format!("--command: {problem}"));
    let words = shlex::split(command).ok_or_else(|| invalid("a quote is not closed".to_owned()))?;
    let program_of = |word: &String| {
        let name = Path::new(word).file_name()?.to_str()?.split('.').next()?.to_owned();
        [("qualys_connector", Program::QualysConnector), ("process_multiple", Program::ProcessMultiple)]
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, program)| program)
    };
    let found = words.iter().enumerate().find_map(|(index, word)| Some((index, program_of(word)?)));
    let (at, program) =
        found.ok_or_else(|| invalid("it has neither qualys_connector nor process_multiple".to_owned()))?;
    let pattern = words.get(..5).filter(|_| at > 5).map(|fields| fields.join(" "));
    let pattern = pattern.filter(|pattern| Cron::parse(pattern, None).is_ok());
    let before = &words[if pattern.is_some() { 5 } else { 0 }..at];
    if let Some(pattern) = pattern {
        let timing = Timing::Cron(pattern.clone());
        conversion.draft.schedule = Some(Schedule { timing, rest: Vec::new() });
        conversion.add(Treatment::TakenOver, &pattern, "schedule.cron", "");
    }
    if !before.is_empty() {
        let note = "how the old command was started: a pipeline needs none of it";
        conversion.add(Treatment::LeftOut, &shown(before), "", note);
    }
    let is_operator = |word: &String| word.starts_with(['&', '|', ';', '>', '<']) || word.starts_with("2>");
    let end = words[at + 1..].iter().position(is_operator).map_or(words.len(), |length| at + 1 + length);
    if end < words.len() {
        let note = "redirection or another command: see --log-file, or the log of the service";
        conversion.add(Treatment::LeftOut, &shown(&words[end..]), "", note);
    }
    let arguments: Vec<OsString> = words[at + 1..end].iter().map(OsString::from).collect();
    let request = Request::read(program, arguments).map_err(|usage| match usage {
        Usage::Wrong(problem) => invalid(problem),
        Usage::NothingTyped | Usage::Help | Usage::Version => invalid("it delivers nothing".to_owned()),
    })?;
    let log = &request.log;
    for (option, is_set) in
        [("-syslog", log.syslog), ("-stderr", log.stderr), ("-logfile", log.file.is_some())]
    {
        if is_set {
            let note = "the log is set for each run (--log-file FILE) or for the service (log.to)";
            conversion.add(Treatment::LeftOut, option, "", note);
        }
    }
    if request.level != tracing::Level::INFO {
        let note = "the level of the log is set for each run: -v, -q, --log-level";
        conversion.add(Treatment::LeftOut, "-level", "", note);
    }
    if let Some(warning) = request.warning {
        conversion.add(Treatment::LeftOut, "-server", "", warning);
    }
    Ok(request)
}

/// Words of a command line without the values in them, which may be secret.
fn shown(words: &[String]) -> String {
    let word = |word: &String| match word.split_once('=') {
        Some((name, _)) => format!("{name}=…"),
        None => word.clone(),
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}
