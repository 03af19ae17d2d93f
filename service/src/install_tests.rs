//! The files of an installation, and what systemd says about them.

use clap::Parser;

use super::*;
use crate::unit_files::{TEMPLATE, TIMER, UNIT};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    install: Install,
}

fn options(line: &str) -> Install {
    Line::try_parse_from(line.split(' ')).unwrap().install
}

fn install_into(root: &Path, more: &[&str]) -> Result<String, Failure> {
    let mut words = vec!["install", "--root", root.to_str().unwrap()];
    words.extend(more);
    try_to_install(&Line::try_parse_from(words).unwrap().install)
}

#[test]
fn shipped_unit_is_installed_by_default() {
    let root = tempfile::tempdir().unwrap();
    install_into(root.path(), &[]).unwrap();
    let unit = root.path().join("etc/systemd/system/scanbridge.service");
    assert_eq!(fs::read_to_string(&unit).unwrap(), UNIT);
    assert!(root.path().join("etc/scanbridge/pipelines").is_dir());
    assert!(!root.path().join("etc/systemd/system/scanbridge.service.d").exists());
    // Again: nothing changes. A unit that was changed by hand is kept.
    assert!(install_into(root.path(), &[]).unwrap().contains("unchanged"));
    fs::write(&unit, "changed by hand").unwrap();
    let done = install_into(root.path(), &[]).unwrap();
    assert!(done.contains("scanbridge.service.old"), "{done}");
    assert_eq!(fs::read_to_string(unit.with_extension("service.old")).unwrap(), "changed by hand");
}

#[test]
fn names_and_site_settings_are_applied() {
    let root = tempfile::tempdir().unwrap();
    let more = [
        "--name",
        "bridge",
        "--account",
        "sb",
        "--description",
        "100 % bridge",
        "--credential",
        "qualys=/etc/bridge/credentials/qualys",
        "--path-write",
        "/srv/out",
        "--path-read",
        "/home/scans",
        "--timer",
        "Mon..Fri 05:00",
        "emea",
    ];
    install_into(root.path(), &more).unwrap();
    let read = |path: &str| fs::read_to_string(root.path().join("etc").join(path)).unwrap();
    let unit = read("systemd/system/bridge.service");
    for line in [
        "Description=100 %% bridge",
        "User=sb",
        "Group=sb",
        "StateDirectory=bridge",
        "WorkingDirectory=%S/bridge",
        "ExecStart=/usr/bin/scanbridge serve /etc/bridge/pipelines",
        "WantedBy=multi-user.target",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line} is missing in\n{unit}");
    }
    assert_eq!(
        read("systemd/system/bridge.service.d/10-site.conf"),
        "[Service]\nLoadCredential=qualys:/etc/bridge/credentials/qualys\nReadWritePaths=/srv/out\n\
         BindReadOnlyPaths=/home/scans\n"
    );
    assert!(read("systemd/system/bridge@emea.timer.d/10-site.conf").contains("OnCalendar=Mon..Fri 05:00"));
    assert!(read("systemd/system/bridge@.service").contains("run /etc/bridge/pipelines/%i.yaml"));
    assert!(read("sysusers.d/bridge.conf").contains("u sb - \"Scanbridge\" /var/lib/bridge"));
}

/// The package has the units; an installation changes them with drop-ins, so that an upgrade of the package takes effect.
#[test]
fn units_of_a_package_are_not_hidden() {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    // From before the package.
    install_into(root.path(), &[]).unwrap();
    for (path, text) in [
        ("usr/lib/systemd/system/scanbridge.service", UNIT),
        ("usr/lib/systemd/system/scanbridge@.service", TEMPLATE),
        ("usr/lib/systemd/system/scanbridge@.timer", TIMER),
        ("usr/lib/sysusers.d/scanbridge.conf", ""),
    ] {
        fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        fs::write(at(path), text).unwrap();
    }
    let done = install_into(root.path(), &[]).unwrap();
    assert!(done.contains("from the package: /usr/lib/systemd/system/scanbridge.service"), "{done}");
    assert!(at("etc/systemd/system/scanbridge.service.old").exists(), "{done}");
    for path in [
        "systemd/system/scanbridge.service",
        "systemd/system/scanbridge.service.d",
        "sysusers.d/scanbridge.conf",
    ] {
        assert!(!at("etc").join(path).exists(), "{path}: {done}");
    }
    let more =
        ["--account", "sb", "--description", "EMEA", "--path-write", "/srv/out", "--timer", "daily", "emea"];
    let more = [&more[..], &["--pipelines", "/srv/p"]].concat();
    install_into(root.path(), &more).unwrap();
    let site = fs::read_to_string(at("etc/systemd/system/scanbridge.service.d/10-site.conf")).unwrap();
    let expected = "[Unit]\nDescription=EMEA\n[Service]\nExecStart=\n\
                    ExecStart=/usr/bin/scanbridge serve /srv/p\nUser=sb\nGroup=sb\n[Service]\nReadWritePaths=/srv/out\n";
    assert_eq!(site, expected);
    let template = fs::read_to_string(at("etc/systemd/system/scanbridge@.service.d/10-site.conf")).unwrap();
    assert!(template.contains("ExecStart=\nExecStart=/usr/bin/scanbridge run /srv/p/%i.yaml"), "{template}");
    assert!(!at("etc/systemd/system/scanbridge@.timer").exists());
    assert!(at("etc/systemd/system/scanbridge@emea.timer.d/10-site.conf").exists());
    // The account is not that of the package.
    assert!(fs::read_to_string(at("etc/sysusers.d/scanbridge.conf")).unwrap().contains("u sb "));
}

