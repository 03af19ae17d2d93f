//! Stored reports that an operator has chosen, and the journal of those that were delivered.

use jiff::Timestamp;
use scanbridge_plugin_api::{ErrorKind, PluginError, ReportEntry, ReportMarks, Result, State};
use scanbridge_qualys_report::Chosen;
use scanbridge_qualys_xml::clean;

use crate::fingerprint::fingerprint;

/// Why the current report cannot be delivered, judged by its entry in the list; `None` if it can.
pub(crate) fn fault(
    chosen: &Chosen,
    entry: Option<&ReportEntry>,
    journal: &Journal,
) -> Result<Option<PluginError>> {
    let Some(id) = chosen.current() else { return Ok(None) };
    let id = clean(id);
    let no_input = |message: String| PluginError::new(ErrorKind::NoInput, message);
    let Some(entry) = entry else {
        let error = no_input(format!("{id} is not in the list of stored reports"));
        let hint = "it was deleted, this account has no access to it, or the options select other reports";
        return Ok(Some(error.with_hint(hint)));
    };
    if !entry.ready {
        let error = no_input(format!("{id} is not ready: its state is {}", entry.source_state));
        return Ok(Some(error.with_hint("send it when it has finished")));
    }
    let delivered = journal.delivered(&entry.id)?.filter(|_| !chosen.again());
    Ok(delivered.map(|when| {
        let when = if when.is_empty() { "before".to_owned() } else { format!("on {when}") };
        no_input(format!("{id} was sent {when}")).with_hint("choose it with `--again` to send it once more")
    }))
}

/// The delivered reports; each is a key of the instance.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    state: State,
    /// The keys begin with this.
    prefix: &'static str,
}

impl Journal {
    pub(crate) fn new(state: State, prefix: &'static str) -> Self {
        Self { state, prefix }
    }

    /// When the report was delivered or marked, in UTC; empty if an earlier release did not store the time. `None` if it was
    /// not.
    pub(crate) fn delivered(&self, id: &str) -> Result<Option<String>> {
        let value = self.state.get(&self.key_of(id))?;
        Ok(value.map(|value| {
            let value = String::from_utf8_lossy(&value).into_owned();
            value.split_once('\n').map(|(_, time)| time.to_owned()).unwrap_or_default()
        }))
    }

    /// Adds a report that was delivered now.
    pub(crate) fn add(&self, id: &str) -> Result<()> {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        self.state.put(&self.key_of(id), format!("{id}\n{now}").as_bytes())
    }

    /// Adds or removes reports. Returns the number of changes.
    pub(crate) fn mark(&self, marks: &ReportMarks) -> Result<u64> {
        let mut changed = 0;
        for id in marks.ids.iter().filter(|id| !id.is_empty()) {
            if self.delivered(id)?.is_some() == marks.delivered {
                continue;
            }
            if marks.delivered {
                self.add(id)?
            } else {
                self.state.delete(&self.key_of(id))?
            }
            changed += 1;
        }
        Ok(changed)
    }

    /// IDs may be longer than keys, so a key contains a hash.
    fn key_of(&self, id: &str) -> String {
        format!("{}{}", self.prefix, fingerprint(&id))
    }
}

/// A time of Qualys in the form of the list: UTC in whole seconds; empty if it is not a time.
pub(crate) fn utc(time: &str) -> String {
    let time = time.parse::<Timestamp>().ok();
    time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}
