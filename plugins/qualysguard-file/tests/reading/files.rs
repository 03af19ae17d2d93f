//! Sources of reports: directories, gzip files, files that are still being written, pipes.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use scanbridge_fixtures::{damaged, good};
use scanbridge_plugin_api::{ErrorKind, Input, Open, OpenFrame, Options, Services, Verdict};
use scanbridge_qualysguard_file::QualysGuardFile;
use serde_json::json;

use crate::drive::{read, read_with, report_of};

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn directory_is_read_in_name_order_plain_or_gzip() {
    let folder = tempfile::tempdir().unwrap();
    let template = fs::read(good("template-report.xml")).unwrap();
    fs::write(folder.path().join("c.xml"), gzip(&template)).unwrap();
    fs::copy(good("scan-ipv6.xml"), folder.path().join("a.xml")).unwrap();
    let (head, tail) = template.split_at(5_000);
    fs::write(folder.path().join("b.xml.gz"), [gzip(head), gzip(tail)].concat()).unwrap();
    fs::write(folder.path().join("notes.txt"), "not a report").unwrap();

    let outcome = read(&json!({ "path": [folder.path()] })).unwrap();
    assert_eq!(outcome.refused, []);
    let counts: Vec<_> =
        outcome.reports.iter().map(|report| (report.start.kind.as_str(), report.findings.len())).collect();
    assert_eq!(counts, [("SCAN", 2), ("ASSET_DATA_REPORT", 8), ("ASSET_DATA_REPORT", 8)]);
}

#[test]
fn damaged_and_truncated_gzip_files_are_distinguished() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.xml.gz");
    let compressed = gzip(&fs::read(good("template-report.xml")).unwrap());
    let mut broken = compressed.clone();
    broken[compressed.len() / 2] ^= 0xFF;
    broken[compressed.len() / 2 + 1] ^= 0xFF;
    for (bytes, part, incomplete) in [
        (&compressed[..compressed.len() / 2], "is truncated: unexpected end of the gzip file", true),
        (&broken[..], "invalid gzip data in ", false),
    ] {
        fs::write(&path, bytes).unwrap();
        let outcome = read_with(&path, &json!({})).unwrap();
        let refusal = &outcome.refused[0];
        assert!(refusal.error.message.contains(part), "{}", refusal.error.message);
        assert_eq!((refusal.error.kind, refusal.incomplete), (ErrorKind::BadData, incomplete));
    }
}

#[test]
fn gzip_file_without_checksum_is_never_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.xml.gz");
    let compressed = gzip(&fs::read(good("template-report.xml")).unwrap());
    fs::write(&path, &compressed[..compressed.len() - 4]).unwrap();
    let outcome = read_with(&path, &json!({ "deliver_incomplete": true })).unwrap();
    let end = &outcome.reports[0].end;
    assert_eq!(outcome.reports[0].findings.len(), 8);
    assert!(end.deliver && !end.complete && end.clean_assets.is_empty());
    assert!(end.reason.ends_with("truncated gzip file"), "{}", end.reason);
}

#[test]
fn gzip_file_above_the_decompressed_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.xml.gz");
    fs::write(&path, gzip(&vec![b' '; 4 << 20])).unwrap();
    let outcome = read_with(&path, &json!({ "max_unpacked_bytes": 1 << 20 })).unwrap();
    assert!(outcome.refused[0].error.message.ends_with("exceeds 1 MiB after decompression"));
}

#[test]
fn gzip_file_with_an_implausible_ratio_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.xml.gz");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    (0..40).for_each(|_| encoder.write_all(&vec![b' '; 1 << 20]).unwrap());
    fs::write(&path, encoder.finish().unwrap()).unwrap();
    let outcome = read_with(&path, &json!({})).unwrap();
    let error = &outcome.refused[0].error;
    assert_eq!(error.kind, ErrorKind::BadData);
    assert!(error.message.ends_with("bomb.xml.gz decompresses to more than 200 times its size"), "{error}");
}

#[test]
fn device_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endless.xml");
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    let outcome = read_with(&path, &json!({ "max_unpacked_bytes": 1 << 20 })).unwrap();
    let error = &outcome.refused[0].error;
    assert_eq!(error.kind, ErrorKind::NoInput);
    assert!(error.message.ends_with("endless.xml: neither a regular file nor a pipe"), "{error}");
}

#[test]
fn pipe_is_read_like_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let created = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(created.success());
    let template = gzip(&fs::read(good("template-report.xml")).unwrap());
    let report = std::thread::scope(|scope| {
        scope.spawn(|| fs::write(&pipe, template).unwrap());
        report_of(&pipe)
    });
    assert_eq!((report.findings.len(), report.end.complete), (8, true));
}

