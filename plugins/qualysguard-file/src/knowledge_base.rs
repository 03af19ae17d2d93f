//! The knowledge base that detections are joined with.

use scanbridge_plugin_api::{PluginError, Result, Services, tracing};
use scanbridge_qualys_report::{FileSpool, Watch, sentence};
use scanbridge_qualys_xml::{Definitions, Kind, index_knowledge_base};

use crate::options::Settings;
use crate::settle::open_settled;
use crate::source::Opener;

/// Reads the knowledge base, if the option is set. If the file cannot be read, the input fails, because detections
/// without titles are not what the operator asked for.
pub(crate) fn read(settings: &Settings, opener: &Opener, services: &Services) -> Result<Option<Definitions>> {
    let Some(path) = settings.knowledge_base.as_deref() else { return Ok(None) };
    let shown = path.display();
    let settled = open_settled(opener, path, settings.settle)?.settled;
    if settled.kind != Kind::KnowledgeBase {
        let (what, _) = settled.kind.describe();
        return Err(PluginError::bad_data(format!("knowledge_base: {shown} {what}")).with_hint(
            "set `knowledge_base` to a KNOWLEDGE_BASE_VULN_LIST_OUTPUT file downloaded with details=All",
        ));
    }
    let watch = Watch { services: services.clone(), done: 0, total: settled.source.length };
    let mut definitions = Definitions::new(Box::new(FileSpool::new(services)));
    match index_knowledge_base(settled.source.read(Some(watch)), settings.reading.limits, &mut definitions) {
        Ok(indexed) => {
            for note in indexed.notes {
                tracing::warn!(path = %shown, count = note.count, "knowledge base: {}", note.text);
            }
            tracing::debug!(path = %shown, definitions = definitions.len(), "knowledge base read");
            Ok(Some(definitions))
        }
        Err(_) if services.is_cancelled() => Err(PluginError::cancelled()),
        Err(damage) => {
            let sentence = sentence(&shown.to_string(), &settled.source, &damage);
            Err(PluginError::bad_data(format!("knowledge_base: {sentence}"))
                .with_hint("download the knowledge base again"))
        }
    }
}
