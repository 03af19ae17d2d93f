//! throw-away
use scanbridge_arcsight_cef::ArcSightCef;
use scanbridge_plugin_api::batch::*;
use scanbridge_plugin_api::model::*;
use scanbridge_plugin_api::{Options, Output, Services};
use std::path::Path;
use std::time::Instant;

fn cpu() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .unwrap()
        .split(" ")
        .next()
        .unwrap()
        .parse()
        .unwrap()
}
fn main() {
    let qids: usize = std::env::args().nth(1).map_or(3000, |q| q.parse().unwrap());
    let path = std::env::args().nth(2).unwrap_or("/dev/null".into());
    let sentence = "The remote service accepts connections encrypted using an old version, which has <b>several</b> cryptographic flaws &amp; weaknesses.<P>\nAn attacker may exploit them. ";
    let result: String =
        (0..40).map(|i| format!("{i}\ttcp\thttps=on\tsome service detected here {i} c:\\x\n")).collect();
    let mut batches = vec![];
    let mut b = BatchBuilder::default();
    let mut n = 0usize;
    let mut seed = 1u64;
    for a in 0..1375 {
        let mut row = AssetRow::default();
        row.set(AssetField::Address, &format!("192.0.{}.{}", a / 256, a % 256));
        row.set(AssetField::Dns, &format!("h{a}.example.com"));
        row.set(AssetField::Os, "Linux 2.6");
        let asset = b.push_asset(&row, false);
        for _ in 0..40 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let q = (seed >> 11) as usize % qids;
            let mut d = DefinitionRow::default();
            d.set(DefinitionField::Qid, &format!("{}", 10000 + q));
            d.set(DefinitionField::Title, "Some title of a vulnerability");
            d.set(DefinitionField::Category, "General remote services");
            d.set(DefinitionField::Cves, "CVE-2014-0160\nCVE-2014-3566");
            for f in [DefinitionField::Diagnosis, DefinitionField::Consequence, DefinitionField::Solution] {
                d.set(f, &sentence.repeat(6));
            }
            let d = b.push_definition(&d);
            let mut f = FindingRow::default();
            f.set(FindingField::Kind, "vulnerability");
            f.set(FindingField::Severity, "3");
            f.set(FindingField::Port, "443");
            f.set(FindingField::Protocol, "tcp");
            f.set(FindingField::Result, &result[..2000.min(result.len())]);
            b.push_finding(asset, d, &f);
            n += 1;
        }
        if b.is_full() {
            batches.push(std::mem::take(&mut b).finish());
        }
    }
    batches.push(b.finish());
    let columns = Columns::of(Schema::default());
    let options =
        Options::read(ArcSightCef::OPTIONS, serde_json::json!({"path": path}).to_string().as_bytes())
            .unwrap();
    for _ in 0..3 {
        let mut out = ArcSightCef::open(&options, &Services::without_host(Path::new(".")), None).unwrap();
        let views: Vec<_> = batches.iter().map(|b| Batch::of(b, &columns).unwrap()).collect();
        let t = Instant::now();
        let c = cpu();
        out.begin(&ReportStart {
            time: "2026-01-31T12:00:00Z".into(),
            path: "/r/scan.xml".into(),
            ..Default::default()
        })
        .unwrap();
        let mut bytes = 0;
        for v in views {
            bytes += out.write(v).unwrap().bytes;
        }
        println!("{n} findings, {} batches, {bytes} bytes out, {:?}", batches.len(), t.elapsed());
        out.end(&ReportEnd { complete: true, deliver: true, ..Default::default() }).unwrap();
        println!("  cpu {} ms", (cpu() - c) / 1_000_000);
    }
}
