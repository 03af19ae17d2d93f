//! The cost of an unavailable optional output for the other outputs.

use std::fs;
use std::io::Write;
use std::net::TcpListener;

use super::bound::{Bound, Limit, median};
use super::run::{Program, interleaved};
use super::stage::{Report, Stage, StageError, shape};
use super::table;
use crate::generator::{Extent, Format};

impl Stage {
    /// Measures a run to CSV and CEF files with and without an additional receiver that refuses connections.
    ///
    /// # Errors
    /// Fails if the report cannot be written, or if the host fails for another reason than the unavailable receiver.
    pub fn dead_output(
        &self,
        megabytes: u64,
        rounds: usize,
        out: &mut impl Write,
    ) -> Result<Vec<Bound>, StageError> {
        let report =
            self.report("dead-output", shape(Format::Scan, Extent::Bytes(megabytes * 1_000_000), 1000))?;
        let address = unused_address()?;
        let unavailable = format!(
            "  - {{ id: unavailable, plugin: ArcSightCEF, required: no, with: {{ transport: tcp, address: '{address}' }} }}\n"
        );
        let programs = [
            self.to_files("alone", &report, "", 0)?,
            self.to_files("with an unreachable receiver", &report, &unavailable, 69)?,
        ];
        let runs = interleaved(&programs, rounds)?;
        table::print(out, "CSV and CEF files", &programs, &runs)?;
        report.remove();
        let wall = |program: usize| median(runs[program].iter().map(|run| run.wall_secs));
        Ok(vec![Bound {
            quantity: "dead optional output: wall time, with / without".to_owned(),
            measured: wall(1) / wall(0),
            limit: Limit::AtMost(1.05),
            unit: "x",
        }])
    }

    /// A run of the host with an additional output. The shell turns the expected exit code into success.
    fn to_files(
        &self,
        name: &'static str,
        report: &Report,
        additional_output: &str,
        exit_code: u8,
    ) -> Result<Program, StageError> {
        let pipeline = self.folder.join(format!("dead-output-{exit_code}.yaml"));
        let text = format!(
            "version: 1\n\
             inputs:\n  - {{ id: reports, plugin: QualysGuardFile, with: {{ path: {:?} }} }}\n\
             outputs:\n  - {{ id: sheet, plugin: CSV, with: {{ path: {:?} }} }}\n\
             \x20 - {{ id: siem, plugin: ArcSightCEF, with: {{ path: {:?} }} }}\n{additional_output}",
            report.path,
            self.folder.join("dead-output.csv"),
            self.folder.join("dead-output.cef"),
        );
        fs::write(&pipeline, text).map_err(|error| StageError::new(pipeline.display(), error))?;
        let command = format!(
            "'{}' run '{}' --quiet --quiet --no-progress --state-dir '{}'; test $? -eq {exit_code}",
            self.executables.join("scanbridge").display(),
            pipeline.display(),
            self.folder.join("state").display(),
        );
        Ok(Program::new(name, ["sh", "-c", &command]))
    }
}

/// An address that refuses connections.
fn unused_address() -> Result<std::net::SocketAddr, StageError> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map_err(|error| StageError::new("loopback", error))
}
