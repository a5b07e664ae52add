//! WriteTxnMarkers: key 27, versions 1-2.
//!
//! Behaviour: ends the transaction of a producer in the partitions that this node leads, whatever
//! its coordinator says: what a hanging transaction is aborted with (KIP-664). The nodes of this
//! cluster do so among themselves without. A marker of an older epoch, or of an older coordinator,
//! than the log has heard of is refused. The answer comes once all in-sync replicas have the
//! markers, or after half a minute, with REQUEST_TIMED_OUT.
//! Version notes: 2 versions of transactions (KIP-1228).
//! Rights: ClusterAction, or Alter, on the cluster.

use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};

use super::follower_wait::{self, FollowerWait, Until, Waiting};
use super::{Api, Reply};
use crate::catalog::Catalog;
use crate::log::TransactionMarker;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

/// `request.timeout.ms` of brokers.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Api for WriteTxnMarkersRequest {
    fn touches(&self, _catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        let mut topics = self.markers.iter().flat_map(|marker| &marker.topics);
        topics.any(|topic| topic.partition_indexes.iter().any(|index| covers(&topic.name, *index)))
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> WriteTxnMarkersResponse {
        map_partitions(self, |_, _, _, _| code)
    }

    fn set_throttle(_response: &mut WriteTxnMarkersResponse, _throttle_ms: i32) {
        // The answer does not tell.
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<WriteTxnMarkersResponse> {
        let may = |operation| nodes.allows(call, operation, On::Cluster);
        if !may(Operation::ClusterAction) && !may(Operation::Alter) {
            let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
            return Reply::Now(self.refuse(call.version, code));
        }
        let mut waits = Vec::new();
        let response = map_partitions(&self, |place, marker, name, partition| {
            match mark(marker, name, partition, nodes, call, now) {
                Ok(wait) => {
                    waits.push(FollowerWait { place, ..wait });
                    ErrorCode::NONE
                }
                Err(code) => code,
            }
        });
        waits.retain(|wait| wait.outcome(nodes, call.node).is_none());
        if waits.is_empty() {
            return Reply::Now(response);
        }
        let deadline = now.monotonic + TIMEOUT;
        follower_wait::park(nodes, call, Waiting::Markers(response), waits, deadline);
        Reply::Wait
    }
}

/// Gives each partition of each marker its code. A place is that of marker, topic and partition.
fn map_partitions(
    request: &WriteTxnMarkersRequest,
    mut code_of: impl FnMut((usize, usize, usize), &WritableTxnMarker, &str, i32) -> ErrorCode,
) -> WriteTxnMarkersResponse {
    let mut markers = Vec::with_capacity(request.markers.len());
    for (nth, marker) in request.markers.iter().enumerate() {
        let mut topics = Vec::with_capacity(marker.topics.len());
        for (at, topic) in marker.topics.iter().enumerate() {
            let indexes = topic.partition_indexes.iter().enumerate();
            let partitions = indexes.map(|(index, &partition_index)| {
                let code = code_of((nth, at, index), marker, &topic.name, partition_index);
                WritableTxnMarkerPartitionResult { partition_index, error_code: code.0 }
            });
            let (name, partitions) = (topic.name.clone(), partitions.collect());
            topics.push(WritableTxnMarkerTopicResult { name, partitions });
        }
        markers.push(WritableTxnMarkerResult { producer_id: marker.producer_id, topics });
    }
    WriteTxnMarkersResponse { markers }
}

fn mark(
    marker: &WritableTxnMarker,
    name: &str,
    partition: i32,
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
) -> Result<FollowerWait, ErrorCode> {
    let topic = nodes.catalog.by_name(name).map(|topic| topic.id);
    let topic = topic.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    let min_insync_replicas = nodes.min_insync_replicas(topic);
    let replica = nodes.leader_mut(call.node, topic, partition)?;
    let leader_epoch = replica.leader_epoch;
    if !replica.has_enough(min_insync_replicas) {
        return Err(ErrorCode::NOT_ENOUGH_REPLICAS);
    }
    let marker = TransactionMarker {
        producer_id: marker.producer_id,
        producer_epoch: marker.producer_epoch,
        coordinator_epoch: marker.coordinator_epoch,
        is_commit: marker.transaction_result,
        transaction_version: i16::from(marker.transaction_version),
    };
    let appended = nodes.append_marker(call.node, (topic, partition), &marker, now);
    let until_offset = appended.map_err(|rejection| rejection.code)?;
    let until = Until::Has(until_offset);
    Ok(FollowerWait { topic, partition, leader_epoch, until, place: (0, 0, 0) })
}
