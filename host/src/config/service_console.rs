//! The mapping `console` of the service file.

use std::net::SocketAddr;
use std::path::Path;

use scanbridge_observe::{ClientRole, ConsoleKeys, Role, TlsKeys};
use scanbridge_plugin_api::OptionKind;

use super::checker::Checker;
use super::fields::Fields;
use super::tree::{Content, Node};

const KEYS: [&str; 5] = ["listen", "public_url", "tls", "client_roles", "anonymous_metrics"];
const TLS_KEYS: [&str; 4] = ["certificate", "key", "client_ca", "client_required"];
const ROLE_KEYS: [&str; 2] = ["san", "role"];
const ROLES: [&str; 2] = ["read", "operate"];

impl Checker<'_> {
    /// The listener of the service. Its paths are relative to `folder`.
    pub(super) fn console(&mut self, node: &Node, folder: &Path) -> ConsoleKeys {
        let mut console = ConsoleKeys::default();
        let fields = Fields::read(&mut self.collector, node, "`console`", &KEYS, |_| None);
        if let Some(node) = fields.get("listen")
            && let Some(listen) = self.text(node, "listen")
        {
            if listen.text.parse::<SocketAddr>().is_err() {
                let message = format!("`listen` must be an IP address and a port, found `{}`", listen.text);
                let hint = ConsoleKeys::hint_for_listen(&listen.text);
                self.collector.error("bad-value", &node.span, message).help(hint);
            }
            console.listen = listen.text;
        }
        if let Some(node) = fields.get("public_url") {
            let kind = OptionKind::Url {
                schemes: vec!["https".into(), "http".into()],
                default_scheme: None,
                path: false,
            };
            console.public_url =
                self.value_of(node, "public_url", &kind).and_then(|url| Some(url.as_str()?.to_owned()));
        }
        console.tls = fields.get("tls").map(|node| self.console_tls(node, folder));
        if let Some(node) = fields.get("client_roles") {
            console.client_roles = self.client_roles(node);
            if console.tls.as_ref().is_none_or(|tls| tls.client_ca.is_none()) {
                let message = "`client_roles` requires `tls.client_ca`".to_owned();
                self.collector
                    .error("missing-key", &node.span, message)
                    .help("set the file with the certificate authorities of clients");
            }
        }
        if let Some(node) = fields.get("anonymous_metrics") {
            console.anonymous_metrics = self.yes(node, "anonymous_metrics");
        }
        console
    }

    fn console_tls(&mut self, node: &Node, folder: &Path) -> TlsKeys {
        let mut tls = TlsKeys::default();
        let fields = Fields::read(&mut self.collector, node, "`tls`", &TLS_KEYS, |_| None);
        for (key, path) in
            [("certificate", &mut tls.certificate), ("key", &mut tls.key), ("client_ca", &mut tls.client_ca)]
        {
            let text = fields.get(key).and_then(|node| self.text(node, key));
            *path = text.map(|text| folder.join(text.text).display().to_string());
        }
        for (one, other) in [("certificate", "key"), ("key", "certificate")] {
            if let (Some(node), None) = (fields.get(one), fields.get(other)) {
                let message = format!("`{one}` requires `{other}`");
                self.collector.error("missing-key", &node.span, message).help("set both, as PEM files");
            }
        }
        if let (Some(node), Some(key)) = (fields.get("key"), &tls.key) {
            self.open_private_key(Path::new(key), &node.span);
        }
        if let Some(node) = fields.get("client_required") {
            tls.client_required = self.yes(node, "client_required");
            if tls.client_required && tls.client_ca.is_none() {
                let message = "`client_required: yes` requires `client_ca`".to_owned();
                self.collector
                    .error("missing-key", &node.span, message)
                    .help("set the file with the certificate authorities of clients");
            }
        }
        tls
    }

    fn client_roles(&mut self, node: &Node) -> Vec<ClientRole> {
        let Content::Sequence(items) = &node.content else {
            let message = format!("`client_roles` must be a list, found {}", node.form());
            self.collector
                .error("wrong-form", &node.span, message)
                .help("example: `client_roles: [{ san: ops.example.com, role: operate }]`");
            return Vec::new();
        };
        let mut roles = Vec::new();
        for item in items {
            let fields =
                Fields::read(&mut self.collector, item, "an item of `client_roles`", &ROLE_KEYS, |_| None);
            for key in ROLE_KEYS {
                if fields.get(key).is_none() && !fields.is_misspelled(key) {
                    let message = format!("`{key}` is missing in an item of `client_roles`");
                    self.collector.error("missing-key", &item.span, message);
                }
            }
            let san = fields.get("san").and_then(|node| self.text(node, "san"));
            let role = fields.get("role").and_then(|node| self.word(node, "role", &ROLES));
            if let (Some(san), Some(role)) = (san, role) {
                let role = if role == Role::Operate.word() { Role::Operate } else { Role::Read };
                roles.push(ClientRole { san: san.text, role });
            }
        }
        roles
    }

    pub(super) fn yes(&mut self, node: &Node, key: &str) -> bool {
        self.value_of(node, key, &OptionKind::Flag).and_then(|value| value.as_bool()).unwrap_or_default()
    }
}
