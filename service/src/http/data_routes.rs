//! Runs, reports, dead letters, plugins and jobs: what the host knows of them, and what is asked for.

use std::ffi::OsString;

use axum::Json;
use axum::extract::{Path as UrlPath, Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::caller::{Operator, Reader};
use super::context::{Context, Sender, ask};
use super::ledger;
use crate::dead_letter_request::{DeadLetterRequest, LetterFilter};
use crate::job_request::JobRequest;
use crate::request::{Api, Reply};
use crate::send_request::SendRequest;
use crate::skip_request::SkipRequest;

/// Runs in one answer.
const RUNS: usize = 50;
const MAX_RUNS: usize = 200;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RunsQuery {
    /// Only runs with a lower number.
    before: Option<u64>,
    limit: Option<usize>,
}

/// The summaries of the last runs, newest first.
pub(super) async fn runs(
    _: Reader,
    State(context): State<Context>,
    UrlPath(name): UrlPath<String>,
    Query(RunsQuery { before, limit }): Query<RunsQuery>,
) -> Result<Response, Reply> {
    let limit = limit.unwrap_or(RUNS).clamp(1, MAX_RUNS);
    let summaries = ledger::summaries(&context, &name, before.unwrap_or(u64::MAX), limit).await?;
    Ok(Reply::ok(summaries.into()).into_response())
}

pub(super) async fn run(
    _: Reader,
    State(context): State<Context>,
    UrlPath((name, number)): UrlPath<(String, u64)>,
) -> Result<Response, Reply> {
    Ok(Reply::ok(ledger::summary(&context, &name, number).await?).into_response())
}

/// Conditions for reports, as options of `scanbridge reports list`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ReportsQuery {
    input: Option<String>,
    state: Option<String>,
    since: Option<String>,
    until: Option<String>,
    #[serde(rename = "match")]
    text: Option<String>,
    limit: Option<u64>,
}

/// Asks the source for its reports.
pub(super) async fn reports(
    _: Reader,
    State(context): State<Context>,
    UrlPath(name): UrlPath<String>,
    Query(query): Query<ReportsQuery>,
) -> Result<Response, Reply> {
    let limit = query.limit.map(|limit| limit.to_string());
    let options = [
        ("input", query.input),
        ("state", query.state),
        ("since", query.since),
        ("until", query.until),
        ("match", query.text),
        ("limit", limit),
    ];
    let given = options.into_iter().filter_map(|(name, value)| Some(format!("--{name}={}", value?)));
    let list = ledger::reports(&context, &name, given.collect()).await?;
    Ok(Reply::ok(list).into_response())
}

/// Stores a choice; a run of its own sends the reports.
pub(super) async fn send_reports(
    _: Operator,
    State(to): State<Sender>,
    UrlPath(name): UrlPath<String>,
    Json(request): Json<SendRequest>,
) -> Response {
    ask(&to, Api::Send(name, request)).await
}

pub(super) async fn skip_reports(
    _: Operator,
    State(to): State<Sender>,
    UrlPath(name): UrlPath<String>,
    Json(request): Json<SkipRequest>,
) -> Response {
    ask(&to, Api::Begin(name, JobRequest::Skip(request), false)).await
}

/// The numbers of dead letters by reason; their content is for operators only.
pub(super) async fn dead_letters(
    _: Reader,
    State(context): State<Context>,
    UrlPath(name): UrlPath<String>,
) -> Result<Response, Reply> {
    Ok(Reply::ok(ledger::dead_letters(&context, &name).await?).into_response())
}

/// The dead letters of an output.
pub(super) async fn letters(
    _: Operator,
    State(context): State<Context>,
    UrlPath((name, output)): UrlPath<(String, String)>,
    Query(filter): Query<LetterFilter>,
) -> Result<Response, Reply> {
    let mut command = ledger::command(&context, &name, ["dead-letters", "show"]).await?;
    command.extend(["--format=json".to_owned(), format!("--output={output}")].map(OsString::from));
    command.extend(filter.options());
    let letters =
        context.host.lines(command).await.map_err(|problem| match problem.body["exit_code"].as_u64() {
            Some(64) => {
                Reply::problem(404, &format!("pipeline `{name}` has no output or input `{output}`"), "")
            }
            _ => problem,
        });
    Ok(Reply::ok(ledger::or_empty(letters)?.into()).into_response())
}

pub(super) async fn replay(
    guard: Operator,
    to: State<Sender>,
    name: UrlPath<String>,
    Json(fields): Json<Map<String, Value>>,
) -> Result<Response, Reply> {
    begin(guard, to, name, "replay", fields).await
}

pub(super) async fn purge(
    guard: Operator,
    to: State<Sender>,
    name: UrlPath<String>,
    Json(fields): Json<Map<String, Value>>,
) -> Result<Response, Reply> {
    begin(guard, to, name, "purge", fields).await
}

async fn begin(
    _: Operator,
    State(to): State<Sender>,
    UrlPath(name): UrlPath<String>,
    command: &str,
    mut fields: Map<String, Value>,
) -> Result<Response, Reply> {
    fields.insert("command".to_owned(), command.into());
    let request = serde_json::from_value::<DeadLetterRequest>(fields.into());
    let request =
        request.map_err(|error| Reply::problem(400, "the request is invalid", &error.to_string()))?;
    Ok(ask(&to, Api::Begin(name, JobRequest::DeadLetters(request), false)).await)
}

pub(super) async fn job(_: Reader, State(to): State<Sender>, UrlPath(id): UrlPath<String>) -> Response {
    ask(&to, Api::Job(id)).await
}

pub(super) async fn cancel(_: Operator, State(to): State<Sender>, UrlPath(id): UrlPath<String>) -> Response {
    ask(&to, Api::Cancel(id)).await
}

pub(super) async fn plugins(
    _: Reader,
    State(Context { host, .. }): State<Context>,
) -> Result<Response, Reply> {
    let list: Value = host.ask(["plugin", "list", "--format=json"].map(Into::into).to_vec()).await?;
    Ok(Reply::ok(list).into_response())
}

pub(super) async fn plugin(
    _: Reader,
    State(Context { host, .. }): State<Context>,
    UrlPath(name): UrlPath<String>,
) -> Result<Response, Reply> {
    let command = ["plugin", "describe", "--format=json", "--", &name].map(Into::into).to_vec();
    let description: Value =
        host.ask(command).await.map_err(|problem| match problem.body["exit_code"].as_u64() {
            Some(78) => {
                Reply::problem(404, &format!("no plugin `{name}`"), "`GET /api/v1/plugins` lists them")
            }
            _ => problem,
        })?;
    Ok(Reply::ok(description).into_response())
}
