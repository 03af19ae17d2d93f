//! Checks `encrypt` of an output.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::checker::Checker;
use super::fields::Fields;
use super::host_options::HostSettings;
use super::pipeline::OutputInstance;
use super::reference::is_bare_reference;
use super::suggestion::nearest;
use super::tree::{Content, Entry, Node};
use crate::encryption::{
    EncryptedField, Encryption, FieldFormat, MAX_FIELDS, RECOMMENDED, SECRET_HINT, SecretSource, find_field,
    selectable_fields,
};
use scanbridge_field_encryption::MIN_SECRET_BYTES;
use scanbridge_plugin_api::Secret;

/// The key that contains the others.
const SECTION: &str = "encrypt";
/// The word in `fields` for the recommended ones.
const ALL_RECOMMENDED: &str = "recommended";
/// What `config show` has instead of the secret.
const REDACTED: &str = "[redacted]";

impl Checker<'_> {
    /// Redacts a secret that is written into the file, before any problem quotes its line.
    pub(super) fn hide_encrypt_secret(&mut self, output: &Node) {
        let entries = output.entry(SECTION).map(Node::entries).unwrap_or_default();
        for Entry { key, value } in entries.iter().filter(|entry| entry.key.text == "secret") {
            if !value.text().is_some_and(is_bare_reference) {
                self.collector.hide_value(&key.span, value);
            }
        }
    }

    /// The settings of `encrypt`, from the keys that are read already. The list of fields becomes the resolved one, and the secret
    /// is removed from the keys.
    pub(super) fn encryption(&mut self, fields: &Fields<'_>, host: &mut HostSettings) -> Option<Encryption> {
        let node = fields.get(SECTION)?;
        let secret = self.secret(node, host);
        let chosen = self.encrypted_fields(node, host);
        let identity = self.identity(node, host);
        let (fields, identity, secret) = (chosen?, identity?, secret?);
        let names: Vec<String> = fields.iter().map(EncryptedField::full_name).collect();
        host.replace("encrypt.fields", json!(names));
        Some(Encryption {
            fields,
            identity,
            version: host.number("encrypt.version"),
            secret,
            refuses_short_values: host.text("encrypt.short_values") == Some("refuse"),
            tweak: host.text("encrypt.tweak").unwrap_or_default().to_owned(),
        })
    }

    fn identity(&mut self, node: &Node, host: &HostSettings) -> Option<String> {
        let Some(at) = node.entry("identity") else {
            self.missing(node, "identity", "set a name for the key, for example `identity: soc-emea`");
            return None;
        };
        self.name(at, "identity", host.text("encrypt.identity")?.to_owned())
    }

    fn missing(&mut self, node: &Node, key: &str, help: &str) {
        self.collector.error("missing-key", &node.span, format!("`encrypt` has no `{key}`")).help(help);
    }

    fn secret(&mut self, node: &Node, host: &mut HostSettings) -> Option<SecretSource> {
        let value = host.replace("encrypt.secret", json!(REDACTED));
        let command = host.texts("encrypt.secret_command");
        match (node.entry("secret"), node.entry("secret_command")) {
            (Some(_), Some(command)) => {
                self.collector
                    .error(
                        "contradiction",
                        &command.span,
                        "`secret` and `secret_command` are both set".to_owned(),
                    )
                    .help("remove one of them");
                None
            }
            (None, None) => {
                self.missing(node, "secret", SECRET_HINT);
                None
            }
            (None, Some(at)) if command.as_ref().is_some_and(Vec::is_empty) => {
                self.collector.error("no-value", &at.span, "`encrypt.secret_command` is empty".to_owned());
                None
            }
            (None, Some(_)) => command.map(SecretSource::Command),
            (Some(at), None) => {
                if !at.text().is_some_and(is_bare_reference) {
                    self.collector
                        .error(
                            "bad-value",
                            &at.span,
                            "`encrypt.secret` must be a reference, not the secret itself".to_owned(),
                        )
                        .help("use ${env:NAME}, ${file:PATH} or ${credential:NAME} without a default, or `secret_command`");
                    return None;
                }
                let Value::String(text) = value? else { return None };
                if text.len() < MIN_SECRET_BYTES {
                    self.collector
                        .error(
                            "bad-value",
                            &at.span,
                            format!("`encrypt.secret` has fewer than {MIN_SECRET_BYTES} bytes"),
                        )
                        .help(SECRET_HINT);
                    return None;
                }
                Some(SecretSource::Value(Secret::new(text)))
            }
        }
    }

    /// The fields with their formats, each once.
    fn encrypted_fields(&mut self, node: &Node, host: &HostSettings) -> Option<Vec<EncryptedField>> {
        let Some(at) = node.entry("fields") else {
            self.missing(
                node,
                "fields",
                "add `fields: recommended`, or a list of fields, for example [asset.address, asset.dns]",
            );
            return None;
        };
        let written = host.texts("encrypt.fields")?;
        let mut fields: Vec<EncryptedField> = Vec::new();
        let mut is_valid = true;
        for name in &written {
            let names = if name == ALL_RECOMMENDED { &RECOMMENDED[..] } else { &[name.as_str()] };
            for name in names {
                match find_field(name) {
                    Ok(field) if fields.contains(&field) => {}
                    Ok(field) => fields.push(field),
                    Err(reason) => {
                        is_valid = false;
                        self.not_a_field(item_of(at, name), name, reason);
                    }
                }
            }
        }
        if written.is_empty() {
            self.collector
                .error("no-value", &at.span, "`encrypt.fields` is empty".to_owned())
                .help("add at least one field, or remove `encrypt`");
            return None;
        }
        is_valid &= self.formats(node, host, &mut fields);
        if fields.len() > MAX_FIELDS {
            self.collector
                .warning(
                    "many-fields",
                    &at.span,
                    format!(
                        "`encrypt.fields` has {} fields; more than {MAX_FIELDS} slow the output down",
                        fields.len()
                    ),
                )
                .help("encrypt only what identifies a machine or a person: `fields: recommended`");
        }
        is_valid.then_some(fields)
    }

    fn not_a_field(&mut self, at: &Node, name: &str, reason: Option<&str>) {
        let selectable = selectable_fields();
        match reason {
            Some(reason) => {
                self.collector.error(
                    "bad-value",
                    &at.span,
                    format!("`encrypt.fields`: `{name}` cannot be encrypted: {reason}"),
                );
            }
            None => {
                let near = nearest(name, selectable.iter().map(String::as_str).chain([ALL_RECOMMENDED]));
                self.collector
                    .error("bad-value", &at.span, format!("`encrypt.fields`: there is no field `{name}`"))
                    .label(near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default())
                    .help("docs/field-encryption.md lists the fields; own columns of inputs cannot be encrypted");
            }
        }
    }

    /// Sets the formats that are chosen. Returns whether all are valid.
    fn formats(&mut self, node: &Node, host: &HostSettings, fields: &mut [EncryptedField]) -> bool {
        let chosen: BTreeMap<String, String> = host.pairs("encrypt.formats");
        let mut is_valid = true;
        for (name, word) in chosen {
            let at = node.entry("formats").map_or(node, |formats| formats.entry(&name).unwrap_or(formats));
            let field = fields.iter_mut().find(|field| field.full_name() == name);
            let problem = match (field, FieldFormat::of_word(&word)) {
                (None, _) => "is not one of `encrypt.fields`",
                (Some(_), None) => "has an unknown format",
                (Some(field), Some(format)) => match field.with_format(format) {
                    Some(changed) => {
                        *field = changed;
                        continue;
                    }
                    None => "has parts with formats of their own",
                },
            };
            is_valid = false;
            let words: Vec<_> = FieldFormat::SELECTABLE.iter().map(|format| format.word()).collect();
            let near = nearest(&word, words.iter().copied()).filter(|_| problem.contains("unknown"));
            self.collector
                .error("bad-value", &at.span, format!("`encrypt.formats`: `{name}` {problem}"))
                .label(near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default())
                .help(format!("formats: {}", words.join(", ")));
        }
        is_valid
    }

    /// Checks that an output and its failover output encrypt alike: a receiver would get the same machine under two names, or
    /// in clear.
    pub(super) fn failover_encryption(&mut self, output: &OutputInstance, other: &OutputInstance, at: &Node) {
        let is_same = match (&output.encryption, &other.encryption) {
            (Some(one), Some(other)) => one.is_same_as(other),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            let (id, other) = (&output.instance.id, &other.instance.id);
            self.collector
                .error(
                    "contradiction",
                    &at.span,
                    format!("`failover`: `{other}` has not the same `encrypt` as `{id}`"),
                )
                .help("give both outputs the same `encrypt`, for example with a YAML anchor");
        }
    }
}

/// The item of a list with this text, for the location of a problem.
fn item_of<'n>(node: &'n Node, text: &str) -> &'n Node {
    match &node.content {
        Content::Sequence(items) => items.iter().find(|item| item.text() == Some(text)).unwrap_or(node),
        _ => node,
    }
}