#[test]
fn growing_file_is_read_when_it_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("growing.xml");
    let complete = fs::read(good("scan-all-kinds.xml")).unwrap();
    fs::write(&path, &complete[..100]).unwrap();
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
            for piece in complete[100..].chunks(complete.len() / 4) {
                std::thread::sleep(Duration::from_millis(400));
                file.write_all(piece).unwrap();
            }
        });
        read_with(&path, &json!({ "settle_secs": 20 })).unwrap()
    });
    assert_eq!(outcome.refused, []);
    assert!(outcome.reports[0].end.complete);
    assert_eq!(outcome.reports[0].findings.len(), 13);
}

#[test]
fn truncated_file_is_refused_after_settle_secs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truncated.xml");
    fs::copy(damaged("scan-cut-in-cdata.xml"), &path).unwrap();
    let started = Instant::now();
    let outcome = read_with(&path, &json!({ "settle_secs": 1 })).unwrap();
    assert!(outcome.refused[0].incomplete);
    assert!(started.elapsed() >= Duration::from_millis(700), "{:?}", started.elapsed());

    // A file that was unchanged for long enough is read immediately.
    let old = std::time::SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    let started = Instant::now();
    read_with(&path, &json!({ "settle_secs": 60 })).unwrap();
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn asset_larger_than_a_batch_continues_in_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.xml");
    let xml = fs::read_to_string(good("scan-ipv6.xml")).unwrap();
    let finding = &xml[xml.find("<VULN ").unwrap()..xml.find("</CAT>").unwrap()];
    let more: String =
        (0..300).map(|number| finding.replace("[r]", &format!("[{number} {}]", "x".repeat(5_000)))).collect();
    let xml =
        xml.replacen("</CAT>", &format!("{more}</CAT>"), 1).replacen("</IP>", "<NETWORK>N</NETWORK></IP>", 1);
    fs::write(&path, xml).unwrap();

    let report = report_of(&path);
    assert!(report.batches >= 3);
    assert_eq!((report.assets.len(), report.findings.len()), (2, 302));
    let owners = report.findings.iter().filter(|finding| finding["asset"] == "2001:db8::6").count();
    assert_eq!(owners, 301);
    let note = "asset fields found after the first findings of the asset; those findings were delivered without them x 1";
    assert_eq!(report.notes(), [note]);
}

#[test]
fn check_reports_the_kind_of_each_file() {
    let folder = tempfile::tempdir().unwrap();
    let compressed = folder.path().join("compressed.xml.gz");
    fs::write(&compressed, gzip(&fs::read(good("template-report.xml")).unwrap())).unwrap();
    let options = json!({
        "path": [good("scan-ipv6.xml"), compressed, scanbridge_fixtures::other("report.csv"), "/none.xml", "-"],
        "knowledge_base": good("knowledge-base.xml"),
    });
    let services = Services::without_host(Path::new("/none/state"));
    let options = Options::read(QualysGuardFile::OPTIONS, options.to_string().as_bytes()).unwrap();
    let report = QualysGuardFile::open(&Open::new(&options, &services, &OpenFrame::default()), None)
        .unwrap()
        .plugin
        .check()
        .unwrap();
    let verdicts: Vec<_> = report.steps.iter().map(|step| step.verdict).collect();
    assert_eq!(
        verdicts,
        [Verdict::Ok, Verdict::Ok, Verdict::Failed, Verdict::Failed, Verdict::Ok, Verdict::Ok]
    );
    assert!(report.steps[1].detail.starts_with("contains a template report"), "{}", report.steps[1].detail);
}

#[test]
fn pipe_in_a_directory_or_pattern_is_reported_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let created = std::process::Command::new("mkfifo").arg(folder.path().join("a.xml")).status().unwrap();
    assert!(created.success());
    fs::copy(good("scan-ipv6.xml"), folder.path().join("b.xml")).unwrap();
    for path in [folder.path().to_owned(), folder.path().join("*.xml")] {
        let outcome = read(&json!({ "path": [path] })).unwrap();
        assert_eq!(outcome.reports.len(), 1, "{}", path.display());
        let [refusal] = &outcome.refused[..] else { panic!("{:?}", outcome.refused) };
        assert!(
            refusal.error.message.ends_with("a.xml is not a regular file; it was skipped"),
            "{refusal:?}"
        );
        assert!(refusal.error.hint.as_ref().unwrap().contains("`path`"));
    }
}
