//! Errors that brokers answer with, from the mock brokers of librdkafka: what each becomes.

use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::RDKafkaApiKey as Api;
use rdkafka::types::RDKafkaRespErr::{
    self as Answer, RD_KAFKA_RESP_ERR__TRANSPORT as DISCONNECTED,
    RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED as CLUSTER_DENIED,
    RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS as COORDINATOR_LOADS,
    RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE as NO_COORDINATOR,
    RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID as MEMBER_FENCED,
    RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED as GROUP_DENIED,
    RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH as OLD_EPOCH,
    RD_KAFKA_RESP_ERR_INVALID_RECORD as INVALID_RECORD,
    RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP as INVALID_TIMESTAMP,
    RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT as LONG_TIMEOUT,
    RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE as NO_LEADER, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE as TOO_LARGE,
    RD_KAFKA_RESP_ERR_NOT_COORDINATOR as OTHER_COORDINATOR,
    RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS as FEW_REPLICAS, RD_KAFKA_RESP_ERR_POLICY_VIOLATION as POLICY,
    RD_KAFKA_RESP_ERR_PRODUCER_FENCED as FENCED, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT as LATE,
    RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED as TOPIC_DENIED,
    RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED as ID_DENIED,
    RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART as NO_TOPIC,
    RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE as NO_COMPRESSION,
};
use scanbridge_kafka::{KafkaInput, KafkaOutput};
use scanbridge_plugin_api::ErrorKind::{self, Auth, Config, Displaced, Unavailable};
use scanbridge_plugin_api::batch::{Batch, Columns};
use scanbridge_plugin_api::keeper::PairChanges;
use scanbridge_plugin_api::model::ReportEnd;
use scanbridge_plugin_api::{Begin, CommitPoint, Output as _, PluginError, Result};
use serde_json::json;

use crate::case::{Reading, batch, deliver, input_with, output, read_to_end, scan, services};

type Mock = MockCluster<'static, DefaultProducerContext>;

/// More answers than requests while the client tries again.
const ALWAYS: usize = 400;

fn brokers() -> Mock {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic("t", 1, 1).unwrap();
    mock.create_topic("t-state", 1, 1).unwrap();
    mock
}

fn opened(mock: &Mock) -> Result<KafkaOutput> {
    let options = json!({ "topic": "t", "linger": 0, "delivery_timeout": 1500, "connect_timeout": 3000 });
    output(&mock.bootstrap_servers(), &options)
}

/// The error of a delivery when requests of this kind are answered so.
fn delivery(api: Api, answers: &[Answer]) -> Result<usize> {
    let mock = brokers();
    let mut output = opened(&mock)?;
    mock.request_errors(api, answers);
    let committed = deliver(&mut output, &scan("scan/1"), &[batch(&[("192.0.2.1", &[5, 5])])])?;
    Ok(committed.late_rejected.len())
}

#[test]
fn errors_of_records() {
    for (answer, kind) in [
        (FEW_REPLICAS, Unavailable),
        (NO_LEADER, Unavailable),
        (LATE, Unavailable),
        (DISCONNECTED, Unavailable),
        (TOPIC_DENIED, Auth),
        (CLUSTER_DENIED, Auth),
        (POLICY, Config),
        (NO_COMPRESSION, Config),
    ] {
        let error = delivery(Api::Produce, &[answer; ALWAYS]).unwrap_err();
        assert_eq!(error.kind, kind, "{answer:?}: {error}");
        assert!(error.message.contains("topic t"), "{answer:?}: {error}");
    }
}

#[test]
fn errors_that_pass_are_not_reported() {
    for answer in [FEW_REPLICAS, NO_LEADER, LATE, DISCONNECTED] {
        assert_eq!(delivery(Api::Produce, &[answer; 2]), Ok(0), "{answer:?}");
    }
}

#[test]
fn records_that_the_topic_refuses_are_rejected_findings() {
    for answer in [TOO_LARGE, INVALID_RECORD, INVALID_TIMESTAMP] {
        assert_eq!(delivery(Api::Produce, &[answer]), Ok(2), "{answer:?}");
    }
}

/// A transaction from the slot to the commit, with these answers to requests of this kind.
fn transaction(api: Api, answers: &[Answer]) -> Result<()> {
    let mock = brokers();
    let options = json!({ "topic": "t", "linger": 0, "delivery": "exactly-once", "state_topic": "t-state",
        "takeover_wait": 0, "transaction_timeout": 5000, "session_timeout": 6000, "connect_timeout": 3000 });
    let is_of_opening = matches!(api, Api::InitProducerId | Api::JoinGroup | Api::FindCoordinator);
    if is_of_opening {
        mock.request_errors(api, answers);
    }
    let mut output = output(&mock.bootstrap_servers(), &options)?;
    if !is_of_opening {
        mock.request_errors(api, answers);
    }
    let (report, raw) = (scan("scan/1"), batch(&[("192.0.2.1", &[5])]));
    output.begin(&report, Begin::NEW)?;
    output.write(Batch::of(&raw, &Columns::of_report(&report)).unwrap())?;
    output.end(&ReportEnd::default().with_complete(true).with_deliver(true))?;
    let changes: PairChanges = [("position/in".to_owned(), Some(b"1".to_vec()))].into();
    output.commit_with(CommitPoint::BetweenReports, &changes).map(drop)
}

