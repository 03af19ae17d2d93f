//! What is measured, with the limits that hold today and the goals.

use super::destination::Destination;
use super::source::Source;
use crate::measuring::stage::StageError;

/// A shape of report that is read from a source and delivered to a destination.
#[derive(Debug, Clone, Copy)]
pub(in crate::measuring) struct Case {
    /// The name of the shape.
    pub(in crate::measuring) shape: &'static str,
    pub(in crate::measuring) source: Source,
    pub(in crate::measuring) destination: Destination,
    /// CPU time of the host, in CPU times of the bare loop.
    pub(in crate::measuring) cpu: Figure,
    /// Wall time of the host, in wall times of the bare loop.
    pub(in crate::measuring) wall: Figure,
    /// Peak resident memory, in MiB.
    pub(in crate::measuring) mib: Figure,
    /// Wall time of the Python program, in wall times of the host: at least this. `None`: it cannot read this report.
    pub(in crate::measuring) python: Option<Figure>,
}

/// A limit that holds today, and a stricter goal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::measuring) struct Figure {
    pub(in crate::measuring) limit: f64,
    pub(in crate::measuring) goal: Option<f64>,
}

impl Case {
    /// Its name: `SHAPE SOURCE DESTINATION`.
    pub(in crate::measuring) fn name(&self) -> String {
        format!("{} {} {}", self.shape, self.source.name(), self.destination.name())
    }

    const fn goals(mut self, cpu: f64, wall: f64, mib: f64) -> Self {
        self.cpu.goal = Some(cpu);
        self.wall.goal = Some(wall);
        self.mib.goal = Some(mib);
        self
    }

    const fn python(mut self, limit: f64, goal: f64) -> Self {
        self.python = Some(Figure { limit, goal: Some(goal) });
        self
    }
}

/// A case with the limits of CPU time, wall time and memory.
const fn case(
    shape: &'static str,
    source: Source,
    destination: Destination,
    cpu: f64,
    wall: f64,
    mib: f64,
) -> Case {
    const fn figure(limit: f64) -> Figure {
        Figure { limit, goal: None }
    }
    Case { shape, source, destination, cpu: figure(cpu), wall: figure(wall), mib: figure(mib), python: None }
}

/// The memory limit of this shape into a file, in MiB.
pub(in crate::measuring) fn max_mib(shape: &str, destination: Destination) -> Result<f64, StageError> {
    let is_wanted =
        |case: &&Case| case.shape == shape && case.source == Source::File && case.destination == destination;
    let found = CASES.iter().find(is_wanted).map(|case| case.mib.limit);
    found.ok_or_else(|| StageError::new(shape, format!("no case into {}", destination.name())))
}

