//! The APIs, one file for each, and the table that everything about them comes from.
//!
//! A handler turns a request into a response by means of the node's state; it does no network I/O.
//! An answer that must wait (a Fetch without records, a member of a group) is parked in the node.

mod acls;
mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_client_quotas;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_user_scram_credentials;
mod answering;
mod api_versions;
mod config_resources;
mod config_rows;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod counted;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_transactions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod end_txn;
mod fetch;
mod fetch_answer;
mod find_coordinator;
mod follower_wait;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod operations;
mod produce;
mod produce_transaction;
mod produce_wait;
mod sasl_authenticate;
mod sasl_handshake;
mod sync_group;
mod throttle;
mod txn_offset_commit;
mod unregister_broker;
mod update_features;
mod write_txn_markers;

use std::time::Duration;

use ottla_protocol::messages::{
    add_offsets_to_txn::AddOffsetsToTxnRequest, add_partitions_to_txn::AddPartitionsToTxnRequest,
    alter_client_quotas::AlterClientQuotasRequest, alter_configs::AlterConfigsRequest,
    alter_partition_reassignments::AlterPartitionReassignmentsRequest,
    alter_user_scram_credentials::AlterUserScramCredentialsRequest,
    api_versions::ApiVersionsRequest, consumer_group_describe::ConsumerGroupDescribeRequest,
    consumer_group_heartbeat::ConsumerGroupHeartbeatRequest, create_acls::CreateAclsRequest,
    create_partitions::CreatePartitionsRequest, create_topics::CreateTopicsRequest,
    delete_acls::DeleteAclsRequest, delete_groups::DeleteGroupsRequest,
    delete_records::DeleteRecordsRequest, delete_topics::DeleteTopicsRequest,
    describe_acls::DescribeAclsRequest, describe_client_quotas::DescribeClientQuotasRequest,
    describe_cluster::DescribeClusterRequest, describe_configs::DescribeConfigsRequest,
    describe_groups::DescribeGroupsRequest, describe_log_dirs::DescribeLogDirsRequest,
    describe_producers::DescribeProducersRequest, describe_quorum::DescribeQuorumRequest,
    describe_topic_partitions::DescribeTopicPartitionsRequest,
    describe_transactions::DescribeTransactionsRequest,
    describe_user_scram_credentials::DescribeUserScramCredentialsRequest,
    elect_leaders::ElectLeadersRequest, end_txn::EndTxnRequest, fetch::FetchRequest,
    find_coordinator::FindCoordinatorRequest, heartbeat::HeartbeatRequest,
    incremental_alter_configs::IncrementalAlterConfigsRequest,
    init_producer_id::InitProducerIdRequest, join_group::JoinGroupRequest,
    leave_group::LeaveGroupRequest, list_config_resources::ListConfigResourcesRequest,
    list_groups::ListGroupsRequest, list_offsets::ListOffsetsRequest,
    list_partition_reassignments::ListPartitionReassignmentsRequest,
    list_transactions::ListTransactionsRequest, metadata::MetadataRequest,
    offset_commit::OffsetCommitRequest, offset_delete::OffsetDeleteRequest,
    offset_fetch::OffsetFetchRequest, offset_for_leader_epoch::OffsetForLeaderEpochRequest,
    produce::ProduceRequest, sasl_authenticate::SaslAuthenticateRequest,
    sasl_handshake::SaslHandshakeRequest, sync_group::SyncGroupRequest,
    txn_offset_commit::TxnOffsetCommitRequest, unregister_broker::UnregisterBrokerRequest,
    update_features::UpdateFeaturesRequest, write_txn_markers::WriteTxnMarkersRequest,
};
use ottla_protocol::{ApiKey, ErrorCode, Reader, Request, Uuid, VersionRange};

use answering::{finish, finish_as, finish_fetch, finish_late};
pub(crate) use fetch::{ParkedFetch, complete as complete_fetch, wake as wake_fetches};
#[cfg(test)]
pub(crate) use fetch_answer::Records;
pub(crate) use fetch_answer::{FetchAnswer, NO_REPLICA, PartitionAnswer, TopicAnswer};
pub(crate) use follower_wait::{ParkedAdmin, settle_admins};
pub(crate) use produce_wait::{ParkedProduce, settle_produce, settle_produces};

