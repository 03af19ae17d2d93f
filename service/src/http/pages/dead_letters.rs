//! Findings that an output rejected.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use scanbridge_observe::printable_lines;
use serde::Deserialize;
use serde_json::json;

use super::assets::asset;
use super::forms::ChangeForm;
use super::frame::{ConfirmPage, Frame, Visitor, page, problem_page};
use super::values::pipeline;
use super::words::{grouped, plain, time_of};
use crate::dead_letter_request::DeadLetterRequest;
use crate::http::caller::Caller;
use crate::http::context::{Context, reply_within};
use crate::http::encoded;
use crate::job_request::JobRequest;
use crate::request::{Api, Reply};

/// The dead letters of an output or input, as `scanbridge dead-letters list` prints them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Letters {
    output: Option<String>,
    input: Option<String>,
    letters: u64,
    missed_reports: u64,
    corrupt: u64,
    reasons: Vec<Group>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Group {
    reason: String,
    letters: u64,
    first: String,
    last: String,
    attempts: u32,
}

impl Letters {
    fn title(&self) -> String {
        match (&self.output, &self.input) {
            (Some(output), _) => output.clone(),
            (None, Some(input)) => format!("{input} (invalid rows)"),
            (None, None) => String::new(),
        }
    }
}

#[derive(Template)]
#[template(path = "dead_letters.html")]
struct DeadLettersPage {
    frame: Frame,
    name: String,
    /// What the last replay or purge printed.
    result: String,
    lists: Vec<Letters>,
}

pub(super) async fn show(
    Visitor(caller): Visitor,
    State(context): State<Context>,
    Path(name): Path<String>,
) -> Response {
    show_with(&caller, &context, &name, String::new()).await
}

async fn show_with(caller: &Caller, context: &Context, name: &str, result: String) -> Response {
    let frame = Frame::of(caller, "");
    let back = format!("/pipelines/{}", encoded(name));
    if !frame.can_operate {
        let problem = Reply::problem(
            403,
            "permission denied",
            "dead letters need the role `operate` and a login with a browser; \
             programs use `scanbridge dead-letters`",
        );
        return problem_page(frame, &problem, &back);
    }
    let pipeline = match pipeline(&context.to, name).await {
        Ok(pipeline) => pipeline,
        Err(problem) => return problem_page(frame, &problem, "/"),
    };
    let host = &context.host;
    let command = host.of_pipeline(["dead-letters", "list"], (&pipeline.file, pipeline.instance));
    match host.ask::<Vec<Letters>>([command, vec!["--format=json".into()]].concat()).await {
        Ok(lists) => page(&DeadLettersPage { frame, name: name.to_owned(), result, lists }),
        // Without any run there is no state yet.
        Err(problem) if problem.body["exit_code"] == 66 => {
            page(&DeadLettersPage { frame, name: name.to_owned(), result, lists: Vec::new() })
        }
        Err(problem) => problem_page(frame, &problem, &back),
    }
}

/// Replays or purges, and shows the result when it has ended.
pub(super) async fn act(
    State(context): State<Context>,
    Path(name): Path<String>,
    form: ChangeForm,
) -> Response {
    let request = json!({
        "command": form.get("command"),
        "output": form.get("output"),
        "reason": form.get("reason"),
        "format": "text",
    });
    let back = format!("/pipelines/{}/dead-letters", encoded(&name));
    let problem = |reply: &Reply| problem_page(Frame::of(&form.caller, ""), reply, &back);
    let Ok(request) = serde_json::from_value::<DeadLetterRequest>(request) else {
        return problem(&Reply::problem(400, "the form is invalid", ""));
    };
    let (word, request) = (request.word(), JobRequest::DeadLetters(request));
    let answer =
        reply_within(std::time::Duration::MAX, &context.to, Api::Begin(name.clone(), request, true)).await;
    if answer.status >= 400 {
        return problem(&answer);
    }
    let output = printable_lines(answer.body["output"].as_str().unwrap_or_default());
    let code = &answer.body["exit_code"];
    let result = if code == 0 {
        format!("The {word} has ended.")
    } else {
        format!("The {word} ended with exit code {code}.")
    };
    show_with(&form.caller, &context, &name, format!("{result}\n{output}").trim_end().to_owned()).await
}

/// Which dead letters are to be purged.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chosen {
    output: String,
    reason: String,
    letters: u64,
}

/// Asks once more before dead letters are purged.
pub(super) async fn confirm_purge(
    Visitor(caller): Visitor,
    Path(name): Path<String>,
    Query(chosen): Query<Chosen>,
) -> Response {
    let Chosen { output, reason, letters } = chosen;
    let back = format!("/pipelines/{}/dead-letters", encoded(&name));
    let fields = [("command", "purge".to_owned()), ("output", output.clone()), ("reason", reason.clone())];
    page(&ConfirmPage {
        frame: Frame::of(&caller, ""),
        question: format!("Purge {} dead letters of {output}?", grouped(&letters)),
        consequence: format!(
            "These findings are deleted and cannot be replayed. Reason of the rejection: {reason}"
        ),
        items: Vec::new(),
        action: back.clone(),
        fields: fields.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        word: "Purge",
        back,
    })
}
