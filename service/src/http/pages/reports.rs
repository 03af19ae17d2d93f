//! The stored reports of a source: those that can be sent, and those that were.

use std::collections::HashSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};

use super::assets::asset;
use super::forms::{ChangeForm, ReadForm};
use super::frame::{ConfirmPage, Frame, Visitor, page, problem_page};
use super::values::{JobOf, Pipeline, body, pipeline};
use super::words::{grouped, plain, time_at, time_of};
use crate::http::caller::Caller;
use crate::http::context::{Context, reply};
use crate::http::lists::{Filter, List, Report};
use crate::http::{encoded, ledger};
use crate::job_request::JobRequest;
use crate::request::{Api, Reply};
use crate::send_request::SendRequest;
use crate::skip_request::SkipRequest;

/// Reports on one page.
const ROWS: usize = 100;
/// Field of a form with the position of a report in the list. IDs can be long: 100 of them may not fit into a request.
const REPORT: &str = "report";
/// Titles that the question before a change lists.
const NAMED: usize = 10;

#[derive(Template)]
#[template(path = "reports.html")]
struct ReportsPage {
    frame: Frame,
    name: String,
    inputs: Vec<String>,
    filter: Filter,
    /// Whether this caller can ask for a new list.
    can_list: bool,
    list: Option<Arc<List>>,
    /// Whether the pipeline has run since the list was made.
    is_old: bool,
    /// The reports of this page, with their positions in the list.
    rows: Vec<(usize, Report)>,
    selected: usize,
    /// How many of all reports, and of the selected ones, are not sent.
    unsent: (usize, usize),
    pages: Vec<PageLink>,
    job: Option<JobOf>,
    queued: Vec<JobOf>,
}

struct PageLink {
    number: usize,
    query: String,
    is_current: bool,
}

impl ReportsPage {
    fn states() -> [(&'static str, &'static str); 6] {
        [
            ("", "unsent"),
            ("new", "new"),
            ("refused", "refused"),
            ("not-ready", "not ready"),
            ("sent", "sent"),
            ("all", "all"),
        ]
    }
}

/// Class of the style of a report's state.
fn state_class(state: &str) -> &'static str {
    match state {
        "refused" => "failed",
        "not-ready" => "partial",
        "sent" => "ok",
        _ => "",
    }
}

fn size(bytes: &Option<u64>) -> String {
    bytes.map_or_else(|| "–".to_owned(), scanbridge_observe::show_bytes)
}

fn job_class(job: &JobOf) -> &'static str {
    match (job.state.as_str(), job.exit_code) {
        ("ended", Some(0)) => "result",
        ("ended", _) => "alert",
        _ => "note",
    }
}

pub(super) async fn show(
    Visitor(caller): Visitor,
    State(context): State<Context>,
    Path(name): Path<String>,
    Query(filter): Query<Filter>,
) -> Response {
    let frame = Frame::of(&caller, "");
    match content(&caller, &context, &name, filter).await {
        Ok(shown) => page(&shown),
        Err(problem) => problem_page(frame, &problem, &format!("/pipelines/{}", encoded(&name))),
    }
}

async fn content(
    caller: &Caller,
    context: &Context,
    name: &str,
    mut filter: Filter,
) -> Result<ReportsPage, Reply> {
    let pipeline = pipeline(&context.to, name).await?;
    choose_input(&pipeline, &mut filter)?;
    let list = context.lists.get(name, &filter.input);
    let all = list.as_deref().map_or(&[][..], |list| &list.reports);
    let selected: Vec<(usize, &Report)> =
        all.iter().enumerate().filter(|(_, report)| filter.selects(report)).collect();
    let count = selected.len().div_ceil(ROWS).max(1);
    let current = filter.page.parse().unwrap_or(1).clamp(1, count);
    let rows = selected.iter().skip((current - 1) * ROWS).take(ROWS);
    let rows = rows.map(|(position, report)| (*position, (*report).clone())).collect();
    let link = |number| PageLink { number, query: query(&filter, number), is_current: number == current };
    let pages = if count > 1 { (1..=count).map(link).collect() } else { Vec::new() };
    let job = match filter.job.as_str() {
        "" => None,
        id => body::<JobOf>(reply(&context.to, Api::Job(id.to_owned())).await).ok(),
    };
    let ended = pipeline.last_run.as_ref().and_then(|run| run.ended);
    let ended = ended.max(job.as_ref().and_then(|job| job.ended));
    let is_old = list.as_ref().is_some_and(|list| ended.is_some_and(|ended| ended > list.at));
    Ok(ReportsPage {
        frame: Frame::of(caller, ""),
        name: name.to_owned(),
        inputs: pipeline.choosing,
        can_list: !caller.csrf.is_empty(),
        is_old,
        rows,
        selected: selected.len(),
        unsent: (
            all.iter().filter(|report| report.is_unsent()).count(),
            selected.iter().filter(|(_, report)| report.is_unsent()).count(),
        ),
        pages,
        job,
        queued: pipeline.choices,
        filter,
        list,
    })
}

