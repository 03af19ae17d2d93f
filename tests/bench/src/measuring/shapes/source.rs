//! The inputs from which a report is read: plain files, compressed files, and the fake Qualys.

use std::path::PathBuf;

use scanbridge_doubles::certificates::{Authority, Request};
use scanbridge_doubles::fake_qualys::FakeQualys;

use super::shape::{ReportFiles, gzip_path};
use super::stored_report::StoredReport;
use crate::measuring::stage::{Stage, StageError, file_input};

/// A kind of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::measuring) enum Source {
    /// A plain file.
    File,
    /// A file compressed with gzip. The cost is compared with decompression and the bare loop.
    Gzip,
    /// A download from the fake Qualys. The cost is compared with the bare loop over the plain file.
    Api,
}

/// An input that is ready for runs of the host.
pub(in crate::measuring) struct OpenSource {
    /// The input as in a pipeline file.
    pub(in crate::measuring) input: String,
    /// The files that the bare loop reads.
    pub(in crate::measuring) files: Vec<PathBuf>,
    /// Serves until it is dropped.
    _qualys: Option<FakeQualys>,
}

impl Source {
    /// Its name in results.
    pub(in crate::measuring) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Gzip => "gzip",
            Self::Api => "api",
        }
    }

    /// Prepares runs that read this report. For [`Source::Gzip`], the report must be compressed already.
    pub(in crate::measuring) fn open(
        self,
        stage: &Stage,
        report: &ReportFiles,
    ) -> Result<OpenSource, StageError> {
        let plain: Vec<PathBuf> = report.all().into_iter().map(PathBuf::from).collect();
        let files: Vec<PathBuf> =
            if self == Self::Gzip { plain.iter().map(|path| gzip_path(path)).collect() } else { plain };
        if self != Self::Api {
            let input = file_input(&files[0], files.get(1).map(PathBuf::as_path));
            return Ok(OpenSource { input, files, _qualys: None });
        }
        let authority = Authority::new("Example Root CA");
        let ca_file = authority.write_pem(&stage.folder, "api-ca.pem");
        let tls = authority.server_config(&authority.issue(&Request::server(&["127.0.0.1"])), false);
        let stored = StoredReport::read(report)?;
        let options = stored.options();
        let qualys = FakeQualys::start(tls, stored);
        let input = format!(
            "{{ id: reports, plugin: QualysGuard, with: {{ user_id: example, password: example, url: '{}', \
             tls_ca_file: {ca_file:?}, {options} }} }}",
            qualys.url()
        );
        Ok(OpenSource { input, files, _qualys: Some(qualys) })
    }
}
