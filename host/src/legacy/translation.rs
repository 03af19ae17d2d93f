//! What is wanted, as a pipeline.

use std::fmt::Write as _;

use super::request::{DefenseCenter, Destination, Request};

/// The pipeline in the words of a pipeline file, with paths that are relative to the working directory.
/// `plugin` and `settings` are the input and its settings file, `template` is one of several.
pub(super) fn pipeline(request: &Request, plugin: &str, settings: &str, template: Option<&str>) -> String {
    let mut text = String::from("version: 1\ninputs:\n");
    instance(&mut text, "input", plugin);
    line(&mut text, "    config", settings);
    if let Some(template) = template {
        text.push_str("    with:\n");
        line(&mut text, "      template_id", template);
    }
    text.push_str("outputs:\n");
    match &request.destination {
        Destination::CsvFile(path) => csv_file(&mut text, &Destination::csv_path(path, template)),
        Destination::DefenseCenter(center) => defense_center(&mut text, center),
    }
    text
}

fn csv_file(text: &mut String, path: &str) {
    instance(text, "csvfile", "CSV");
    text.push_str("    with:\n");
    line(text, "      format", "host-input");
    line(text, "      path", path);
}

fn defense_center(text: &mut String, center: &DefenseCenter) {
    instance(text, "defense-center", "Sourcefire");
    text.push_str("    with:\n");
    line(text, "      server", &center.server);
    if let Some(port) = center.port {
        line(text, "      port", &port.to_string());
    }
    if let Some(pkcs12) = &center.pkcs12 {
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

/// A key with a quoted value. What was typed is taken as it is, so `${` refers to nothing.
fn line(text: &mut String, key: &str, value: &str) {
    // A text of JSON is a double-quoted scalar of YAML.
    let quoted = serde_json::Value::from(value.replace("${", "$${"));
    writeln!(text, "{key}: {quoted}").expect("a text takes a line");
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::usage::Program;
    use super::*;

    fn translate(program: Program, arguments: &[&str], template: Option<&str>) -> String {
        let request = Request::read(program, arguments.iter().map(OsString::from).collect()).unwrap();
        pipeline(&request, &request.plugin, "InputPlugins/QualysGuard.yaml", template)
    }

    #[test]
    fn a_defense_center_gets_what_was_typed_and_no_more() {
        let short = translate(Program::QualysConnector, &["-server=192.0.2.1"], None);
        insta::assert_snapshot!(short, @r#"
        version: 1
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
        let whole = ["-se=dc.example.com", "-po=8308", "-pk=a b.pkcs12", "-pa=p\"$${x}\\'#", "-i", "Other"];
        let whole = translate(Program::QualysConnector, &whole, None);
        insta::assert_snapshot!(whole, @r#"
        version: 1
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
    fn one_of_several_templates_replaces_that_of_the_file_and_marks_the_file_of_commands() {
        let arguments = ["-multiinfo=424242,535353", "-csvfile=sub/Output.csv"];
        insta::assert_snapshot!(translate(Program::ProcessMultiple, &arguments, Some("535353")), @r#"
        version: 1
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