/// The input of the request, else the first one that has stored reports.
fn choose_input(pipeline: &Pipeline, filter: &mut Filter) -> Result<(), Reply> {
    if pipeline.choosing.is_empty() {
        let title = format!("{} has no input with stored reports", pipeline.name);
        return Err(Reply::problem(404, &title, "reports can be chosen only where the source keeps them"));
    }
    if !pipeline.choosing.contains(&filter.input) {
        filter.input.clone_from(&pipeline.choosing[0]);
    }
    Ok(())
}

/// The filter as a query.
fn query(filter: &Filter, page: usize) -> String {
    let Filter { input, state, text, since, until, .. } = filter;
    let fields = [("input", input), ("state", state), ("text", text), ("since", since), ("until", until)];
    let given = fields.into_iter().filter(|(_, value)| !value.is_empty());
    let mut query: String = given.map(|(name, value)| format!("{name}={}&", encoded(value))).collect();
    query.push_str(&format!("page={page}"));
    query
}

/// The filter of a page with a form.
fn filter_of(form: &ChangeForm) -> Filter {
    let text = |name: &str| form.get(name).to_owned();
    Filter {
        input: text("input"),
        state: text("state"),
        text: text("text"),
        since: text("since"),
        until: text("until"),
        ..Filter::default()
    }
}

/// Asks the source for its reports.
pub(super) async fn list(
    State(context): State<Context>,
    Path(name): Path<String>,
    form: ReadForm,
) -> Response {
    let back = path_of(&name);
    let listed = async {
        let mut filter = Filter { input: form.get("input").to_owned(), ..Filter::default() };
        choose_input(&pipeline(&context.to, &name).await?, &mut filter)?;
        let options = vec![format!("--input={}", filter.input), "--state=all".to_owned()];
        let mut list = ledger::reports(&context, &name, options).await?;
        let reports = serde_json::from_value(list["reports"].take());
        let reports = reports
            .map_err(|error| Reply::problem(502, "the list has an unknown form", &error.to_string()))?;
        context.lists.keep(&name, &filter.input, reports);
        Ok::<_, Reply>(filter.input)
    };
    match listed.await {
        Ok(input) => Redirect::to(&format!("{back}?input={}", encoded(&input))).into_response(),
        Err(problem) => problem_page(Frame::of(form.caller(), ""), &problem, &back),
    }
}

/// The path of the page.
fn path_of(name: &str) -> String {
    format!("/pipelines/{}/reports", encoded(name))
}

/// The reports that a form names with their positions, oldest first as they are to be sent: those that are marked, or all
/// unsent ones of the filter.
fn chosen(context: &Context, name: &str, form: &ChangeForm) -> Result<Vec<(usize, Report)>, Reply> {
    let filter = filter_of(form);
    let list =
        context.lists.get(name, &filter.input).filter(|list| list.at.to_string() == form.get("listed"));
    let Some(list) = list else {
        return Err(Reply::problem(
            409,
            "the list of reports was made again meanwhile",
            "choose the reports again",
        ));
    };
    let marked: HashSet<usize> = form.all(REPORT).filter_map(|position| position.parse().ok()).collect();
    let is_chosen = |(position, report): &(usize, &Report)| {
        if form.get("all").is_empty() {
            marked.contains(position)
        } else {
            report.is_unsent() && filter.selects(report)
        }
    };
    let reports: Vec<(usize, Report)> = list
        .reports
        .iter()
        .enumerate()
        .rev()
        .filter(is_chosen)
        .map(|(position, report)| (position, report.clone()))
        .collect();
    if reports.is_empty() {
        Err(Reply::problem(400, "no report is marked", "mark at least one"))
    } else {
        Ok(reports)
    }
}

fn is_skip(form: &ChangeForm) -> bool {
    form.get("command") == "skip"
}