use crate::catalog::Catalog;
use crate::config::BrokerConfig;
use crate::fault::Action;
use crate::groups::{GroupAnswer, GroupReply};
use crate::nodes::Nodes;
use crate::outgoing::Outgoing;
use crate::peers::{Call, Flow};
use crate::request_log::{SeenProduce, SeenRequest};
use crate::time::Now;

/// What a handler does with a request.
pub(crate) enum Reply<R> {
    /// This is the answer.
    Now(R),
    /// The answer comes later; the node holds what it takes.
    Wait,
    /// Records are the answer.
    Records(FetchAnswer),
    /// This is the answer, some time later, and then the connection is to be closed.
    Final { response: R, after: Duration },
    /// The client asked for no answer.
    Silent,
    /// The connection is to be closed, for this reason.
    Close(String),
}

/// An API that this broker serves.
pub(crate) trait Api: Request + Send + 'static {
    /// The lowest version that ApiVersions names.
    const ADVERTISED_MIN: i16 = Self::VERSIONS.min;

    /// Whether the handler itself puts the error of a fault into the partitions that it is for.
    const FAULTS_BY_PARTITION: bool = false;

    /// Whether the request touches a partition that `covers` takes.
    fn touches(&self, catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        let _ = (catalog, covers);
        false
    }

    /// The group or the transactional id that the request is about, when it must come to its
    /// coordinator.
    fn coordinated_id(&self) -> Option<&str> {
        None
    }

    /// What the request log says of the body.
    fn describe(&self, catalog: &Catalog) -> Option<SeenProduce> {
        let _ = catalog;
        None
    }

    /// The answer that refuses the whole request.
    fn refuse(&self, version: i16, code: ErrorCode) -> Self::Response;

    /// Tells the client to wait before its next request.
    fn set_throttle(response: &mut Self::Response, throttle_ms: i32);

    /// Serves the request.
    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<Self::Response>;
}

