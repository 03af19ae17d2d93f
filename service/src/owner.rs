//! For commands of the host on a pipeline: finds the service that runs it, and lets it replay or purge dead letters.

use std::fs;
use std::io::{Write, stderr};
use std::path::Path;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::cli::Common;
use crate::client::{ClientError, request_within};
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
    let mut name = Value::from("");
    if let Some(file) = file {
        let pipelines = get("/api/v1/pipelines")?.body;
        let is_same = |pipeline: &&Value| {
            pipeline["file"].as_str().is_some_and(|known| is_same_file(Path::new(known), file))
        };
        let Some(pipeline) = pipelines.as_array().into_iter().flatten().find(is_same) else {
            return Ok(None);
        };
        name = pipeline["name"].clone();
    }
    let service = get("/api/v1/service")?.body;
    let socket = std::path::absolute(&socket).unwrap_or(socket);
    Ok(Some(json!({ "name": name, "state_dir": service["state_dir"], "socket": socket })))
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
