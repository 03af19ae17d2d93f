//! The settings of topics, as the brokers tell them.

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use scanbridge_http_route::Runtime;
use scanbridge_plugin_api::tracing::debug;
use scanbridge_plugin_api::{PluginError, Result, Services};

use crate::connection::Connection;
use crate::error::Resource;
use crate::link::{Link, Linked, client_context};

/// Settings of a topic that matter for delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TopicSettings {
    /// Maximum size of a request to a partition, after compression.
    pub(crate) max_message_bytes: Option<usize>,
    pub(crate) cleanup_policy: Option<String>,
    pub(crate) min_in_sync: Option<u32>,
}

/// The context of a client for administration.
pub(crate) struct AdminContext(Link);

impl Linked for AdminContext {
    fn link(&self) -> &Link {
        &self.0
    }
}

client_context!(AdminContext);

/// A client for administration.
///
/// # Errors
/// It cannot be created. `what` is not possible then.
pub(crate) fn admin(
    connection: &Connection,
    services: &Services,
    what: &str,
) -> Result<AdminClient<AdminContext>> {
    let link = || Link::new(connection.clone(), services);
    let created = connection.config().create_with_context(AdminContext(link()));
    created.map_err(|error| link().failed(what, Resource::Cluster).of(&error))
}

/// Asks for the settings of these topics.
///
/// # Errors
/// The brokers do not tell them: a permission (`DescribeConfigs`) is missing, or they are not reachable. With
/// `sasl: oauthbearer` they cannot be asked.
pub(crate) fn describe(
    connection: &Connection,
    services: &Services,
    topics: &[&str],
) -> Result<Vec<TopicSettings>> {
    if connection.tokens.is_some() {
        return Err(PluginError::unavailable("topic settings are not queried with `sasl: oauthbearer`"));
    }
    let what = "cannot query the settings of the topics";
    let admin = admin(connection, services, what)?;
    let failed = admin.inner().context().0.failed(what, Resource::Cluster);
    let resources: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(connection.connect_timeout));
    let found = Runtime::new(services)?
        .run(admin.describe_configs(&resources, &options))?
        .map_err(|error| failed.of(&error))?;
    found
        .into_iter()
        .map(|resource| {
            let resource = resource.map_err(|code| failed.error(code, ""))?;
            let value = |name| resource.get(name).and_then(|entry| entry.value.clone());
            Ok(TopicSettings {
                max_message_bytes: value("max.message.bytes").and_then(|value| value.parse().ok()),
                cleanup_policy: value("cleanup.policy"),
                min_in_sync: value("min.insync.replicas").and_then(|value| value.parse().ok()),
            })
        })
        .collect()
}

/// The smallest `max.message.bytes` of these topics, if the brokers tell it.
///
/// # Errors
/// Only if the host stops the run.
pub(crate) fn smallest_limit(
    connection: &Connection,
    services: &Services,
    topics: &[&str],
) -> Result<Option<usize>> {
    match describe(connection, services, topics) {
        Ok(settings) => Ok(settings.iter().filter_map(|topic| topic.max_message_bytes).min()),
        Err(error) if error.kind == scanbridge_plugin_api::ErrorKind::Cancelled => Err(error),
        Err(error) => {
            debug!("{error}");
            Ok(None)
        }
    }
}
