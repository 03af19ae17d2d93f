//! Two processes, and one that is killed. The test runs itself as the other process.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use scanbridge_durable_file::{ReportFile, Rotation, StartMode, Target};

use scanbridge_plugin_api::model::ReportStart;
use scanbridge_plugin_api::{ErrorKind, Receipt};

use crate::folder::{finish, names};

const ROLE: &str = "DURABLE_FILE_TEST_WRITES";
const PRINTS: &str = "DURABLE_FILE_TEST_PRINTS";
const COMMITS: &str = "DURABLE_FILE_TEST_COMMITS";
const WITHOUT_RIGHTS: &str = "DURABLE_FILE_TEST_WITHOUT_RIGHTS";

fn target(path: &Path) -> Target {
    let max_bytes = path.to_string_lossy().contains("rotated").then_some(1000);
    Target { rotate: Rotation { max_bytes, max_age: None }, ..Target::new(path) }
}

/// Helper for the other process: writes half a report and waits to be killed.
#[test]
fn the_other_process() {
    let Some(path) = env::var_os(ROLE) else { return };
    let mut file = ReportFile::open(target(Path::new(&path)), None).unwrap();
    file.begin(&ReportStart::default(), false).unwrap();
    for _ in 0..100 {
        file.write(b"half a report, and never the rest of it\n").unwrap();
        file.record_boundary().unwrap();
    }
    file.commit(b"").unwrap();
    println!("\nstarted");
    std::thread::sleep(std::time::Duration::from_secs(600));
}

/// Helper for the other process: opens a file in a directory without write permission.
#[test]
fn process_without_write_permission() {
    let Some(path) = env::var_os(WITHOUT_RIGHTS) else { return };
    let error = ReportFile::open(Target::new(path), None).unwrap_err();
    assert_eq!(error.kind, ErrorKind::CannotCreate);
    assert!(error.message.contains("out.csv: Permission denied"), "{error}");
    assert!(error.hint.unwrap().contains("needs write permission on "));
    println!("\nrefused");
}

/// Root may write anywhere, so the user `nobody` is used when root runs the tests.
#[test]
fn a_folder_without_write_permission_is_refused_when_the_output_opens() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "processes::process_without_write_permission", "--nocapture"]);
    command.env(WITHOUT_RIGHTS, folder.path().join("out.csv"));
    if fs::metadata(folder.path()).unwrap().uid() == 0 {
        command.uid(65534);
    }
    match command.output() {
        Ok(output) => assert!(String::from_utf8_lossy(&output.stdout).contains("\nrefused"), "{output:?}"),
        Err(error) => eprintln!("skipped: the user `nobody` cannot run this test: {error}"),
    }
}

/// Helper for the other process: writes two reports to standard output.
#[test]
fn the_process_that_prints() {
    let Some(path) = env::var_os(PRINTS) else { return };
    let mut file = ReportFile::open(Target::new(path), None).unwrap();
    for report in ["\n<one>\n", "<two>\n"] {
        let is_new = file.begin(&ReportStart::default(), false).unwrap() == StartMode::Empty;
        assert_eq!(is_new, report.contains("one"), "standard output gets its header once");
        file.write(report.as_bytes()).unwrap();
        finish(&mut file, true).unwrap();
    }
}

#[test]
fn standard_output_goes_where_the_caller_sent_it() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["-", "/dev/stdout"] {
        // A regular file as standard output must be appended to, not written from its beginning.
        let printed = folder.path().join("printed");
        fs::write(&printed, "before\n").unwrap();
        let stdout = fs::OpenOptions::new().append(true).open(&printed).unwrap();
        let status = Command::new(env::current_exe().unwrap())
            .args(["--exact", "processes::the_process_that_prints", "--nocapture"])
            .env(PRINTS, path)
            .stdout(stdout)
            .status()
            .unwrap();
        assert!(status.success());
        let text = fs::read_to_string(&printed).unwrap();
        assert!(text.starts_with("before\n") && text.contains("\n<one>\n<two>\n"), "{path}: {text}");
    }
}

