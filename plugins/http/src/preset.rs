//! The destinations: what each of them wants, as a table.

use scanbridge_finding_texts::TextFormat;
use scanbridge_json_records::RecordId;

/// A destination.
#[derive(Debug, PartialEq)]
pub(crate) struct Preset {
    /// The word of `preset`.
    pub name: &'static str,
    /// Formats of a record; the first is the default.
    pub formats: &'static [TextFormat],
    pub form: RecordForm,
    pub content_type: &'static str,
    /// The scheme of `token` in the header `Authorization`.
    pub token_scheme: &'static str,
    pub answers: Answers,
    /// Defaults of `batch_records` and `batch_bytes`.
    pub batch_records: usize,
    pub batch_bytes: u64,
    /// The largest `batch_bytes` that the destination takes.
    pub max_batch_bytes: u64,
    /// Default of `compression`.
    pub gzip: bool,
    /// Default of `timeout`, in seconds.
    pub timeout_secs: u64,
    /// Default of `record_id`.
    pub record_id: RecordId,
    /// What is missing after a 403.
    pub right: &'static str,
    /// What to check after a 404.
    pub missing: &'static str,
}

/// What is around the content of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordForm {
    /// An object with `record_id`.
    Webhook,
    /// An action and a document.
    Bulk,
    /// An event of the HTTP Event Collector.
    SplunkEvent,
    /// The content alone.
    Line,
    /// A row of a table of Log Analytics.
    Sentinel,
    /// A log of Google SecOps.
    SecOps,
    /// A finding in the file of a report, for DefectDojo.
    Import,
}

/// How a response is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// By its status; the body may name single records.
    Webhook,
    /// Status 200 with a result for each record.
    Bulk,
    /// A code in the body.
    Splunk,
    /// Status 204.
    NoContent,
    /// Status 200 with an empty object, or without a body.
    EmptyObject,
    /// The test that a file was imported into.
    Import,
}

const WEBHOOK: Preset = Preset {
    name: "webhook",
    formats: TextFormat::ALL,
    form: RecordForm::Webhook,
    content_type: "application/x-ndjson",
    token_scheme: "Bearer",
    answers: Answers::Webhook,
    batch_records: 1000,
    batch_bytes: 1 << 20,
    max_batch_bytes: 64 << 20,
    // Few receivers decompress requests.
    gzip: false,
    timeout_secs: 60,
    record_id: RecordId::Event,
    right: "the receiver must allow this login to post",
    missing: "check options `url` and `preset`",
};

const SPLUNK_HEC: Preset = Preset {
    name: "splunk-hec",
    form: RecordForm::SplunkEvent,
    content_type: "application/json",
    token_scheme: "Splunk",
    answers: Answers::Splunk,
    gzip: true,
    right: "check the token, and that it is enabled and may write to the index",
    ..WEBHOOK
};

const ELASTICSEARCH: Preset = Preset {
    name: "elasticsearch",
    formats: &[TextFormat::Ecs, TextFormat::Json, TextFormat::Ocsf],
    form: RecordForm::Bulk,
    token_scheme: "ApiKey",
    answers: Answers::Bulk,
    batch_records: 2000,
    batch_bytes: 4 << 20,
    max_batch_bytes: 64 << 20,
    gzip: true,
    right: "the login needs the privileges `create_doc` and `auto_configure` on the data stream or index",
    ..WEBHOOK
};

/// The word for DefectDojo.
pub(crate) const DEFECTDOJO: &str = "defectdojo";

/// All destinations.
pub(crate) const ALL: &[Preset] = &[
    SPLUNK_HEC,
    Preset {
        name: "splunk-hec-raw",
        formats: &[TextFormat::Cef, TextFormat::Json, TextFormat::Ocsf, TextFormat::Ecs],
        form: RecordForm::Line,
        content_type: "text/plain",
        ..SPLUNK_HEC
    },
    ELASTICSEARCH,
    Preset { name: "opensearch", token_scheme: "Bearer", ..ELASTICSEARCH },
    Preset {
        name: "sentinel",
        formats: &[TextFormat::Json, TextFormat::Cef],
        form: RecordForm::Sentinel,
        content_type: "application/json",
        answers: Answers::NoContent,
        batch_bytes: 900 << 10,
        max_batch_bytes: 1 << 20,
        gzip: true,
        right: "the application needs the role Monitoring Metrics Publisher on the data collection rule",
        missing: "check options `url`, `dcr` and `stream`; dist/destinations/sentinel-table.json and sentinel-dcr.json are \
                  templates of the table and the rule",
        ..WEBHOOK
    },
    Preset {
        name: "google-secops",
        formats: &[TextFormat::Cef, TextFormat::Json, TextFormat::Ocsf, TextFormat::Ecs],
        form: RecordForm::SecOps,
        content_type: "application/json",
        answers: Answers::EmptyObject,
        batch_bytes: 900 << 10,
        max_batch_bytes: 4 << 20,
        right: "the service account needs the IAM permission chronicle.logs.import",
        ..WEBHOOK
    },
    Preset {
        name: DEFECTDOJO,
        formats: &[TextFormat::Json],
        form: RecordForm::Import,
        content_type: "multipart/form-data",
        token_scheme: "Token",
        answers: Answers::Import,
        batch_bytes: 16 << 20,
        // An import takes minutes.
        timeout_secs: 30 * 60,
        record_id: RecordId::Finding,
        right: "the user needs the role Writer on the product; to create products, that on the product type",
        ..WEBHOOK
    },
    WEBHOOK,
];

/// The words of `preset`.
pub(crate) const WORDS: &[&str] = &[
    "splunk-hec",
    "splunk-hec-raw",
    "elasticsearch",
    "opensearch",
    "sentinel",
    "google-secops",
    DEFECTDOJO,
    "webhook",
];

impl Preset {
    /// The preset with this word.
    pub(crate) fn of(word: &str) -> Option<&'static Self> {
        ALL.iter().find(|preset| preset.name == word)
    }

    /// The bytes before, between and after the records of a body.
    pub(crate) fn frame(&self, is_array: bool) -> [&'static str; 3] {
        match self.form {
            RecordForm::Webhook if is_array => ["[", ",", "]"],
            RecordForm::Sentinel => ["[", ",", "]"],
            RecordForm::SecOps => ["", ",", "]}}"],
            _ => ["", "\n", "\n"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_one_preset() {
        assert_eq!(ALL.iter().map(|preset| preset.name).collect::<Vec<_>>(), WORDS);
        for preset in ALL {
            assert!(
                preset.batch_bytes <= preset.max_batch_bytes && !preset.formats.is_empty(),
                "{}",
                preset.name
            );
        }
    }
}
