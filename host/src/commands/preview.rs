//! `scanbridge preview` and `scanbridge run --dry-run`: reading without any effect.

use std::path::Path;
use std::sync::Arc;

use super::preparation::{Source, registry};
use super::run::{Follow, not_supervised, print_failures, state_folder, stoppable, summary_of_invalid};
use super::summary::{print_not_started, print_summary, summary_only};
use super::terminal::{print_error, print_output};
use crate::cli::{CommonOptions, Format, SummaryFormat, preview_to_json, show_preview};
use crate::config::{Pipeline, Problems};
use crate::exit_code::{USAGE, worst};
use crate::pipeline::{self, Head, ProgressBars, Stop, Summary, Trigger, Watchers};
use crate::read_only::{self, Outputs, ReadOnlyPipeline};
use crate::supervised::Supervisor;

/// What is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) count: u64,
    /// The `id` of the only output.
    pub(super) output: Option<&'a str>,
    pub(super) format: Format,
}

pub(super) fn preview(file: &Path, request: Request<'_>, common: &CommonOptions) -> u8 {
    let registry = registry(common);
    let Ok(mut pipeline) = Source::File(file).checked(&registry, NOTHING_READ) else {
        return Problems::EXIT_CODE;
    };
    if let Some(id) = request.output
        && !keep_output(&mut pipeline, id)
    {
        return USAGE;
    }
    let stop = stoppable("");
    let state = state_folder(common);
    let opened = read_only::open(&pipeline, &registry, &state, Outputs::Render, &stop);
    let ReadOnlyPipeline { opened, folder: _folder } = match opened {
        Ok(opened) => opened,
        Err(failures) => {
            print_failures(&failures, NOTHING_READ);
            return worst(failures.iter().map(|failure| failure.exit_code));
        }
    };
    let preview = pipeline::preview(opened, request.count, &stop);
    if !preview.failures.is_empty() {
        print_failures(&preview.failures, "");
    }
    let code = worst(preview.failures.iter().map(|failure| failure.exit_code));
    match request.format {
        Format::Text => print_output(&show_preview(&preview), code),
        Format::Json => print_output(&format!("{:#}\n", preview_to_json(&pipeline.name, &preview)), code),
    }
}

/// Leaves only this output in the pipeline. Prints an error and returns false if there is none.
fn keep_output(pipeline: &mut Pipeline, id: &str) -> bool {
    let ids: Vec<String> = pipeline.outputs.iter().map(|output| output.instance.id.clone()).collect();
    pipeline.outputs.retain(|output| output.instance.id == id);
    if pipeline.outputs.is_empty() {
        print_error(&format!("error: the pipeline has no output `{id}`; it has {}\n", ids.join(", ")));
    }
    !pipeline.outputs.is_empty()
}

const NOTHING_READ: &str = "; nothing was read";

pub(super) fn dry_run(
    source: &Source<'_>,
    format: SummaryFormat,
    follow: Follow<'_>,
    common: &CommonOptions,
) -> u8 {
    let stop = stoppable("");
    // One of several: stop requests come over the channel. It gets no events, because nothing is delivered.
    let channel = match follow.supervised.map(|fd| Supervisor::connect(fd, &stop)).transpose() {
        Ok(channel) => channel,
        Err(error) => return not_supervised(&error),
    };
    let code = dry_run_until(&stop, source, format, follow.bar, common);
    if let Some(channel) = channel {
        channel.finish();
    }
    code
}

fn dry_run_until(
    stop: &Arc<Stop>,
    source: &Source<'_>,
    format: SummaryFormat,
    has_bar: bool,
    common: &CommonOptions,
) -> u8 {
    let registry = registry(common);
    let pipeline = match source.checked(&registry, NOTHING_READ) {
        Ok(pipeline) => pipeline,
        Err(problems) => {
            let mut summary = summary_of_invalid(source.path(), &problems, Trigger::Command);
            summary.head.dry_run = true;
            return summary_only(&summary, format);
        }
    };
    let mut watchers = Watchers::default();
    if has_bar {
        watchers.add(Arc::new(ProgressBars::default()));
    }
    match read_only::dry_run(&pipeline, &registry, &state_folder(common), stop, &watchers) {
        Ok(summary) => print_summary(&summary, format, false),
        Err(failures) => {
            let head = Head { dry_run: true, ..Head::of(&pipeline, Trigger::Command) };
            print_not_started(&Summary::not_started(head, &pipeline, failures), format)
        }
    }
}
