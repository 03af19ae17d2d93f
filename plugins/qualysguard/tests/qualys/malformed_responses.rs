//! Malformed and unusual HTTP responses: each is classified correctly and within a bounded time.

use std::io::Write;
use std::time::{Duration, Instant};

use scanbridge_doubles::fake_qualys::{Reply, Script};
use scanbridge_plugin_api::ErrorKind;
use serde_json::json;

use crate::drive::Bench;
use crate::template_reports::template_report;

/// Downloads one report; each call gets this reply.
fn fetching(reply: Reply) -> Bench {
    Bench::new(Script::new().on("", [reply])).with(json!({ "report_id": 77 }))
}

fn raw(head: &str, body: &[u8]) -> Reply {
    Reply::raw([format!("{head}\r\n\r\n").as_bytes(), body].concat())
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn unusual_but_complete_response_is_accepted() {
    let body = template_report();
    let length = body.len();
    let chunk =
        [format!("{length:X};name=\"x\"\r\n").as_bytes(), &body, b"\r\n0\r\nTrailer: x\r\n\r\n"].concat();
    let long = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\nContent-Length: {length}", "x".repeat(60_000));
    let two_members = [gzipped(&body[..100]), gzipped(&body[100..])].concat();
    for reply in [
        raw("HTTP/1.0 200 OK", &body),
        raw(&format!("HTTP/1.0 200 OK\r\ncontent-length: {length}"), &body),
        raw(&format!("HTTP/1.1 200\r\nContent-Length: {length}"), &body),
        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Trailer", &chunk),
        raw(&long, &body),
        raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK", &body),
        raw("HTTP/1.1 200 OK\r\nContent-Encoding: GZIP", &two_members),
        raw(
            &format!("HTTP/1.1 200 OK\r\nContent-Length: {length}"),
            &[&body[..], b"more than Content-Length"].concat(),
        ),
    ] {
        let shown = format!("{reply:?}");
        let outcome = fetching(reply).run().unwrap_or_else(|error| panic!("{error}: {}", &shown[..200]));
        assert_eq!(outcome.only_report().findings.len(), 8);
    }
}

#[test]
fn truncated_response_is_retried_and_not_delivered() {
    let body = template_report();
    let gzip = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked";
    let chunk = |size: &str| [format!("{size}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let mut wrong_sum = gzipped(&body);
    let at = wrong_sum.len() - 8;
    wrong_sum[at] ^= 1;
    let mut replies = vec![
        raw(chunked, &chunk("zz")),
        raw(chunked, &chunk("FFFFFFFFFFFFFFFFF")),
        raw(chunked, &chunk("-5")),
        raw(chunked, &chunk("5")),
        raw(chunked, &chunk(&format!("{:x}", body.len() + 7))),
        raw(gzip, &wrong_sum),
        raw(gzip, &body),
        raw(gzip, &[&gzipped(&body)[..], b"rubbish"].concat()),
        Reply::xml("").until_close(),
    ];
    // Compressed and without a length: only the end of the gzip data shows whether it is complete.
    let complete = gzipped(&body);
    replies.extend((1..20).map(|part| raw(gzip, &complete[..complete.len() * part / 20])));
    for reply in replies {
        let shown = format!("{reply:?}");
        let bench = fetching(reply);
        let error = bench.fails();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}: {}", &shown[..300]);
    }
}

#[test]
fn non_qualys_response_is_rejected() {
    let xml = String::from_utf8(template_report()).unwrap();
    let wide: Vec<u8> = xml.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>\
                <SIMPLE_RETURN><RESPONSE><CODE>1905</CODE><TEXT>&b;&b;&b;bad value</TEXT></RESPONSE></SIMPLE_RETURN>";
    for (reply, kind, words) in [
        (Reply::raw("HTTP/9.9 200 OK\r\n\r\n"), ErrorKind::Protocol, "invalid HTTP response from 127.0.0.1:"),
        (
            Reply::raw("220 smtp.example.com ESMTP\r\n"),
            ErrorKind::Protocol,
            "invalid HTTP response from 127.0.0.1:",
        ),
        (
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n<x/>"),
            ErrorKind::Protocol,
            "HTTP",
        ),
        (Reply::xml([b"\xFF\xFE", &wide[..]].concat()), ErrorKind::Protocol, "UTF-16"),
        (Reply::new(400, "text/xml", bomb), ErrorKind::Config, "code 1905: bad value"),
        (
            raw(&format!("HTTP/1.1 302 Found\r\nLocation: /api/2.0/fo/report/{}", "x".repeat(9_000)), b""),
            ErrorKind::Config,
            "redirects to",
        ),
    ] {
        let bench = fetching(reply);
        let error = bench.fails();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(words) && error.message.len() < 4_096, "{error}");
        assert_eq!(bench.qualys.requests().len(), 1);
    }
    let endless = raw(&format!("HTTP/1.1 200 OK\r\nX-Long: {}", "x".repeat(8 << 20)), b"");
    let error = fetching(endless).fails();
    assert!(matches!(error.kind, ErrorKind::Protocol | ErrorKind::Unavailable), "{error}");
}

#[test]
fn invalid_utf8_is_replaced_and_reported() {
    let text = String::from_utf8(template_report()).unwrap();
    let (before, after) = text.split_once("</HOST_LIST>").unwrap();
    let host = b"<HOST><IP>192.0.2.200</IP><DNS>caf\xE9.example.com</DNS></HOST></HOST_LIST>";
    let outcome = fetching(Reply::xml([before.as_bytes(), host, after.as_bytes()].concat())).run().unwrap();
    let report = outcome.only_report();
    assert!(
        report.notes().iter().any(|note| note.starts_with("invalid bytes replaced")),
        "{:?}",
        report.notes()
    );
}

#[test]
fn gzip_bomb_ends_at_max_download_bytes() {
    let bomb = gzipped(&vec![b' '; 32 << 20]);
    assert!(bomb.len() < 64 << 10);
    let bench = fetching(raw("HTTP/1.1 200 OK\r\nContent-Encoding: gzip", &bomb))
        .with(json!({ "max_download_bytes": 1 << 20 }));
    let error = bench.fails();
    assert_eq!(error.kind, ErrorKind::BadData);
    assert!(error.message.contains("exceeds 1 MiB"), "{error}");
    let kept = std::fs::read_dir(bench.state().join("reports")).unwrap();
    assert!(kept.flatten().all(|file| file.metadata().unwrap().len() <= 1 << 20));
}

#[test]
fn slow_response_head_times_out() {
    let head = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "x".repeat(2_000));
    let bench = fetching(Reply::raw(head).in_pieces(1, Duration::from_millis(100)))
        .with(json!({ "read_timeout_secs": 1 }));
    let began = Instant::now();
    assert_eq!(bench.fails().kind, ErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn huge_requested_wait_is_clamped() {
    let most = u64::MAX.to_string();
    for reply in [
        Reply::code_with(409, 1965, "Too many calls", &[("SECONDS_TO_WAIT", &most)]),
        Reply::code(409, 1965, "Too many calls").header("X-RateLimit-ToWait-Sec", &most),
        Reply::html(429).header("Retry-After", &most),
        Reply::html(503).header("Retry-After", &most),
    ] {
        let script = Script::new().on("", [Reply::code(409, 1960, "Too many at once"), reply]);
        let error = Bench::new(script).with(json!({ "report_id": 77 })).fails();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert_eq!(error.retry_after, Some(Duration::from_secs(30 * 86_400)), "{error}");
    }
}
