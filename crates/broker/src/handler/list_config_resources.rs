//! ListConfigResources: key 74, versions 0-1.
//!
//! Behaviour: the things that settings can be asked of: topics and nodes, groups and subscriptions
//! of client metrics that have settings (KIP-1142).
//! Version notes: 0 asks for subscriptions of client metrics alone (KIP-714).
//! Rights: DescribeConfigs on the cluster.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};

use super::config_resources::ResourceType;
use super::{Api, Reply, one_error_code};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::resource_settings::Owner;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

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
            (0, _) => vec![Some(ResourceType::ClientMetrics)],
            (_, []) => ResourceType::ALL.map(Some).to_vec(),
            (_, some) => some.iter().map(|number| ResourceType::of(*number)).collect(),
        };
        let Some(wanted) = wanted.into_iter().collect::<Option<Vec<_>>>() else {
            return Reply::Now(self.refuse(call.version, ErrorCode::UNSUPPORTED_VERSION));
        };
        let resources = wanted.into_iter().flat_map(|wanted| {
            let resource_type = wanted as i8;
            let names = names_of(wanted, nodes).into_iter();
            names.map(move |resource_name| ConfigResource { resource_name, resource_type })
        });
        Reply::Now(ListConfigResourcesResponse {
            config_resources: resources.collect(),
            ..ListConfigResourcesResponse::default()
        })
    }
}

fn names_of(resource_type: ResourceType, nodes: &Nodes) -> Vec<String> {
    let with_settings = |owner| nodes.settings.names(owner).map(str::to_owned).collect();
    match resource_type {
        ResourceType::Topic => {
            let topics = nodes.catalog.sorted().into_iter();
            topics.map(|topic| topic.name.to_string()).collect()
        }
        ResourceType::Broker | ResourceType::BrokerLogger => {
            nodes.live_nodes().map(|id| id.to_string()).collect()
        }
        ResourceType::ClientMetrics => with_settings(Owner::ClientMetrics),
        ResourceType::Group => with_settings(Owner::Group),
    }
}