/// Asks once more before reports are sent or skipped. Changes nothing.
pub(super) async fn confirm(
    State(context): State<Context>,
    Path(name): Path<String>,
    form: ChangeForm,
) -> Response {
    let filter = filter_of(&form);
    let path = path_of(&name);
    let back = format!("{path}?{}", query(&filter, form.get("page").parse().unwrap_or(1)));
    let reports = match chosen(&context, &name, &form) {
        Ok(reports) => reports,
        Err(problem) => return problem_page(Frame::of(&form.caller, ""), &problem, &back),
    };
    let count = reports.len();
    let plural = if count == 1 { "" } else { "s" };
    let bytes: Option<u64> = reports.iter().map(|(_, report)| report.bytes).sum();
    let bytes =
        bytes.map(|bytes| format!(" ({})", scanbridge_observe::show_bytes(bytes))).unwrap_or_default();
    let sent_before = reports.iter().filter(|(_, report)| report.state == "sent").count();
    let is_again = !form.get("again").is_empty();
    let (verb, mut consequence) = if is_skip(&form) {
        let text = "They count as sent from now on, and no run reads them. `scanbridge reports skip --undo` reverts that.";
        ("Skip", text.to_owned())
    } else {
        ("Send", "A run of its own sends them, oldest first, between two other runs.".to_owned())
    };
    if sent_before > 0 && !is_skip(&form) {
        consequence += &match is_again {
            true => {
                format!(" {} of them were sent before and are resent.", grouped(&(sent_before as u64)))
            }
            false => {
                format!(" {} of them were sent before and will be refused.", grouped(&(sent_before as u64)))
            }
        };
    }
    let mut items: Vec<String> =
        reports.iter().take(NAMED).map(|(_, report)| plain(report.shown_title())).collect();
    if count > NAMED {
        items.push(format!("and {} more", grouped(&((count - NAMED) as u64))));
    }
    let names = ["command", "all", "again", "listed", "input", "state", "text", "since", "until"];
    let fields = names.map(|name| (name.to_owned(), form.get(name).to_owned()));
    let mut fields: Vec<(String, String)> =
        fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    if form.get("all").is_empty() {
        fields.extend(reports.iter().map(|(position, _)| (REPORT.to_owned(), position.to_string())));
    }
    page(&ConfirmPage {
        frame: Frame::of(&form.caller, ""),
        question: format!("{verb} {} report{plural}{bytes} of {name}?", grouped(&(count as u64))),
        consequence,
        items,
        action: path,
        fields,
        word: if is_skip(&form) { "Skip" } else { "Send" },
        back,
    })
}

/// Sends or skips reports.
pub(super) async fn act(
    State(context): State<Context>,
    Path(name): Path<String>,
    form: ChangeForm,
) -> Response {
    let filter = filter_of(&form);
    let path = path_of(&name);
    let begun = async {
        let chosen = chosen(&context, &name, &form)?;
        let ids: Vec<String> = chosen.into_iter().map(|(_, report)| report.id).collect();
        let request = if is_skip(&form) {
            let skip = SkipRequest { input: Some(filter.input.clone()), ids, ..SkipRequest::default() };
            Api::Begin(name.clone(), JobRequest::Skip(skip), false)
        } else {
            let again = !form.get("again").is_empty();
            Api::Send(name.clone(), SendRequest { input: Some(filter.input.clone()), ids, again })
        };
        body::<Value>(reply(&context.to, request).await)
    };
    redirect(begun.await, &form, &path, &filter)
}

/// Cancels reports that are chosen and not sent yet.
pub(super) async fn cancel(
    State(context): State<Context>,
    Path(name): Path<String>,
    form: ChangeForm,
) -> Response {
    let path = path_of(&name);
    let cancelled = body::<Value>(reply(&context.to, Api::Cancel(form.get("job").to_owned())).await);
    let cancelled = cancelled.map(|job| json!({ "job": job["id"] }));
    redirect(cancelled, &form, &path, &filter_of(&form))
}

/// Leads back to the list, with the job.
fn redirect(answer: Result<Value, Reply>, form: &ChangeForm, path: &str, filter: &Filter) -> Response {
    match answer {
        Ok(answer) => {
            let job = answer["job"].as_str().unwrap_or_default();
            Redirect::to(&format!("{path}?{}&job={}", query(filter, 1), encoded(job))).into_response()
        }
        Err(problem) => problem_page(Frame::of(&form.caller, ""), &problem, path),
    }
}
