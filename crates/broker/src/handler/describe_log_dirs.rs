//! DescribeLogDirs: key 35, versions 1-5.
//!
//! Behaviour: the folder of the node that is asked, with the size of each of its replicas and how
//! far the log's end lies behind the high watermark, and with the bytes of the medium, all of them
//! and those that are free (KIP-827). Indexes are not counted, as in Kafka.
//! Version notes: 2 flexible, 3 an error for the whole, 4 bytes of the medium, 5 cordoned folders,
//! of which there are none.
//! Rights: Describe on the cluster.

use std::path::Path;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest,
    DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};

use super::{Api, Reply, one_error_code};
use crate::node::Node;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::replica::Replica;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

impl Api for DescribeLogDirsRequest {
    one_error_code!(DescribeLogDirsResponse);

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<DescribeLogDirsResponse> {
        if !nodes.allows(call, Operation::Describe, On::Cluster) {
            let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
            return Reply::Now(self.refuse(call.version, code));
        }
        let node = nodes.node(call.node);
        let folder = node.and_then(|node| Some((node, node.data.as_ref()?.path())));
        let results = folder.map(|(node, path)| {
            let (total_bytes, usable_bytes) = medium(path);
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            DescribeLogDirsResult {
                log_dir: path.to_string_lossy().into_owned(),
                topics: replicas_of(node, nodes, self.topics.as_deref()),
                total_bytes,
                usable_bytes,
                ..DescribeLogDirsResult::default()
            }
        });
        Reply::Now(DescribeLogDirsResponse {
            results: results.into_iter().collect(),
            ..DescribeLogDirsResponse::default()
        })
    }
}

/// What is asked for of a node's replicas; those that it does not have are left out.
fn replicas_of(
    node: &Node,
    nodes: &Nodes,
    asked: Option<&[DescribableLogDirTopic]>,
) -> Vec<DescribeLogDirsTopic> {
    let is_asked_for = |name: &str, partition: i32| {
        asked.is_none_or(|topics| {
            let mut named = topics.iter().filter(|topic| topic.topic == name);
            named.any(|topic| topic.partitions.contains(&partition))
        })
    };
    let topics = nodes.catalog.sorted().into_iter().map(|topic| {
        let replicas = node.partitions.of_topic(topic.id);
        let asked = replicas.filter(|(index, _)| is_asked_for(&topic.name, *index));
        DescribeLogDirsTopic {
            name: topic.name.to_string(),
            partitions: asked.map(|(index, replica)| describe(index, replica)).collect(),
        }
    });
    topics.filter(|topic| !topic.partitions.is_empty()).collect()
}

fn describe(partition_index: i32, replica: &Replica) -> DescribeLogDirsPartition {
    let lag = replica.high_watermark() - replica.log.log_end_offset();
    DescribeLogDirsPartition {
        partition_index,
        partition_size: i64::try_from(replica.log.size_bytes()).unwrap_or(i64::MAX),
        offset_lag: lag.max(0),
        is_future_key: false,
    }
}

/// All bytes and the free ones of the medium that a folder is on; -1 where that cannot be told.
fn medium(path: &Path) -> (i64, i64) {
    let Ok(stat) = rustix::fs::statvfs(path) else {
        return (-1, -1);
    };
    let bytes =
        |blocks: u64| i64::try_from(blocks.saturating_mul(stat.f_frsize)).unwrap_or(i64::MAX);
    (bytes(stat.f_blocks), bytes(stat.f_bavail))
}
