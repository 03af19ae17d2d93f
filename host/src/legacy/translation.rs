//! Translates a request into a pipeline.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::request::{DefenseCenter, Destination, Request};
use crate::config::escaped;
use crate::yaml_text::double_quoted;

/// The pipeline as the text of a pipeline file. Relative paths start at the working directory. `plugin` and
/// `settings` are the input plugin and its settings file; `template` is one template of `process_multiple`;
/// `certificate` is the client certificate if the command line names none.
pub(super) fn pipeline(
    request: &Request,
    plugin: &str,
    settings: &Path,
    template: Option<&str>,
    certificate: Option<&Path>,
) -> String {
    let mut text = String::from("version: 1\n");
    line(&mut text, "name", &name(request, plugin, settings, template));
    text.push_str("inputs:\n");
    instance(&mut text, "input", plugin);
    line(&mut text, "    config", &settings.to_string_lossy());
    if let Some(template) = template {
        text.push_str("    with:\n");
        line(&mut text, "      template_id", template);
    }
    text.push_str("outputs:\n");
    match &request.destination {
        Destination::CsvFile(path) => csv_file(&mut text, &Destination::csv_path(path, template)),
        Destination::DefenseCenter(center) => defense_center(&mut text, center, certificate),
    }
    text
}

/// Name of the pipeline's state directory. Different for runs that may be concurrent.
fn name(request: &Request, plugin: &str, settings: &Path, template: Option<&str>) -> String {
    let destination = match &request.destination {
        Destination::CsvFile(path) => absolute(path.as_ref()),
        Destination::DefenseCenter(center) => format!("{}:{:?}", center.server, center.port).into(),
    };
    let parts =
        [Path::new(plugin), &absolute(settings), &destination, Path::new(template.unwrap_or_default())];
    let bytes: Vec<&[u8]> = parts.iter().map(|part| part.as_os_str().as_encoded_bytes()).collect();
    format!("qualys_connector-{:016x}", xxh3_64(&bytes.join(&0)))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn csv_file(text: &mut String, path: &str) {
    instance(text, "csvfile", "CSV");
    text.push_str("    with:\n");
    line(text, "      format", "host-input");
    line(text, "      path", path);
}

fn defense_center(text: &mut String, center: &DefenseCenter, certificate: Option<&Path>) {
    instance(text, "defense-center", "Sourcefire");
    text.push_str("    with:\n");
    line(text, "      server", &center.server);
    if let Some(port) = center.port {
        line(text, "      port", &port.to_string());
    }
    let certificate = certificate.map(Path::to_string_lossy);
    if let Some(pkcs12) = center.pkcs12.as_deref().or(certificate.as_deref()) {
        line(text, "      pkcs12", pkcs12);
    }
    if let Some(password) = &center.password {
        line(text, "      password", password.expose());
    }
    if center.ipv6 {
        line(text, "      ipv6", "yes");
    }
}

fn instance(text: &mut String, id: &str, plugin: &str) {
    line(text, "  - id", id);
    line(text, "    plugin", plugin);
}

/// Writes a key with a quoted value. `${` is escaped, because values of the command line contain no
/// references.
fn line(text: &mut String, key: &str, value: &str) {
    let quoted = double_quoted(&escaped(value));
    writeln!(text, "{key}: {quoted}").expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::usage::Program;
    use super::*;

    fn translate(program: Program, arguments: &[&str], template: Option<&str>) -> String {
        let request = Request::read(program, arguments.iter().map(OsString::from).collect()).unwrap();
        let settings = Path::new("InputPlugins/QualysGuard.yaml");
        let text = pipeline(&request, &request.plugin, settings, template, None);
        let name = name_of(&text);
        text.replace(&name, "NAME")
    }

    fn name_of(pipeline: &str) -> String {
        let line = pipeline.lines().find_map(|line| line.strip_prefix("name: ")).unwrap();
        line.trim_matches('"').to_owned()
    }

    #[test]
    fn concurrent_runs_have_different_names() {
        let name = |arguments: &[&str], settings: &str, template: Option<&str>| {
            let arguments = arguments.iter().map(OsString::from).collect();
            let request = Request::read(Program::QualysConnector, arguments).unwrap();
            name_of(&pipeline(&request, "QualysGuard", settings.as_ref(), template, None))
        };
        let names = [
            name(&["-c=a"], "s", None),
            name(&["-c=b"], "s", None),
            name(&["-c=a"], "t", None),
            name(&["-c=a"], "s", Some("1")),
            name(&["-se=a"], "s", None),
            name(&["-se=a", "-po=1"], "s", None),
        ];
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        assert_eq!(names[0], name(&["-csvfile", "a", "-stderr"], "s", None));
        assert!(names[0].len() <= 64, "{}", names[0]);
    }

    #[test]
    fn only_given_options_are_set_for_a_defense_center() {
        let short = translate(Program::QualysConnector, &["-server=192.0.2.1"], None);
        insta::assert_snapshot!(short, @r#"
        version: 1
        name: "NAME"
        inputs:
          - id: "input"
            plugin: "QualysGuard"
            config: "InputPlugins/QualysGuard.yaml"
        outputs:
          - id: "defense-center"
            plugin: "Sourcefire"
            with:
              server: "192.0.2.1"
        "#);
        let all = ["-se=dc.example.com", "-po=8308", "-pk=a b.pkcs12", "-pa=p\"$${x}\\'#", "-i", "Other"];
        let all = translate(Program::QualysConnector, &all, None);
        insta::assert_snapshot!(all, @r#"
        version: 1
        name: "NAME"
        inputs:
          - id: "input"
            plugin: "Other"
            config: "InputPlugins/QualysGuard.yaml"
        outputs:
          - id: "defense-center"
            plugin: "Sourcefire"
            with:
              server: "dc.example.com"
              port: "8308"
              pkcs12: "a b.pkcs12"
              password: "p\"$$${x}\\'#"
              ipv6: "yes"
        "#);
    }

    #[test]
    fn found_certificate_is_used_unless_the_command_line_names_one() {
        for (arguments, expected) in
            [(vec!["-se=a"], "/opt/dc.pkcs12"), (vec!["-se=a", "-pk=b.pkcs12"], "b.pkcs12")]
        {
            let arguments = arguments.iter().map(OsString::from).collect();
            let request = Request::read(Program::QualysConnector, arguments).unwrap();
            let text = pipeline(&request, "P", "s".as_ref(), None, Some("/opt/dc.pkcs12".as_ref()));
            assert!(text.contains(&format!("      pkcs12: {expected:?}\n")), "{text}");
        }
    }

    #[test]
    fn template_overrides_the_settings_and_precedes_the_file_name() {
        let arguments = ["-multiinfo=424242,535353", "-csvfile=sub/Output.csv"];
        insta::assert_snapshot!(translate(Program::ProcessMultiple, &arguments, Some("535353")), @r#"
        version: 1
        name: "NAME"
        inputs:
          - id: "input"
            plugin: "QualysGuard"
            config: "InputPlugins/QualysGuard.yaml"
            with:
              template_id: "535353"
        outputs:
          - id: "csvfile"
            plugin: "CSV"
            with:
              format: "host-input"
              path: "sub/535353_Output.csv"
        "#);
    }
}