/// Every shape into CEF; every destination for a scan with shared and with own texts; every source for the three
/// formats. The cases of a shape are next to each other, so that its report is generated once.
#[rustfmt::skip] // A table is easier to compare in columns.
pub(in crate::measuring) const CASES: &[Case] = {
    use Destination::{
        CefFile, CefNull, CefTcp, CefTcpArrival, CefTls, CefTlsArrival, Commands, Csv, DefenseCenter, Json,
    };
    use Source::{Api, File, Gzip};
    &[
        //                                                         CPU  wall   MiB
        case("scan",                          File, CefNull,        2.2,  1.6, 34.0).goals(1.0, 0.7, 24.0).python(9.0, 15.0),
        case("scan",                          File, CefFile,        3.2,  3.0, 42.0).goals(1.0, 0.7, 24.0),
        case("scan",                          File, Csv,            2.6,  3.2, 34.0),
        case("scan",                          File, Json,           3.6,  3.0, 34.0),
        case("scan",                          File, Commands,       2.4,  2.4, 34.0),
        case("scan",                          File, CefTcp,         4.0, 40.0, 44.0),
        case("scan",                          File, CefTcpArrival,  4.0, 20.0, 46.0),
        case("scan",                          File, CefTls,         5.0, 50.0, 46.0),
        case("scan",                          File, CefTlsArrival,  4.8, 20.0, 48.0),
        case("scan",                          File, DefenseCenter,  3.6,  2.8, 40.0),
        case("scan",                          Gzip, CefNull,        2.3,  2.0, 34.0),
        case("scan",                          Api,  CefNull,        4.2,  6.0, 40.0),
        case("scan-own-texts",                File, CefNull,        3.2,  1.8, 32.0).goals(1.6, 1.0, 32.0).python(12.0, 15.0),
        case("scan-own-texts",                File, CefFile,        4.4,  3.0, 34.0).goals(1.6, 1.0, 32.0),
        case("scan-own-texts",                File, Csv,            2.8,  2.6, 32.0),
        case("scan-own-texts",                File, Json,           4.2,  2.6, 32.0),
        case("scan-own-texts",                File, Commands,       3.4,  3.2, 32.0),
        case("scan-own-texts",                File, CefTcp,         5.0, 40.0, 38.0),
        case("scan-own-texts",                File, CefTcpArrival,  5.0, 20.0, 38.0),
        case("scan-own-texts",                File, CefTls,         5.8, 50.0, 40.0),
        case("scan-own-texts",                File, CefTlsArrival,  5.6, 20.0, 40.0),
        case("scan-own-texts",                File, DefenseCenter,  5.2,  3.6, 36.0),
        case("scan-long-texts",               File, CefNull,        3.6,  3.4, 32.0),
        case("scan-long-texts",               File, CefFile,        4.0,  3.4, 38.0),
        case("scan-small-assets",             File, CefNull,        2.6,  2.2, 34.0),
        case("scan-small-assets",             File, CefFile,        3.6,  3.0, 40.0),
        case("scan-one-asset-own-texts",      File, CefNull,        3.6,  2.4, 32.0),
        case("scan-one-asset-own-texts",      File, CefFile,        4.8,  5.0, 34.0),
        case("template-100-qids",             File, CefNull,        2.8,  2.2, 32.0),
        case("template-100-qids",             File, CefFile,        4.0,  2.6, 32.0),
        case("template-20000-qids",           File, CefNull,        5.2,  3.2, 48.0).goals(2.0, 1.4, 48.0),
        case("template-20000-qids",           File, CefFile,        6.8,  5.2, 54.0).goals(2.0, 1.4, 48.0),
        case("template-20000-qids",           Gzip, CefNull,        3.2,  2.6, 48.0),
        case("template-20000-qids",           Api,  CefNull,        7.0,  5.6, 56.0),
        case("detections",                    File, CefNull,        4.4,  3.8, 48.0).goals(1.0, 0.7, 32.0),
        case("detections",                    File, CefFile,        5.6,  5.2, 54.0).goals(1.0, 0.7, 32.0),
        case("detections",                    Gzip, CefNull,        2.9,  2.2, 48.0),
        case("detections",                    Api,  CefNull,        7.0,  9.0, 56.0),
        case("detections-one-asset",          File, CefNull,        2.2,  1.8, 36.0),
        case("detections-one-asset",          File, CefFile,        3.6,  3.0, 40.0),
        case("detections-one-asset-own-qids", File, CefNull,        2.9,  2.8, 32.0),
        case("detections-one-asset-own-qids", File, CefFile,        3.4,  2.8, 34.0),
        case("detections-small-assets",       File, CefNull,        2.6,  1.8, 40.0),
        case("detections-small-assets",       File, CefFile,        3.6,  4.0, 44.0),
    ]
};

#[cfg(test)]
mod tests {
    use super::super::shape::SHAPES;
    use super::*;

    #[test]
    fn every_shape_is_measured_into_cef() {
        for shape in SHAPES {
            for destination in [Destination::CefNull, Destination::CefFile] {
                let is_measured = |case: &&Case| case.shape == shape.name && case.destination == destination;
                assert!(CASES.iter().any(|case| is_measured(&case)), "{} {destination:?}", shape.name);
            }
        }
    }

    #[test]
    fn cases_have_a_shape_and_different_names() {
        let mut names: Vec<String> = CASES.iter().map(Case::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
        assert!(CASES.iter().all(|case| SHAPES.iter().any(|shape| shape.name == case.shape)));
    }

    #[test]
    fn goals_are_at_least_as_strict_as_limits() {
        for case in CASES {
            for figure in [case.cpu, case.wall, case.mib] {
                assert!(figure.goal.is_none_or(|goal| goal <= figure.limit), "{}: {figure:?}", case.name());
            }
            assert!(case.python.is_none_or(|figure| figure.goal >= Some(figure.limit)), "{}", case.name());
        }
    }
}