/// One row of the table.
struct Entry {
    key: ApiKey,
    versions: VersionRange,
    advertised_min: i16,
    serve: fn(&mut Nodes, Call, &mut Reader<'_>, usize, Now, &mut Outgoing) -> Flow,
}

const fn entry<R: Api>() -> Entry {
    Entry {
        key: R::API_KEY,
        versions: R::VERSIONS,
        advertised_min: R::ADVERTISED_MIN,
        serve: serve::<R>,
    }
}

/// Every API that is served. What ApiVersions answers is made from this table, so it cannot
/// promise what no handler decodes.
const TABLE: &[Entry] = &[
    entry::<ProduceRequest>(),
    entry::<FetchRequest>(),
    entry::<ListOffsetsRequest>(),
    entry::<MetadataRequest>(),
    entry::<OffsetCommitRequest>(),
    entry::<OffsetFetchRequest>(),
    entry::<FindCoordinatorRequest>(),
    entry::<JoinGroupRequest>(),
    entry::<HeartbeatRequest>(),
    entry::<LeaveGroupRequest>(),
    entry::<SyncGroupRequest>(),
    entry::<DescribeGroupsRequest>(),
    entry::<ListGroupsRequest>(),
    entry::<SaslHandshakeRequest>(),
    entry::<ApiVersionsRequest>(),
    entry::<CreateTopicsRequest>(),
    entry::<DeleteTopicsRequest>(),
    entry::<DeleteRecordsRequest>(),
    entry::<InitProducerIdRequest>(),
    entry::<AddPartitionsToTxnRequest>(),
    entry::<AddOffsetsToTxnRequest>(),
    entry::<EndTxnRequest>(),
    entry::<TxnOffsetCommitRequest>(),
    entry::<DescribeConfigsRequest>(),
    entry::<AlterConfigsRequest>(),
    entry::<SaslAuthenticateRequest>(),
    entry::<CreatePartitionsRequest>(),
    entry::<DeleteGroupsRequest>(),
    entry::<IncrementalAlterConfigsRequest>(),
    entry::<OffsetDeleteRequest>(),
    entry::<DescribeClusterRequest>(),
    entry::<ConsumerGroupHeartbeatRequest>(),
    entry::<ConsumerGroupDescribeRequest>(),
    entry::<OffsetForLeaderEpochRequest>(),
    entry::<DescribeTopicPartitionsRequest>(),
    entry::<ElectLeadersRequest>(),
    entry::<ListTransactionsRequest>(),
    entry::<DescribeTransactionsRequest>(),
    entry::<DescribeProducersRequest>(),
    entry::<DescribeLogDirsRequest>(),
    entry::<DescribeClientQuotasRequest>(),
    entry::<AlterClientQuotasRequest>(),
    entry::<DescribeUserScramCredentialsRequest>(),
    entry::<AlterUserScramCredentialsRequest>(),
    entry::<DescribeAclsRequest>(),
    entry::<CreateAclsRequest>(),
    entry::<DeleteAclsRequest>(),
    entry::<WriteTxnMarkersRequest>(),
    entry::<AlterPartitionReassignmentsRequest>(),
    entry::<ListPartitionReassignmentsRequest>(),
    entry::<ListConfigResourcesRequest>(),
    entry::<DescribeQuorumRequest>(),
    entry::<UpdateFeaturesRequest>(),
    entry::<UnregisterBrokerRequest>(),
];

/// The APIs with the versions that clients are told.
fn advertised(config: &BrokerConfig) -> impl Iterator<Item = (ApiKey, VersionRange)> {
    TABLE.iter().filter_map(|entry| {
        let max = config.max_version(entry.key, entry.versions.max)?;
        let min = entry.advertised_min;
        (min <= max).then(|| (entry.key, VersionRange::new(min, max)))
    })
}

/// Serves one request. The reader stands at its body.
pub(crate) fn dispatch(
    nodes: &mut Nodes,
    call: Call,
    reader: &mut Reader<'_>,
    now: Now,
    out: &mut Outgoing,
) -> Flow {
    let size_bytes = reader.position() + reader.remaining();
    let Some(entry) = TABLE.iter().find(|entry| entry.key == call.api) else {
        let (connection, api) = (call.connection, call.api);
        tracing::warn!(connection, %api, "unknown API, connection closed");
        return Flow::Close;
    };
    let newest = nodes.config.max_version(entry.key, entry.versions.max);
    let is_spoken = newest.is_some_and(|newest| call.version <= newest);
    if !is_spoken || !entry.versions.contains(call.version) {
        if call.api == ApiKey::API_VERSIONS {
            return api_versions::answer_unsupported(nodes, &call, now, out);
        }
        tracing::warn!(
            connection = call.connection, api = %call.api, version = call.version,
            "version that is not spoken, connection closed"
        );
        return Flow::Close;
    }
    (entry.serve)(nodes, call, reader, size_bytes, now, out)
}

fn serve<R: Api>(
    nodes: &mut Nodes,
    mut call: Call,
    reader: &mut Reader<'_>,
    size_bytes: usize,
    now: Now,
    out: &mut Outgoing,
) -> Flow {
    let request = match R::decode(reader, call.version) {
        Ok(request) => request,
        Err(error) => {
            tracing::warn!(
                connection = call.connection, api = %call.api, version = call.version, %error,
                "request cannot be read, connection closed"
            );
            return Flow::Close;
        }
    };
    let catalog = &nodes.catalog;
    let client_id = call.client_id.as_deref();
    call.fault = nodes
        .faults
        .meet(R::API_KEY, client_id, call.node, |covers| request.touches(catalog, covers));
    if nodes.seen.is_on() {
        let produce = request.describe(&nodes.catalog);
        note(nodes, &call, size_bytes, now, produce);
    }
    if let Some(after) = call.fault.as_ref().and_then(|fault| fault.serve_again) {
        let copy = request.clone();
        let serve = move |nodes: &mut Nodes, call: &Call, now| {
            serve_here(copy, nodes, call, now);
        };
        nodes.serve_later(&call, after, serve, now);
    }
    let action = call.fault.as_ref().map_or(Action::Serve, |fault| fault.action);
    let reply = match action {
        Action::DropRequest => {
            if let Some(peer) = nodes.peers.get_mut(&call.connection) {
                peer.is_deaf = true;
            }
            return Flow::Continue;
        }
        Action::Disconnect => return Flow::Close,
        Action::Error(code) if !R::FAULTS_BY_PARTITION => {
            Reply::Now(request.refuse(call.version, code))
        }
        Action::ErrorAfterApply(code) if !R::FAULTS_BY_PARTITION => {
            let refusal = request.refuse(call.version, code);
            match serve_here(request, nodes, &call, now) {
                Reply::Now(_) => Reply::Now(refusal),
                other => other,
            }
        }
        _ => serve_here(request, nodes, &call, now),
    };
    match reply {
        Reply::Now(response) => finish::<R>(nodes, &call, response, now, out),
        Reply::Records(answer) => finish_fetch(nodes, &call, &answer, now, out),
        Reply::Final { response, after } => {
            finish_as::<R>(nodes, &call, response, now, out, Some(after))
        }
        Reply::Wait => Flow::Wait,
        Reply::Silent => throttle::take(nodes, &call).map_or(Flow::Continue, Flow::Pause),
        Reply::Close(reason) => {
            let (connection, api) = (call.connection, call.api);
            tracing::warn!(connection, %api, reason, "connection closed");
            Flow::Close
        }
    }
}

/// Serves a request that has come to the right node.
fn serve_here<R: Api>(request: R, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<R::Response> {
    match request.coordinated_id() {
        Some(id) if !nodes.coordinates(call, id) => {
            Reply::Now(request.refuse(call.version, ErrorCode::NOT_COORDINATOR))
        }
        _ => request.handle(nodes, call, now),
    }
}

fn note(nodes: &mut Nodes, call: &Call, size_bytes: usize, now: Now, produce: Option<SeenProduce>) {
    nodes.seen.push(SeenRequest {
        node: call.node,
        connection: call.connection,
        api: call.api,
        version: call.version,
        correlation_id: call.correlation_id,
        client_id: call.client_id.clone(),
        principal: nodes.principal(call).clone(),
        size_bytes,
        at: now.monotonic,
        met_fault: call.fault.is_some(),
        produce,
    });
}

/// Answers everybody who waits at a replica whose leader has changed. Who waits for records asks
/// again, and is told then.
pub(crate) fn answer_all_waiters(
    nodes: &mut Nodes,
    id: i32,
    topic: Uuid,
    partition: i32,
    now: Now,
) {
    settle_produces(nodes, id, topic, partition, now);
    let waiters = nodes.replica(id, topic, partition).map(|replica| replica.fetch_waiters.clone());
    for connection in waiters.unwrap_or_default() {
        nodes.complete_fetch(connection, now);
    }
}

/// Sends what a member of a group has waited for.
pub(crate) fn answer_group_member(nodes: &mut Nodes, answer: GroupAnswer, now: Now) {
    let GroupAnswer { call, reply } = answer;
    match reply {
        GroupReply::Join(joined) => {
            finish_late::<JoinGroupRequest>(nodes, &call, join_group::response(&call, joined), now);
        }
        GroupReply::Sync(synced) => {
            finish_late::<SyncGroupRequest>(nodes, &call, sync_group::response(synced), now);
        }
    }
}

/// The code for a transaction that must be aborted: those who do not know it yet get an older one
/// (KIP-1050).
fn abortable_code(code: ErrorCode, call: &Call, since_version: i16) -> ErrorCode {
    match code {
        ErrorCode::TRANSACTION_ABORTABLE if call.version < since_version => {
            ErrorCode::INVALID_TXN_STATE
        }
        code => code,
    }
}

/// The code for a fenced producer: those who do not know it yet get an older one (KIP-588).
fn fenced_code(code: ErrorCode, call: &Call, since_version: i16) -> ErrorCode {
    match code {
        ErrorCode::PRODUCER_FENCED if call.version < since_version => {
            ErrorCode::INVALID_PRODUCER_EPOCH
        }
        code => code,
    }
}

/// The parts of [`Api`] that are alike for answers with one error code for everything.
macro_rules! one_error_code {
    ($response:ident) => {
        fn refuse(&self, _version: i16, code: ErrorCode) -> $response {
            $response { error_code: code.0, ..$response::default() }
        }

        fn set_throttle(response: &mut $response, throttle_ms: i32) {
            response.throttle_time_ms = throttle_ms;
        }
    };
}
use one_error_code;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_api_stands_in_the_table_twice_and_none_promises_more_than_the_messages_have() {
        for (index, entry) in TABLE.iter().enumerate() {
            assert!(TABLE[..index].iter().all(|other| other.key != entry.key), "{}", entry.key);
            assert_eq!(entry.key.versions(), Some(entry.versions), "{}", entry.key);
            let is_produce = entry.key == ApiKey::PRODUCE;
            assert!(entry.advertised_min == entry.versions.min || is_produce);
        }
    }
}
