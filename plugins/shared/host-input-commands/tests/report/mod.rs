//! Reports of a few findings, and what becomes of them.

use super::*;

/// A finding with the cells that matter here.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) kind: &'static str,
    pub(crate) status: &'static str,
    pub(crate) qid: String,
    pub(crate) port: String,
    pub(crate) protocol: String,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) result: String,
    pub(crate) cves: Vec<String>,
    pub(crate) bugtraqs: Vec<String>,
    /// Those of the finding; the others are those of its definition.
    pub(crate) finding_cves: Vec<String>,
}

pub(crate) fn finding(qid: &str) -> Finding {
    Finding {
        kind: "vulnerability",
        status: "",
        qid: qid.to_owned(),
        port: "443".to_owned(),
        protocol: "tcp".to_owned(),
        title: format!("Title {qid}"),
        text: String::new(),
        result: String::new(),
        cves: Vec::new(),
        bugtraqs: Vec::new(),
        finding_cves: Vec::new(),
    }
}

/// An asset's address, whether it is continued, and its findings.
pub(crate) type AssetFindings = (&'static str, bool, Vec<Finding>);

pub(crate) fn settings() -> Settings {
    Settings {
        source: Some(Name::new("Qualys Guard").unwrap()),
        scanner: Some(Name::new("QualysGuard").unwrap()),
        domain: None,
        add_host: None,
        replace: Replace::Asset,
        set_os: false,
        min_severity: 1,
        kinds: vec![FindingKind::Vulnerability, FindingKind::Potential],
        description: vec![DescriptionPart::Diagnosis],
        description_length: 1000,
        limits: BlockLimits::default(),
    }
}

pub(crate) fn end(complete: bool, clean: &[&str]) -> ReportEnd {
    let clean_assets = clean.iter().map(|text| text.parse().unwrap()).collect();
    ReportEnd::default().with_complete(complete).with_deliver(true).with_clean_assets(clean_assets)
}

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) text: String,
    pub(crate) commands: u64,
    pub(crate) findings: u64,
    pub(crate) lengths: Vec<usize>,
    pub(crate) rejected: Vec<String>,
    pub(crate) left_out: usize,
    pub(crate) totals: Totals,
}

impl Outcome {
    pub(super) fn take(&mut self, block: Block<'_>) {
        assert!(block.text.ends_with('\n'));
        assert_eq!(block.text.lines().count() as u64, block.commands);
        assert_eq!(block.text.matches("AddScanResult,").count() as u64, block.findings);
        let ends = block.text.ends_with("ScanUpdate\n") || block.text.ends_with("ScanFlush\n");
        assert_eq!(ends, block.ends_asset);
        self.text.push_str(block.text);
        self.commands += block.commands;
        self.findings += block.findings;
        self.lengths.push(block.text.len());
    }
}

pub(crate) fn run(
    settings: Settings,
    hints: Hints,
    batches: &[Vec<AssetFindings>],
    end: &ReportEnd,
) -> Outcome {
    run_report(settings, &start().with_hints(hints), Begin::NEW, batches, end)
}

pub(crate) fn run_report(
    settings: Settings,
    start: &ReportStart,
    how: Begin,
    batches: &[Vec<AssetFindings>],
    end: &ReportEnd,
) -> Outcome {
    let mut writer = CommandWriter::new(settings);
    let mut outcome = Outcome::default();
    writer.begin(start, how);
    let columns = Columns::of(Schema::default());
    for assets in batches {
        let raw = raw(assets).finish();
        let batch = Batch::of(&raw, &columns).unwrap();
        let mut sink = |block: Block<'_>| -> Result<(), Infallible> {
            outcome.take(block);
            Ok(())
        };
        let written = writer.batch(batch, &mut sink).unwrap();
        outcome.rejected.extend(written.rejected.into_iter().map(|rejection| rejection.reason));
        outcome.left_out += written.left_out.len();
    }
    let mut sink = |block: Block<'_>| -> Result<(), Infallible> {
        outcome.take(block);
        Ok(())
    };
    let totals = writer.end(end, &mut sink).unwrap();
    outcome.totals = totals;
    outcome
}

pub(crate) fn start() -> ReportStart {
    let source = ReportSource::new("Qualys", "Qualys", "qid").with_name("QualysGuard");
    ReportStart::default().with_source(source)
}

pub(crate) fn raw(assets: &[AssetFindings]) -> BatchBuilder {
    let mut builder = BatchBuilder::default();
    for (address, continued, findings) in assets {
        let mut row = AssetRow::default();
        row.set(AssetField::Address, address);
        row.set(AssetField::Dns, "www.example.com");
        let asset = builder.push_asset(&row, *continued);
        for finding in findings {
            let mut row = DefinitionRow::default();
            row.set(DefinitionField::Id, &finding.qid);
            row.set(DefinitionField::Title, &finding.title);
            row.set(DefinitionField::Diagnosis, &finding.text);
            finding.cves.iter().for_each(|id| row.append_item(DefinitionField::Cves, id));
            finding.bugtraqs.iter().for_each(|id| row.append_item(DefinitionField::Bugtraqs, id));
            let definition = builder.push_definition(&row);
            let mut row = FindingRow::default();
            row.set_kind(FindingKind::from_word(finding.kind));
            row.set_status(FindingStatus::from_word(finding.status));
            row.set_port(finding.port.parse().unwrap_or_default());
            row.set_protocol(Protocol::of(&finding.protocol));
            row.set(FindingField::Result, &finding.result);
            finding.finding_cves.iter().for_each(|id| row.append_item(FindingField::Cves, id));
            builder.push_finding(asset, definition, &row);
        }
    }
    builder
}

/// The results that a Defense Center has after the import: IDs of the scanner's results, by address.
pub(crate) fn imported(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut deleted = BTreeSet::new();
    let mut added: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let fields = fields(line).unwrap();
        match fields[0].as_str() {
            "DeleteScanResult" => {
                deleted.insert(fields[1].clone());
            }
            "AddScanResult" => added.push((fields[1].clone(), fields[3].clone())),
            "ScanUpdate" => {
                known.retain(|address, _| !deleted.contains(address));
                deleted.clear();
                for (address, id) in added.drain(..) {
                    known.entry(address).or_default().push(id);
                }
            }
            "AddHost" => {}
            other => panic!("{other}"),
        }
    }
    assert!(added.is_empty() && deleted.is_empty(), "something was left without its update");
    known
}
