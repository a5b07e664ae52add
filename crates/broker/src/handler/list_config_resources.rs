//! ListConfigResources: key 74, versions 0-1.
//!
//! Behaviour: the things that settings can be asked of: topics and nodes (KIP-1142). There are no
//! subscriptions of client metrics, and groups have no settings of their own.
//! Version notes: 0 asks for subscriptions of client metrics alone (KIP-714).
//! Rights: DescribeConfigs on the cluster.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};

use super::describe_configs::{RESOURCE_BROKER, RESOURCE_TOPIC};
use super::{Api, Reply, one_error_code};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

const RESOURCE_BROKER_LOGGER: i8 = 8;
const RESOURCE_CLIENT_METRICS: i8 = 16;
const RESOURCE_GROUP: i8 = 32;

const ALL: [i8; 5] = [
    RESOURCE_TOPIC,
    RESOURCE_BROKER,
    RESOURCE_BROKER_LOGGER,
    RESOURCE_CLIENT_METRICS,
    RESOURCE_GROUP,
];

impl Api for ListConfigResourcesRequest {
    one_error_code!(ListConfigResourcesResponse);

    fn handle(
        self,
        nodes: &mut Nodes,
        call: &Call,
        _now: Now,
    ) -> Reply<ListConfigResourcesResponse> {
        if !nodes.allows(call, Operation::DescribeConfigs, On::Cluster) {
            let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
            return Reply::Now(self.refuse(call.version, code));
        }
        let wanted = match (call.version, &self.resource_types[..]) {
            (0, _) => &[RESOURCE_CLIENT_METRICS],
            (_, []) => &ALL[..],
            (_, some) => some,
        };
        if wanted.iter().any(|kind| !ALL.contains(kind)) {
            return Reply::Now(self.refuse(call.version, ErrorCode::UNSUPPORTED_VERSION));
        }
        let resources = wanted.iter().flat_map(|&resource_type| {
            let names = names_of(resource_type, nodes).into_iter();
            names.map(move |resource_name| ConfigResource { resource_name, resource_type })
        });
        Reply::Now(ListConfigResourcesResponse {
            config_resources: resources.collect(),
            ..ListConfigResourcesResponse::default()
        })
    }
}

fn names_of(resource_type: i8, nodes: &Nodes) -> Vec<String> {
    match resource_type {
        RESOURCE_TOPIC => {
            let topics = nodes.catalog.sorted().into_iter();
            topics.map(|topic| topic.name.to_string()).collect()
        }
        RESOURCE_BROKER | RESOURCE_BROKER_LOGGER => {
            nodes.live_nodes().map(|id| id.to_string()).collect()
        }
        _ => Vec::new(),
    }
}
