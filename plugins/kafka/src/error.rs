//! Errors of the client and of brokers, classified by how the host reacts.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use scanbridge_finding_texts::TextFormat;
use scanbridge_plugin_api::{ErrorKind, PluginError, printable};

use crate::format::Format;
use crate::topic_plan::TopicPlan;

/// What failed, for messages and hints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed<'a> {
    /// `cannot write to topic findings`.
    pub(crate) what: &'a str,
    pub(crate) resource: Resource<'a>,
    /// For commands: the value of `--bootstrap-server`.
    pub(crate) brokers: &'a str,
    /// For commands: the value of `--allow-principal`.
    pub(crate) principal: &'a str,
}

/// What an operation needs a permission for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource<'a> {
    Cluster,
    /// Reading it.
    Source(&'a str),
    /// Writing to it.
    Target(&'a str),
    Group(&'a str),
    /// Transactions whose IDs begin with the name of this topic.
    Transactions(&'a str),
    /// Creating it.
    New(&'a str),
}

/// The error of a client that cannot be created.
pub(crate) fn cannot_create_client(brokers: &str, error: &KafkaError) -> PluginError {
    let what = format!("cannot create a client for {brokers}");
    Failed { what: &what, resource: Resource::Cluster, brokers, principal: "" }.of(error)
}

impl Failed<'_> {
    /// The error for this code. `words` are those of the client or broker; empty for the usual text of the code.
    pub(crate) fn error(&self, code: Code, words: &str) -> PluginError {
        let words = match words.trim() {
            "" => usual_words(code),
            words => words.to_owned(),
        };
        let kind = kind(code, &words);
        let message = format!("{}: {}", self.what, printable(&words, 400));
        let error = PluginError::new(kind, message);
        match self.hint(code, kind, &words) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// The error for an error of the client.
    pub(crate) fn of(&self, error: &KafkaError) -> PluginError {
        match error {
            KafkaError::ClientConfig(_, description, name, _) => {
                // The value may be a secret.
                let message = format!("option `extra`: invalid property `{name}`: {description}");
                PluginError::config(message).with_option("extra")
            }
            KafkaError::ClientCreation(words) => self.error(Code::InvalidArgument, words),
            KafkaError::Transaction(error) => self.error(error.code(), &error.string()),
            error => match error.rdkafka_error_code() {
                Some(code) => self.error(code, ""),
                None => PluginError::new(ErrorKind::Protocol, format!("{}: {error}", self.what)),
            },
        }
    }

    fn hint(&self, code: Code, kind: ErrorKind, words: &str) -> Option<String> {
        let Self { brokers, principal, .. } = self;
        let acl = |permissions: &str| {
            format!(
                "allow it: kafka-acls --bootstrap-server {brokers} --add --allow-principal {principal} {permissions}"
            )
        };
        Some(match (code, self.resource) {
            (Code::TopicAuthorizationFailed, Resource::Target(topic)) => {
                acl(&format!("--operation Write --operation Describe --topic {topic}"))
            }
            (Code::TopicAuthorizationFailed, Resource::Source(topic)) => {
                acl(&format!("--operation Read --operation Describe --topic {topic}"))
            }
            (Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed, Resource::New(topic)) => {
                acl(&format!("--operation Create --operation Describe --topic {topic}"))
            }
            (Code::GroupAuthorizationFailed, Resource::Group(group)) => {
                acl(&format!("--operation Read --group {group}"))
            }
            (Code::TransactionalIdAuthorizationFailed, Resource::Transactions(topic)) => acl(&format!(
                "--operation Write --operation Describe --transactional-id {topic}. --resource-pattern-type prefixed"
            )),
            (Code::ClusterAuthorizationFailed, _) => acl("--operation IdempotentWrite --cluster"),
            (
                Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition,
                Resource::Target(topic) | Resource::Source(topic),
            ) => TopicPlan::records(topic, Format::Text(TextFormat::Json)).command(brokers),
            (Code::FencedInstanceId, _) => {
                "another worker of the group has the same name; set `member` to a name of its own".to_owned()
            }
            (Code::UnsupportedSASLMechanism, _) => "set `sasl` to a method that the brokers offer".to_owned(),
            (Code::UnsupportedCompressionType, _) => "set `compression: lz4` for brokers before 2.1".to_owned(),
            _ if words.contains("certificate verify failed") => {
                "set `tls_ca_file` to the authority of the brokers' certificates; if the name differs, correct `brokers`"
                    .to_owned()
            }
            _ if needs_client_certificate(words) => {
                "set `tls_certificate` to a client certificate that the brokers trust".to_owned()
            }
            _ if words.contains("PLAINTEXT broker listener") || words.contains("wrong version number") => {
                "if this port does not use TLS, set another port or `security: plaintext`".to_owned()
            }
            _ if words.contains("SASL mechanism") => "set `sasl` to a method that the brokers offer".to_owned(),
            _ if kind == ErrorKind::Auth => "check `sasl`, `username` and `password`".to_owned(),
            _ => return None,
        })
    }
}

/// The usual text of a code, without its name: `Broker: Unknown topic or partition`.
fn usual_words(code: Code) -> String {
    let text = code.to_string();
    match text.split_once(" (") {
        Some((_, words)) => words.strip_suffix(')').unwrap_or(words).to_owned(),
        None => text,
    }
}

/// How the host reacts to an error with this code and these words.
pub(crate) fn kind(code: Code, words: &str) -> ErrorKind {
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::IllegalSASLState => {
            if words.contains("Unsupported SASL mechanism")
                || words.contains("SASL mechanism handshake failed")
            {
                return ErrorKind::Config;
            }
            ErrorKind::Auth
        }
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::DelegationTokenAuthorizationFailed => ErrorKind::Auth,
        Code::SSL => match is_interrupted(words) {
            true => ErrorKind::Unavailable,
            false => ErrorKind::Config,
        },
        Code::BrokerTransportFailure | Code::AllBrokersDown if needs_client_certificate(words) => {
            ErrorKind::Config
        }
        Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::InvalidTopic
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::PolicyViolation
        | Code::InvalidTransactionTimeout
        | Code::InvalidSessionTimeout
        | Code::InvalidGroupId
        | Code::InconsistentGroupProtocol
        | Code::InvalidConfig
        | Code::InvalidArgument
        | Code::InvalidRequiredAcks
        | Code::UnsupportedSASLMechanism
        | Code::UnsupportedFeature
        | Code::UnsupportedVersion
        | Code::UnsupportedForMessageFormat
        | Code::UnsupportedCompressionType
        | Code::SecurityDisabled => ErrorKind::Config,
        Code::Fenced
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::FencedInstanceId
        | Code::UnknownMemberId
        | Code::IllegalGeneration
        | Code::PollExceeded
        | Code::AssignmentLost => ErrorKind::Displaced,
        Code::Fatal | Code::OutOfOrderSequenceNumber | Code::UnknownProducerId | Code::BadMessage => {
            ErrorKind::Protocol
        }
        // Everything else passes: brokers that are down or move leaders, timeouts, quotas, missing replicas.
        _ => ErrorKind::Unavailable,
    }
}

/// Whether a record with this error can never be accepted, although others can.
pub(crate) fn is_of_record(code: Code) -> bool {
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::InvalidTimestamp
    )
}

fn is_interrupted(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    let breaks = ["reset", "timed out", "disconnected"];
    !words.contains("certificate") && breaks.iter().any(|text| words.contains(text))
}

fn needs_client_certificate(words: &str) -> bool {
    ["certificate required", "bad certificate", "unknown ca", "handshake failure"]
        .iter()
        .any(|text| words.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Failed<'_> = Failed {
        what: "cannot write to topic findings",
        resource: Resource::Target("findings"),
        brokers: "k1:9093",
        principal: "User:sb",
    };

    #[test]
    fn codes_have_kinds() {
        use ErrorKind::{Auth, Config, Displaced, Protocol, Unavailable};
        for (kind, codes) in [
            (
                Unavailable,
                &[
                    Code::BrokerTransportFailure,
                    Code::AllBrokersDown,
                    Code::OperationTimedOut,
                    Code::MessageTimedOut,
                    Code::Resolve,
                    Code::NotEnoughReplicas,
                    Code::NotEnoughReplicasAfterAppend,
                    Code::LeaderNotAvailable,
                    Code::NotLeaderForPartition,
                    Code::CoordinatorNotAvailable,
                    Code::CoordinatorLoadInProgress,
                    Code::NotCoordinator,
                    Code::RequestTimedOut,
                    Code::RebalanceInProgress,
                    Code::KafkaStorageError,
                    Code::ThrottlingQuotaExceeded,
                ][..],
            ),
            (
                Config,
                &[
                    Code::UnknownTopicOrPartition,
                    Code::PolicyViolation,
                    Code::InvalidTransactionTimeout,
                    Code::UnsupportedSASLMechanism,
                    Code::UnsupportedFeature,
                    Code::InvalidTopic,
                ],
            ),
            (
                Auth,
                &[
                    Code::Authentication,
                    Code::SaslAuthenticationFailed,
                    Code::TopicAuthorizationFailed,
                    Code::GroupAuthorizationFailed,
                    Code::ClusterAuthorizationFailed,
                    Code::TransactionalIdAuthorizationFailed,
                ],
            ),
            (
                Displaced,
                &[
                    Code::Fenced,
                    Code::ProducerFenced,
                    Code::InvalidProducerEpoch,
                    Code::FencedInstanceId,
                    Code::PollExceeded,
                ],
            ),
            (Protocol, &[Code::Fatal]),
        ] {
            for code in codes {
                assert_eq!(FAILED.error(*code, "").kind, kind, "{code:?}");
            }
        }
    }

    #[test]
    fn tls_errors_are_configuration_errors_unless_the_connection_broke() {
        for (code, words, kind) in [
            (
                Code::SSL,
                "ssl://k1:9093/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: \
                 broker certificate could not be verified",
                ErrorKind::Config,
            ),
            (
                Code::SSL,
                "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
                // A broker that is restarted looks the same.
                ErrorKind::Unavailable,
            ),
            (Code::SSL, "SSL transport error: Connection reset by peer", ErrorKind::Unavailable),
            (
                Code::BrokerTransportFailure,
                "Receive failed: error:0A00045C:SSL routines::tlsv13 alert certificate required: SSL alert number 116",
                ErrorKind::Config,
            ),
            (
                Code::BrokerTransportFailure,
                "Connect to ipv4#127.0.0.1:1 failed: Connection refused",
                ErrorKind::Unavailable,
            ),
            (
                Code::Authentication,
                "SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported \
                 mechanisms: SCRAM-SHA-512",
                ErrorKind::Config,
            ),
            (Code::Authentication, "SASL authentication error: invalid credentials", ErrorKind::Auth),
        ] {
            let error = FAILED.error(code, words);
            assert_eq!(error.kind, kind, "{words}");
            assert!(error.message.contains(&words[..20]), "the peer's words: {}", error.message);
            let is_known = kind != ErrorKind::Unavailable || words.contains("PLAINTEXT");
            assert_eq!(error.hint.is_some(), is_known, "{words}");
        }
    }

    #[test]
    fn hints_name_the_command() {
        let hint = |resource, code| Failed { resource, ..FAILED }.error(code, "").hint.unwrap();
        let topic = hint(Resource::Target("findings"), Code::TopicAuthorizationFailed);
        assert_eq!(
            topic,
            "allow it: kafka-acls --bootstrap-server k1:9093 --add --allow-principal User:sb --operation Write \
             --operation Describe --topic findings"
        );
        assert!(hint(Resource::Source("t"), Code::TopicAuthorizationFailed).contains("--operation Read "));
        assert!(
            hint(Resource::Group("g"), Code::GroupAuthorizationFailed)
                .ends_with("--operation Read --group g")
        );
        assert!(
            hint(Resource::Transactions("my-state"), Code::TransactionalIdAuthorizationFailed)
                .ends_with("--transactional-id my-state. --resource-pattern-type prefixed")
        );
        assert!(
            hint(Resource::New("t"), Code::TopicAuthorizationFailed)
                .ends_with("--operation Create --operation Describe --topic t")
        );
        let missing = FAILED.error(Code::UnknownTopicOrPartition, "");
        assert_eq!(missing.message, "cannot write to topic findings: Broker: Unknown topic or partition");
        assert!(
            missing
                .hint
                .unwrap()
                .starts_with("create it: kafka-topics --bootstrap-server k1:9093 --create --topic findings ")
        );
    }

    #[test]
    fn value_of_an_invalid_property_is_not_shown() {
        let mut config = rdkafka::ClientConfig::new();
        config.set("sasl.passwort", "t0w3L");
        let error = config.create::<rdkafka::consumer::BaseConsumer>().err().unwrap();
        let error = FAILED.of(&error);
        assert_eq!(error.option.as_deref(), Some("extra"));
        assert!(
            error.message.contains("sasl.passwort") && !error.message.contains("t0w3L"),
            "{}",
            error.message
        );
    }

    #[test]
    fn errors_of_one_record_are_known() {
        assert!(is_of_record(Code::MessageSizeTooLarge) && is_of_record(Code::InvalidRecord));
        assert!(!is_of_record(Code::MessageTimedOut));
    }
}