#[test]
fn errors_of_transactions() {
    for (api, answer, kind) in [
        (Api::InitProducerId, ID_DENIED, Auth),
        (Api::InitProducerId, CLUSTER_DENIED, Auth),
        (Api::InitProducerId, LONG_TIMEOUT, Config),
        (Api::JoinGroup, GROUP_DENIED, Auth),
        (Api::JoinGroup, MEMBER_FENCED, Displaced),
        (Api::AddPartitionsToTxn, TOPIC_DENIED, Auth),
        (Api::AddPartitionsToTxn, ID_DENIED, Auth),
        (Api::AddPartitionsToTxn, OLD_EPOCH, Displaced),
        (Api::AddPartitionsToTxn, FENCED, Displaced),
        (Api::Produce, TOPIC_DENIED, Auth),
        (Api::Produce, FEW_REPLICAS, Unavailable),
        (Api::EndTxn, FENCED, Displaced),
        (Api::EndTxn, OLD_EPOCH, Displaced),
        (Api::EndTxn, ID_DENIED, Auth),
        (Api::EndTxn, NO_COORDINATOR, Unavailable),
    ] {
        let error = transaction(api, &[answer; ALWAYS]).unwrap_err();
        assert_eq!(error.kind, kind, "{api:?} {answer:?}: {error}");
    }
}

#[test]
fn errors_of_transactions_that_pass_are_not_reported() {
    for (api, answer) in [
        (Api::InitProducerId, COORDINATOR_LOADS),
        (Api::FindCoordinator, NO_COORDINATOR),
        (Api::JoinGroup, OTHER_COORDINATOR),
        (Api::AddPartitionsToTxn, COORDINATOR_LOADS),
        (Api::Produce, NO_LEADER),
        (Api::EndTxn, COORDINATOR_LOADS),
        (Api::EndTxn, DISCONNECTED),
    ] {
        assert_eq!(transaction(api, &[answer; 2]), Ok(()), "{api:?} {answer:?}");
    }
}

/// Reads a record, with these answers to requests of this kind. An error may come this long after the record.
fn reading(api: Api, answers: &[Answer], patience: Duration) -> Result<Reading> {
    let mock = brokers();
    deliver(&mut opened(&mock)?, &scan("scan/1"), &[batch(&[("192.0.2.1", &[5])])])?;
    mock.request_errors(api, answers);
    let options = json!({ "topics": ["t"], "window": 100, "session_timeout": 6000, "connect_timeout": 3000 });
    let (mut input, columns) = input_with(&mock.bootstrap_servers(), &options, &services(), None)?;
    let first = read_to_end(&mut input, &columns)?;
    // What `stored` has found out ends one of the next calls.
    let began = Instant::now();
    loop {
        if let Some(error) = next_error(&mut input, &columns) {
            return Err(error);
        }
        if began.elapsed() >= patience {
            return Ok(first);
        }
    }
}

fn next_error(input: &mut KafkaInput, columns: &std::sync::Arc<Columns>) -> Option<PluginError> {
    read_to_end(input, columns).err()
}

#[test]
fn errors_of_groups_and_of_reading() {
    for (api, answer, kind) in [
        (Api::FindCoordinator, GROUP_DENIED, Auth),
        (Api::JoinGroup, GROUP_DENIED, Auth),
        (Api::JoinGroup, MEMBER_FENCED, Displaced),
        (Api::Fetch, TOPIC_DENIED, Auth),
        (Api::OffsetCommit, GROUP_DENIED, Auth),
        (Api::OffsetCommit, MEMBER_FENCED, Displaced),
    ] {
        let error = reading(api, &[answer; ALWAYS], Duration::from_secs(20)).err();
        let error = error.unwrap_or_else(|| panic!("{api:?} {answer:?} is not an error"));
        assert_eq!(error.kind, kind, "{api:?} {answer:?}: {error}");
    }
    for (api, answer) in [
        (Api::FindCoordinator, NO_COORDINATOR),
        (Api::JoinGroup, OTHER_COORDINATOR),
        (Api::Fetch, NO_LEADER),
        (Api::Fetch, DISCONNECTED),
        (Api::OffsetCommit, COORDINATOR_LOADS),
    ] {
        let reading = reading(api, &[answer; 2], Duration::ZERO)
            .unwrap_or_else(|error| panic!("{api:?} {answer:?}: {error}"));
        assert_eq!(reading.assets.len(), 1, "{api:?} {answer:?}");
    }
}

#[test]
fn errors_of_topics() {
    for (answer, kind) in [(TOPIC_DENIED, Auth), (NO_TOPIC, Config)] {
        let mock = brokers();
        mock.topic_error("t", answer).unwrap();
        let errors: [Option<PluginError>; 2] = [
            opened(&mock).err(),
            input_with(
                &mock.bootstrap_servers(),
                &json!({ "topics": ["t"], "connect_timeout": 3000 }),
                &services(),
                None,
            )
            .err(),
        ];
        let kinds = errors.map(|error| error.map(|error| error.kind));
        assert_eq!(kinds, [Some(kind), Some(kind)] as [Option<ErrorKind>; 2], "{answer:?}");
    }
}
