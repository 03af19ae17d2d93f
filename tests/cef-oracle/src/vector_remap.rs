//! The first judge: `parse_cef` of the Vector Remap Language.

use vrl::compiler::state::RuntimeState;
use vrl::compiler::{Context, Program, TargetValue, TimeZone};
use vrl::value::{Secrets, Value};

use crate::Verdicts;
use crate::event::Event;

const HEADER: [&str; 7] = [
    "cefVersion",
    "deviceVendor",
    "deviceProduct",
    "deviceVersion",
    "deviceEventClassId",
    "name",
    "severity",
];

/// Reads each line.
pub fn parse(lines: &[&str]) -> Result<Verdicts, String> {
    let compiled = vrl::compiler::compile("parse_cef!(string!(.))", &vrl::stdlib::all())
        .map_err(|problems| format!("cannot compile the program: {problems:?}"))?;
    Ok(lines.iter().map(|line| run(&compiled.program, line)).collect())
}

fn run(program: &Program, line: &str) -> Result<Event, String> {
    let mut target = TargetValue {
        value: line.into(),
        metadata: Value::Object(Default::default()),
        secrets: Secrets::default(),
    };
    let (mut state, timezone) = (RuntimeState::default(), TimeZone::default());
    let value = program
        .resolve(&mut Context::new(&mut target, &mut state, &timezone))
        .map_err(|error| format!("refused: {error}"))?;
    let Value::Object(mut fields) = value else { return Err("no object".to_owned()) };
    let mut take = |name: &str| fields.remove(name).map(|value| value.to_string_lossy().into_owned());
    let header = HEADER.iter().map(|name| take(name).unwrap_or_default()).collect();
    let extension =
        fields.iter().map(|(key, value)| (key.to_string(), value.to_string_lossy().into_owned())).collect();
    Ok(Event { header, extension })
}

/// What this parser makes of an event by design: it drops spaces and bars before the next key (so the standard's own
/// example loses one), and then one pair of quotation marks around a value or header field.
pub fn as_it_reads(event: &Event) -> Event {
    let last = event.extension.len().saturating_sub(1);
    let value = |(index, (key, value)): (usize, &(String, String))| {
        let kept =
            if index == last { value.trim_end_matches(' ') } else { value.trim_end_matches([' ', '|']) };
        (key.clone(), unquoted(kept))
    };
    Event {
        header: event.header.iter().map(|field| unquoted(field)).collect(),
        extension: event.extension.iter().enumerate().map(value).collect(),
    }
}

fn unquoted(text: &str) -> String {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).to_owned()
}
