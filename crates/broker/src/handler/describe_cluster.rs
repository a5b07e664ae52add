//! DescribeCluster: key 60, versions 0-2.
//!
//! Behaviour: the brokers, and one of them that is said to be the controller.
//! Version notes: 1 endpoint types (KIP-919); only brokers can be asked for here. 2 fenced brokers
//! (KIP-1073), those that are registered.
//! Rights: none; without Describe on the cluster no operation is told.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

use super::{Api, Reply, operations};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::acl::On;
use crate::time::Now;

const ENDPOINT_BROKERS: i8 = 1;
const ENDPOINT_CONTROLLERS: i8 = 2;

impl Api for DescribeClusterRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> DescribeClusterResponse {
        DescribeClusterResponse {
            error_code: code.0,
            error_message: Some(code.message().to_owned()),
            ..DescribeClusterResponse::default()
        }
    }

    fn set_throttle(response: &mut DescribeClusterResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<DescribeClusterResponse> {
        let code = match self.endpoint_type {
            ENDPOINT_BROKERS => None,
            ENDPOINT_CONTROLLERS => Some(ErrorCode::MISMATCHED_ENDPOINT_TYPE),
            _ => Some(ErrorCode::UNSUPPORTED_ENDPOINT_TYPE),
        };
        if let Some(code) = code {
            return Reply::Now(self.refuse(call.version, code));
        }
        let with_fenced = self.include_fenced_brokers;
        let known = nodes.nodes.iter().filter(|node| node.is_registered);
        let wanted = known.filter(|node| with_fenced || !node.is_fenced);
        let brokers = wanted.map(|node| {
            let address = nodes.address_for(call.connection, node.id);
            DescribeClusterBroker {
                broker_id: node.id,
                host: address.host,
                port: i32::from(address.port),
                rack: nodes.config.rack_of(node.id).map(str::to_owned),
                is_fenced: node.is_fenced,
            }
        });
        let brokers = brokers.collect();
        let asked = self.include_cluster_authorized_operations;
        Reply::Now(DescribeClusterResponse {
            cluster_id: nodes.cluster_id.clone(),
            controller_id: nodes.controller_id(),
            brokers,
            cluster_authorized_operations: operations::allowed(asked, nodes, call, On::Cluster),
            ..DescribeClusterResponse::default()
        })
    }
}
