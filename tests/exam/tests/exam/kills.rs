//! A pipeline of the example plugins that is killed at random moments.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Runs a pipeline of the input `Rows` and these outputs, with kills at random moments, until there were as many. Each
/// output must have each line once and in order, and the delivered file must be removed.
pub(crate) fn survive_kills(libraries: &[PathBuf], plugins: &[&str], max_kills: u32) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("plugins")).unwrap();
    for library in libraries {
        fs::copy(library, at("plugins").join(library.file_name().unwrap())).unwrap();
    }
    let (text, expected) = report();
    let (mut kills, mut seed, mut rounds) = (0, 20_260_131_u64, 0);
    while kills < max_kills {
        rounds += 1;
        let source = at(&format!("source{rounds}"));
        fs::create_dir(&source).unwrap();
        fs::write(source.join("report.ndjson"), &text).unwrap();
        let pipeline = at(&format!("round{rounds}.yaml"));
        let outputs = plugins.iter().map(|plugin| (*plugin, at(&format!("{plugin}{rounds}"))));
        let outputs: Vec<(&str, PathBuf)> = outputs.collect();
        let outputs_yaml = outputs.iter().map(|(plugin, path)| {
            format!("  - {{ id: {plugin}, plugin: {plugin}, with: {{ path: '{}' }} }}\n", path.display())
        });
        let yaml = format!(
            "version: 1\ncheckpoint: {{ bytes: 64 KiB }}\ninputs:\n  - {{ id: rows, plugin: Rows, with: {{ folder: \
             '{}' }} }}\noutputs:\n{}",
            source.display(),
            outputs_yaml.collect::<String>()
        );
        fs::write(&pipeline, yaml).unwrap();
        loop {
            let mut run = Command::new(env!("CARGO_BIN_EXE_scanbridge-for-exams"))
                .arg("run")
                .arg(&pipeline)
                .arg("--state-dir")
                .arg(at("state"))
                .arg("--plugin-dir")
                .arg(at("plugins"))
                .arg("-q")
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let wait = if kills < max_kills {
                Duration::from_millis(10 + (seed >> 33) % 400)
            } else {
                Duration::MAX
            };
            let status = wait_for(&mut run, wait);
            match status {
                Some(status) => {
                    assert!(status.success(), "round {rounds}: {status}");
                    break;
                }
                None => {
                    run.kill().unwrap();
                    run.wait().unwrap();
                    kills += 1;
                }
            }
        }
        for (plugin, output) in &outputs {
            let found = fs::read_to_string(output).unwrap();
            let differs = expected.lines().zip(found.lines()).position(|(expected, found)| expected != found);
            assert_eq!(differs, None, "first differing line, {plugin}, round {rounds}, after {kills} kills");
            assert_eq!(found.len(), expected.len(), "{plugin}, round {rounds}, after {kills} kills");
        }
        assert!(!source.join("report.ndjson").exists(), "the delivered file was removed, round {rounds}");
        let parts = fs::read_dir(folder.path()).unwrap().flatten();
        let parts = parts.filter(|entry| entry.file_name().to_string_lossy().ends_with(".part"));
        assert_eq!(parts.count(), 0, "no part is left, round {rounds}");
    }
}

/// Waits for the end of a process, at most for this time.
fn wait_for(process: &mut Child, time: Duration) -> Option<ExitStatus> {
    let since = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return Some(status);
        }
        if since.elapsed() >= time {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A report of 20,000 findings for `Rows`, and the lines that `Lines` makes of it.
pub(crate) fn report() -> (String, String) {
    let (mut source, mut lines) = (String::new(), String::new());
    for asset in 0..5000 {
        let address = format!("10.0.{}.{}", asset / 250, asset % 250 + 1);
        for finding in 0..4 {
            let (id, title) = (format!("EX-{}", asset * 4 + finding), format!("Finding {finding}"));
            source += &format!(r#"{{"asset":"{address}","id":"{id}","title":"{title}","score":5.0}}"#);
            source.push('\n');
            lines += &format!("{address} {id} {title}\n");
        }
    }
    (source + "{\"end\": true}\n", lines)
}