/// Helper for the other process: writes numbered records, commits at intervals, and prints the receipts.
#[test]
fn the_process_that_commits() {
    let Some(path) = env::var_os(COMMITS) else { return };
    let mut file = ReportFile::open(target(Path::new(&path)), None).unwrap();
    file.begin(&ReportStart::default(), false).unwrap();
    for number in 0_u32.. {
        file.record_boundary().unwrap();
        file.write(record(number).as_bytes()).unwrap();
        if number % 7 == 0 {
            let receipt = file.commit(&number.to_le_bytes()).unwrap();
            println!("\nreceipt {:?}", receipt.0);
        }
    }
}

fn record(number: u32) -> String {
    format!("{number:08}\n")
}

/// All files of the folder, one after the other.
fn content(folder: &Path) -> String {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn killed_process_resumes_at_any_of_its_receipts() {
    for (name, receipts) in [("out.csv", 1), ("out.csv", 90), ("rotated.csv", 2), ("rotated.csv", 70)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "processes::the_process_that_commits", "--nocapture"])
            .env(COMMITS, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut printed = lines.filter_map(|line| line.strip_prefix("receipt ").map(str::to_owned));
        let receipt = printed.nth(receipts).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();

        let numbers = receipt.trim_matches(['[', ']']).split(", ");
        let receipt = Receipt(numbers.map(|byte| byte.parse().unwrap()).collect());
        let mut file = ReportFile::open(target(&path), Some(&receipt)).unwrap();
        let StartMode::Continued(state) = file.begin(&ReportStart::default(), true).unwrap() else {
            panic!("it does not go on")
        };
        for number in u32::from_le_bytes(state.try_into().unwrap()) + 1..2000 {
            file.record_boundary().unwrap();
            file.write(record(number).as_bytes()).unwrap();
        }
        finish(&mut file, true).unwrap();
        drop(file);
        let expected: String = (0..2000).map(record).collect();
        assert!(content(folder.path()) == expected, "{name} behind {receipts} receipts");
        let pieces = if name == "out.csv" { 1 } else { expected.len().div_ceil(1008) };
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), pieces);
    }
}

/// Starts the other process and waits until it has locked the file.
fn other_process(path: &Path) -> Child {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "processes::the_other_process", "--nocapture"])
        .env(ROLE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map(Result::unwrap).any(|line| line == "started"));
    child
}

#[test]
fn a_second_process_is_refused_and_a_killed_one_leaves_only_part_files() {
    for name in ["out.csv", "rotated.csv"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let mut child = other_process(&path);

        let mut file = ReportFile::open(target(&path), None).unwrap();
        let error = file.begin(&ReportStart::default(), false).unwrap_err();
        assert_eq!(error.kind, ErrorKind::CannotCreate);
        assert!(error.message.contains("locked: another process"), "{error}");

        child.kill().unwrap();
        child.wait().unwrap();
        assert!(folder.path().join(format!(".{name}.lock")).exists());
        let left = names(folder.path());
        assert!(
            !left.is_empty() && left.iter().all(|name| name.contains(".csv.1") && name.ends_with(".part")),
            "{left:?}"
        );

        // The next run writes part files of its own, and removes those of the killed run when it publishes.
        assert_eq!(file.begin(&ReportStart::default(), false).unwrap(), StartMode::Empty);
        file.write(b"whole\n").unwrap();
        finish(&mut file, true).unwrap();
        let published = if name == "out.csv" { path } else { folder.path().join("rotated.0001.csv") };
        assert_eq!(fs::read_to_string(published).unwrap(), "whole\n");
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "parts and lock are removed");
    }
}

#[test]
fn two_outputs_of_one_process_cannot_share_a_file_either() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let mut one = ReportFile::open(Target::new(&path), None).unwrap();
    let mut two = ReportFile::open(Target::new(&path), None).unwrap();
    one.begin(&ReportStart::default(), false).unwrap();
    assert_eq!(two.begin(&ReportStart::default(), false).unwrap_err().kind, ErrorKind::CannotCreate);
    one.write(b"mine\n").unwrap();
    finish(&mut one, true).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine\n");
}
