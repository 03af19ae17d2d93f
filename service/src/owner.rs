//! For commands of the host on a pipeline: finds the service that runs it, and lets it replay or purge dead letters, send or
//! skip reports.

use std::fs;
use std::io::{Write, read_to_string, stderr, stdin};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use hyper::Method;
use scanbridge_observe::without_controls;
use serde_json::{Map, Value, json};

use crate::cli::{Common, ReportsVerb, SummaryFormat};
use crate::client::{ClientError, LIMIT as REQUEST_LIMIT, request, request_within};
use crate::commands::{checked, lines_of, log_line, path};
use crate::serve::find_socket;
use crate::terminal::{print, print_error};

/// A service that does not respond must not hold up other commands for long.
const LIMIT: Duration = Duration::from_secs(10);
const UNKNOWN: u8 = 64;
const ABSENT: u8 = 69;
const NO_RESPONSE: u8 = 75;

/// Prints the service that runs this pipeline file; without a file, the service. Returns 0, 64 if the service runs others, 69 without a service, and 75
/// if it does not respond.
pub(crate) fn print_owner(file: Option<&Path>, common: &Common) -> u8 {
    match find_owner(file, common) {
        Ok(Some(owner)) => {
            print(&format!("{owner}\n"));
            0
        }
        Ok(None) => UNKNOWN,
        Err(error) if error.is_absent => ABSENT,
        Err(error) => {
            print_error(&format!("{}; set --state-dir to ask no service", error.message));
            NO_RESPONSE
        }
    }
}

fn find_owner(file: Option<&Path>, common: &Common) -> Result<Option<Value>, ClientError> {
    let Ok(socket) = find_socket(common) else { return Ok(None) };
    let get = |path: &str| checked(request_within(LIMIT, &socket, &Method::GET, (path, String::new()))?);
    let (mut name, mut instances) = (Value::from(""), Map::new());
    if let Some(file) = file {
        let pipelines = get("/api/v1/pipelines")?.body;
        let is_same = |pipeline: &&Value| {
            pipeline["file"].as_str().is_some_and(|known| is_same_file(Path::new(known), file))
        };
        let found: Vec<&Value> = pipelines.as_array().into_iter().flatten().filter(is_same).collect();
        let Some(first) = found.first() else { return Ok(None) };
        name = first["name"].clone();
        let number = |pipeline: &&Value| pipeline["instance"].as_u64().map(|number| number.to_string());
        instances.extend(found.iter().filter_map(|found| Some((number(found)?, found["name"].clone()))));
    }
    let service = get("/api/v1/service")?.body;
    let (socket, folder) = (std::path::absolute(&socket).unwrap_or(socket), &service["state_dir"]);
    Ok(Some(json!({ "name": name, "instances": instances, "state_dir": folder, "socket": socket })))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Lets the service do this with the dead letters of a pipeline, and waits for the end. Returns the exit code.
pub(crate) fn dead_letters(name: &str, request: &str, common: &Common) -> u8 {
    let socket = match find_socket(common) {
        Ok(socket) => socket,
        Err(refusal) => return refusal.print(),
    };
    let route = path(name, "dead-letters");
    let response = request_within(Duration::MAX, &socket, &Method::POST, (&route, request.to_owned()));
    match response.and_then(checked) {
        Ok(response) => {
            let body = response.body;
            let _ = stderr().write_all(lines_of(&body["log"], log_line).as_bytes());
            print(body["output"].as_str().unwrap_or_default());
            body["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok()).unwrap_or(ABSENT)
        }
        Err(error) => {
            print_error(&error.message);
            error.exit_code
        }
    }
}

/// Pause between two looks at a job.
const POLL: Duration = Duration::from_millis(200);

/// Hands the request on standard input to the service, and waits for its end if asked to. Returns the exit code.
pub(crate) fn reports(
    (verb, name): (ReportsVerb, &str),
    wait: bool,
    summary: SummaryFormat,
    common: &Common,
) -> u8 {
    let socket = match find_socket(common) {
        Ok(socket) => socket,
        Err(refusal) => return refusal.print(),
    };
    let route = match verb {
        ReportsVerb::Send => path(name, "reports/send"),
        ReportsVerb::Skip => path(name, "reports/skip"),
    };
    let ask = || -> Result<u8, ClientError> {
        let body = read_to_string(stdin()).unwrap_or_default();
        let accepted = checked(request_within(REQUEST_LIMIT, &socket, &Method::POST, (&route, body))?)?.body;
        let id = accepted["job"].as_str().unwrap_or_default();
        if verb == ReportsVerb::Send {
            let _ = stderr().write_all(accepted_in_words(name, &accepted).as_bytes());
        }
        if !wait {
            return Ok(0);
        }
        let job_route = format!("/api/v1/jobs/{id}");
        let job = loop {
            let job = checked(request(&socket, &Method::GET, &job_route)?)?.body;
            if job["state"] == "ended" {
                break job;
            }
            sleep(POLL);
        };
        let _ = stderr().write_all(lines_of(&job["log"], log_line).as_bytes());
        match (verb, summary) {
            (ReportsVerb::Skip, _) => print(job["output"].as_str().unwrap_or_default()),
            (_, SummaryFormat::Json) => print(&format!("{:#}\n", job["summary"])),
            (_, SummaryFormat::Text) => print(&sent_in_words(&job)),
            (_, SummaryFormat::None) => {}
        }
        Ok(job["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok()).unwrap_or(ABSENT))
    };
    ask().unwrap_or_else(|error| {
        print_error(&error.message);
        error.exit_code
    })
}

fn accepted_in_words(name: &str, accepted: &Value) -> String {
    let number = |field: &str| accepted[field].as_u64().unwrap_or_default();
    let (job, queued, already) =
        (accepted["job"].as_str().unwrap_or_default(), number("reports"), number("already_queued"));
    let mut text = match (queued, already) {
        (0, _) => format!("all {already} are queued already, as job {job}"),
        (_, 0) => format!("reports queued: {queued}, as job {job}"),
        _ => format!("reports queued: {queued}, as job {job}; queued before: {already}"),
    };
    match accepted["pipeline_state"].as_str() {
        Some(state @ ("paused" | "held")) => {
            text +=
                &format!("; the pipeline is {state}: they are sent after `scanbridge service resume {name}`");
        }
        _ => text += "; the service sends them between two runs",
    }
    text + "\n"
}

fn sent_in_words(job: &Value) -> String {
    let code = job["exit_code"].as_u64().unwrap_or_default();
    let run = job["run"].as_u64().map(|run| format!("run {run} ")).unwrap_or_default();
    let reason = job["reason"].as_str().filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| format!(": {}", without_controls(reason))).unwrap_or_default();
    format!("{run}ended with exit code {code}{reason}\n")
}
