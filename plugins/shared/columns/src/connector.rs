//! The identity of the connector as columns.

use scanbridge_plugin_api::ConnectorIdentity;

/// The values of the identity, in the order in which they are shown: the names under `connector:` in the pipeline, then
/// the machine.
pub const CONNECTOR_COLUMNS: [&str; 5] = ["name", "location", "comment", "host", "address"];

/// A value of the identity as the text of a cell; empty if the pipeline does not set it. `None` for another name than those
/// of [`CONNECTOR_COLUMNS`].
#[must_use]
pub fn connector_cell(connector: &ConnectorIdentity, name: &str) -> Option<String> {
    match name {
        "name" => Some(connector.name.clone()),
        "location" => Some(connector.location.clone()),
        "comment" => Some(connector.comment.clone()),
        "host" => Some(connector.host.clone()),
        "address" => Some(connector.address.map(|address| address.to_string()).unwrap_or_default()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_has_a_cell_and_no_other_name_has() {
        let connector = ConnectorIdentity::default().with_name("emea").with_address("::1".parse().ok());
        let cell = |name: &str| connector_cell(&connector, name);
        assert!(CONNECTOR_COLUMNS.iter().all(|name| cell(name).is_some()));
        assert_eq!((cell("name").unwrap(), cell("address").unwrap()), ("emea".to_owned(), "::1".to_owned()));
        assert_eq!((cell("comment"), cell("port")), (Some(String::new()), None));
    }
}