#[test]
fn service_file_names_the_pipelines_of_the_unit() {
    for (more, start) in [
        (&["--config", "/etc/bridge/service.yaml"][..], " --config /etc/bridge/service.yaml"),
        (
            &["--config", "/etc/bridge/service.yaml", "--pipelines", "/srv/p"],
            " --config /etc/bridge/service.yaml /srv/p",
        ),
        (&["--pipelines", "/srv/p"], " /srv/p"),
        (&["--name", "bridge"], " /etc/bridge/pipelines"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let name = if more[0] == "--name" { more[1] } else { "scanbridge" };
        let done = install_into(root.path(), more).unwrap();
        let unit =
            fs::read_to_string(root.path().join(format!("etc/systemd/system/{name}.service"))).unwrap();
        let line = format!("ExecStart=/usr/bin/scanbridge serve{start}");
        assert!(unit.lines().any(|found| found == line), "{line} is missing in\n{unit}");
        let is_by_config = more.len() == 2 && more[0] == "--config";
        assert!(!root.path().join("etc/scanbridge/pipelines").exists(), "{more:?}");
        assert_eq!(done.contains("next: systemctl enable --now"), is_by_config, "{done}");
    }
}

#[test]
fn values_that_would_change_the_unit_are_refused() {
    for line in [
        "install --name a/b",
        "install --name=-x",
        "install --account a%b",
        "install --credential x",
        "install --credential x=relative",
        "install --path-write out",
        "install --path-read /a%b",
        "install --config service.yaml",
        "install --config /etc/a:b",
        "install --description=",
        "install --timer daily ../x",
    ] {
        assert_eq!(files(&options(line)).unwrap_err().0, USAGE, "{line}");
    }
    let mut injected = options("install");
    injected.description = "x\nExecStart=/bin/sh".to_owned();
    assert_eq!(files(&injected).unwrap_err().0, USAGE);
}

/// `systemd-analyze` with these arguments, in a directory with all units. `None` if systemd is not installed.
fn analyze(arguments: &[&str]) -> Option<std::process::Output> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("scanbridge.service", UNIT),
        ("scanbridge@emea.service", TEMPLATE),
        ("scanbridge@emea.timer", TIMER),
    ] {
        // The program is not installed where the tests run.
        fs::write(folder.path().join(name), text.replace("/usr/bin/scanbridge", "/bin/true")).unwrap();
    }
    match Command::new("systemd-analyze").args(arguments).current_dir(folder.path()).output() {
        Ok(output) => Some(output),
        Err(_) => {
            assert_ne!(
                std::env::var("CI").as_deref(),
                Ok("true"),
                "CI must have systemd-analyze (Debian: systemd)"
            );
            eprintln!("skipped: systemd-analyze is not installed");
            None
        }
    }
}

#[test]
fn shipped_units_are_valid() {
    let units = [
        "verify",
        "--man=no",
        "./scanbridge.service",
        "./scanbridge@emea.service",
        "./scanbridge@emea.timer",
    ];
    let Some(output) = analyze(&units) else { return };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
}

#[test]
fn shipped_services_are_hardened() {
    for unit in ["./scanbridge.service", "./scanbridge@emea.service"] {
        // The threshold is ten times the score: at most 2.0.
        let Some(output) = analyze(&["security", "--offline=yes", "--threshold=20", "--no-pager", unit])
        else {
            return;
        };
        assert!(output.status.success(), "{unit}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
