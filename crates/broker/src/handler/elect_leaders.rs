//! ElectLeaders: key 43, versions 0-2.
//!
//! Behaviour: gives partitions back to the replica that is named first (preferred), or lets any
//! that is left lead where nobody does (unclean). Without a list all partitions are looked at, and
//! those that need no election are not told.
//! Version notes: 0 preferred only, and no error for the whole; 1 unclean (KIP-460), 2 flexible.
//! Rights: Alter on the cluster.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
    TopicPartitions,
};

use super::{Api, Reply};
use crate::catalog::Catalog;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

/// The first version with an error for the whole.
const ERROR_CODE_VERSION: i16 = 1;

/// Who is to lead.
#[derive(Clone, Copy)]
enum Kind {
    Preferred,
    Unclean,
}

impl Kind {
    fn of(election_type: i8) -> Option<Self> {
        match election_type {
            0 => Some(Self::Preferred),
            1 => Some(Self::Unclean),
            _ => None,
        }
    }
}

impl Api for ElectLeadersRequest {
    fn touches(&self, catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        let touches = |topic: &TopicPartitions| {
            topic.partitions.iter().any(|partition| covers(&topic.topic, *partition))
        };
        match &self.topic_partitions {
            Some(topics) => topics.iter().any(touches),
            None => all(catalog).iter().any(touches),
        }
    }

    fn refuse(&self, version: i16, code: ErrorCode) -> ElectLeadersResponse {
        let topics = self.topic_partitions.iter().flatten();
        let refuse = |partition: &i32| result(*partition, code);
        let results = topics.map(|topic| ReplicaElectionResult {
            topic: topic.topic.clone(),
            partition_result: topic.partitions.iter().map(refuse).collect(),
        });
        ElectLeadersResponse {
            error_code: if version >= ERROR_CODE_VERSION { code.0 } else { 0 },
            replica_election_results: results.collect(),
            ..ElectLeadersResponse::default()
        }
    }

    fn set_throttle(response: &mut ElectLeadersResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<ElectLeadersResponse> {
        if !nodes.allows(call, Operation::Alter, On::Cluster) {
            let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
            return Reply::Now(self.refuse(call.version, code));
        }
        let Some(kind) = Kind::of(self.election_type) else {
            return Reply::Now(self.refuse(call.version, ErrorCode::INVALID_REQUEST));
        };
        let (topics, is_for_all) = match self.topic_partitions {
            Some(topics) => (topics, false),
            None => (all(&nodes.catalog), true),
        };
        let mut response = ElectLeadersResponse::default();
        for TopicPartitions { topic, partitions } in topics {
            let mut partition_result = Vec::with_capacity(partitions.len());
            for partition in partitions {
                let code = elect(kind, &topic, partition, nodes, now);
                if !(is_for_all && code == ErrorCode::ELECTION_NOT_NEEDED) {
                    partition_result.push(result(partition, code));
                }
            }
            if !(is_for_all && partition_result.is_empty()) {
                let results = ReplicaElectionResult { topic, partition_result };
                response.replica_election_results.push(results);
            }
        }
        Reply::Now(response)
    }
}

/// Every partition there is.
fn all(catalog: &Catalog) -> Vec<TopicPartitions> {
    let topics = catalog.sorted().into_iter().map(|topic| TopicPartitions {
        topic: topic.name.to_string(),
        partitions: (0..topic.partition_count()).collect(),
    });
    topics.collect()
}

fn elect(kind: Kind, name: &str, partition: i32, nodes: &mut Nodes, now: Now) -> ErrorCode {
    let Some(id) = nodes.catalog.by_name(name).map(|topic| topic.id) else {
        return ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    };
    let elected = match kind {
        Kind::Preferred => nodes.elect_preferred(id, partition, now),
        Kind::Unclean => nodes.elect_unclean(id, partition, now),
    };
    elected.err().unwrap_or(ErrorCode::NONE)
}

fn result(partition_id: i32, code: ErrorCode) -> PartitionResult {
    PartitionResult {
        partition_id,
        error_code: code.0,
        error_message: (code != ErrorCode::NONE).then(|| code.message().to_owned()),
    }
}
