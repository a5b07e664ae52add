//! OffsetCommit: key 8, versions 2-10.
//!
//! Behaviour: from a member of the present generation or with its present epoch, or from anybody
//! while the group has no members. What is answered without error is in the file.
//! Version notes: 6 leader epochs, 7 static members, 9 members of the consumer protocol (KIP-848),
//! and an unknown group is an error of its own, 10 topic ids (KIP-848).
//! Left out: the retention time of versions 2-4; offsets are kept until the group or the topic is
//! deleted.
//! Rights: Read on the group, and on each topic.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use super::{Api, Reply};
use crate::catalog::Catalog;
use crate::groups::Committed;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

const TOPIC_ID_VERSION: i16 = 10;

impl Api for OffsetCommitRequest {
    fn touches(&self, _catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        self.topics.iter().any(|topic| {
            topic.partitions.iter().any(|partition| covers(&topic.name, partition.partition_index))
        })
    }

    fn coordinated_id(&self) -> Option<&str> {
        Some(&self.group_id)
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> OffsetCommitResponse {
        answer(self, |_, _| code)
    }

    fn set_throttle(response: &mut OffsetCommitResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<OffsetCommitResponse> {
        if self.group_id.is_empty() {
            return Reply::Now(self.refuse(call.version, ErrorCode::INVALID_GROUP_ID));
        }
        if !nodes.allows(call, Operation::Read, On::Group(&self.group_id)) {
            return Reply::Now(self.refuse(call.version, ErrorCode::GROUP_AUTHORIZATION_FAILED));
        }
        let checked = nodes.groups.check_commit(
            &self.group_id,
            &self.member_id,
            self.group_instance_id.as_deref(),
            self.generation_id_or_member_epoch,
            call.version,
            now,
        );
        if let Err(code) = checked {
            return Reply::Now(self.refuse(call.version, code));
        }
        let mut commits = Vec::new();
        let mut response = answer(&self, |topic, index| {
            let partition = &topic.partitions[index];
            let name = match topic_name(topic, partition.partition_index, call.version, nodes) {
                Ok(name) => name,
                Err(code) => return code,
            };
            if !nodes.allows(call, Operation::Read, On::Topic(&name)) {
                return ErrorCode::TOPIC_AUTHORIZATION_FAILED;
            }
            let (offset, epoch) = (partition.committed_offset, partition.committed_leader_epoch);
            match Committed::new(offset, epoch, partition.committed_metadata.as_deref()) {
                Ok(committed) => commits.push((name, partition.partition_index, committed)),
                Err(code) => return code,
            }
            ErrorCode::NONE
        });
        if let Err(error) = nodes.groups.offsets.commit(&self.group_id, commits) {
            tracing::error!(group = %self.group_id, %error, "offsets not committed");
            response = self.refuse(call.version, ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        Reply::Now(response)
    }
}

/// An answer with a code for each partition, which is given by its place in its topic.
fn answer(
    request: &OffsetCommitRequest,
    mut code: impl FnMut(&OffsetCommitRequestTopic, usize) -> ErrorCode,
) -> OffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .enumerate()
            .map(|(index, partition)| OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: code(topic, index).0,
            })
            .collect(),
    });
    OffsetCommitResponse { topics: topics.collect(), ..OffsetCommitResponse::default() }
}

/// The name of a topic that has such a partition.
fn topic_name(
    wanted: &OffsetCommitRequestTopic,
    partition: i32,
    version: i16,
    nodes: &Nodes,
) -> Result<String, ErrorCode> {
    let topic = match version {
        TOPIC_ID_VERSION.. => {
            nodes.catalog.by_id(wanted.topic_id).ok_or(ErrorCode::UNKNOWN_TOPIC_ID)?
        }
        _ => {
            let topic = nodes.catalog.by_name(&wanted.name);
            topic.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?
        }
    };
    if topic.has_partition(partition) {
        Ok(topic.name.to_string())
    } else {
        Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }
}
