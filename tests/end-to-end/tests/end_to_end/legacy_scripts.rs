//! The old commands under their old names, `qualys_connector.pl` and `process_multiple.pl`, as crontabs call them.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use scanbridge_doubles::certificates::installed;

use crate::installation;
use crate::sandbox::{Outcome, Sandbox};

/// A directory with a space in its name, as an administrator unpacked it: scripts, programs, plugins and settings.
pub(crate) fn unpacked() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("scan bridge");
    fs::create_dir_all(folder.join("InputPlugins")).unwrap();
    for name in ["qualys_connector", "process_multiple"] {
        installation::legacy_in(&folder, name);
        let script = folder.join(format!("{name}.pl"));
        fs::copy(installation::project_file("dist/legacy/command.pl"), &script).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    }
    symlink(installation::host().with_file_name("plugins"), folder.join("plugins")).unwrap();
    let report = installation::project_file("examples/reports/scan.xml");
    fs::write(
        folder.join("InputPlugins/QualysGuardFile.yaml"),
        format!("path: {report:?}\nsettle_secs: 0\n"),
    )
    .unwrap();
    (sandbox, folder)
}

/// Runs a program as cron does: nearly without environment.
fn as_cron(sandbox: &Sandbox, program: &Path, arguments: &[&str], working: &Path) -> Outcome {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", sandbox.path("home"));
    Outcome::of(command.current_dir(working).output().unwrap())
}

#[test]
fn scripts_work_with_and_without_perl_in_front() {
    let (sandbox, folder) = unpacked();
    let script = folder.join("qualys_connector.pl");
    let linked = sandbox.path("link.pl");
    symlink(&script, &linked).unwrap();
    let plain = folder.join("without-x");
    fs::create_dir(&plain).unwrap();
    let elsewhere = sandbox.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let mut ways = vec![
        (script.clone(), vec![]),
        (PathBuf::from("/bin/sh"), vec![text(&script)]),
        (linked.clone(), vec![]),
    ];
    if installed("perl") {
        ways.extend([
            (PathBuf::from("/usr/bin/perl"), vec![text(&script)]),
            (PathBuf::from("/usr/bin/perl"), vec![text(&linked)]),
        ]);
    }
    for (number, (program, mut arguments)) in ways.into_iter().enumerate() {
        let csv = elsewhere.join(format!("an 'odd' name {number}.csv"));
        arguments.extend([format!("-csvfile={}", csv.display()), "QualysGuardFile".to_owned()]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        // The settings are found beside the script, although the working directory is another.
        as_cron(&sandbox, &program, &arguments, &elsewhere).expect_code(0);
        assert!(fs::read_to_string(&csv).unwrap().contains("AddScanResult,"), "{program:?} {arguments:?}");
    }
}

#[test]
fn exit_codes_and_arguments_pass_through_the_script() {
    let (sandbox, folder) = unpacked();
    let script = folder.join("qualys_connector.pl");
    as_cron(&sandbox, &script, &["-bogus"], &folder).expect_code(64);
    let missing = as_cron(&sandbox, &script, &["-c=a.csv", "-pl=no such.yaml"], &folder).expect_code(78);
    assert!(missing.stderr.contains("settings file not found: no such.yaml"), "{}", missing.stderr);
    let multiple =
        as_cron(&sandbox, &folder.join("process_multiple.pl"), &["-version"], &folder).expect_code(0);
    assert!(multiple.stdout.starts_with("process_multiple Ver. "), "{}", multiple.stdout);
}

#[test]
fn program_is_found_in_the_directory_bin_or_on_the_path() {
    let (sandbox, folder) = unpacked();
    for (scripts, programs) in [("opt/share", "opt/bin"), ("opt2/scripts", "opt2/programs")] {
        let (scripts, programs) = (sandbox.path(scripts), sandbox.path(programs));
        fs::create_dir_all(&scripts).unwrap();
        fs::create_dir_all(&programs).unwrap();
        fs::copy(folder.join("qualys_connector.pl"), scripts.join("qualys_connector.pl")).unwrap();
        installation::legacy_in(&programs, "qualys_connector");
        let mut command = Command::new(scripts.join("qualys_connector.pl"));
        command
            .arg("-version")
            .env("PATH", format!("/usr/bin:/bin:{}", sandbox.path("opt2/programs").display()));
        Outcome::of(command.output().unwrap()).expect_code(0);
    }
}

/// `CDPATH` of a user, a directory with the name of the program, names that begin with a dash, and a script that would start
/// itself.
#[test]
fn odd_surroundings_do_not_mislead_the_script() {
    let (sandbox, folder) = unpacked();
    let script = |command: &mut Command| Outcome::of(command.arg("-version").output().unwrap());
    // `cd` of a relative path would go to the other directory.
    fs::create_dir_all(sandbox.path("other/scan bridge")).unwrap();
    let mut command = Command::new("/bin/sh");
    command.arg("scan bridge/qualys_connector.pl").current_dir(sandbox.path("."));
    let found = script(command.env("CDPATH", sandbox.path("other"))).expect_code(0);
    assert!(found.stdout.starts_with("qualys_connector Ver. "), "{}", found.stdout);
    // Without any environment, and with a dash at the beginning.
    fs::rename(&folder, sandbox.path("-x y")).unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["--", "-x y/qualys_connector.pl"]).current_dir(sandbox.path(".")).env_clear();
    script(&mut command).expect_code(0);
    // A directory is not the program; that is in `bin`.
    let scripts = sandbox.path("opt/scripts");
    fs::create_dir_all(scripts.join("qualys_connector")).unwrap();
    fs::create_dir_all(sandbox.path("opt/bin")).unwrap();
    fs::copy(sandbox.path("-x y/qualys_connector.pl"), scripts.join("qualys_connector.pl")).unwrap();
    installation::legacy_in(&sandbox.path("opt/bin"), "qualys_connector");
    script(&mut Command::new(scripts.join("qualys_connector.pl"))).expect_code(0);
    // Without `.pl`, the script has the name of the program.
    fs::copy(scripts.join("qualys_connector.pl"), scripts.join("process_multiple")).unwrap();
    let refused = script(&mut Command::new(scripts.join("process_multiple"))).expect_code(64);
    assert!(refused.stderr.contains("must end in .pl"), "{}", refused.stderr);
}

#[test]
fn several_templates_of_a_plugin_without_templates_are_refused_once() {
    let (sandbox, folder) = unpacked();
    let script = folder.join("process_multiple.pl");
    let arguments = ["-multiinfo=1,2", "-csvfile=a.csv", "QualysGuardFile"];
    let outcome = as_cron(&sandbox, &script, &arguments, &folder).expect_code(64);
    let problem =
        "-multiinfo needs an input with report templates; QualysGuardFile has no option `template_id`";
    assert_eq!(outcome.stderr.matches(problem).count(), 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("use qualys_connector"), "{}", outcome.stderr);
    assert!(!folder.join("1_a.csv").exists());
}
