//! DescribeClientQuotas: key 48, versions 0-1.
//!
//! Behaviour: the quotas of all entities that the filter takes (KIP-546): each of its parts asks
//! for a name, for the default, or for any; a strict one takes only what has no other parts.
//! Version notes: 1 flexible. Left out: quotas of addresses, of which there are none.
//! Rights: DescribeConfigs on the cluster.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, DescribeClientQuotasResponse, EntityData,
    EntryData, ValueData,
};

use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::quotas::{Entity, Name, Values};
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

pub(super) const USER: &str = "user";
pub(super) const CLIENT_ID: &str = "client-id";
pub(super) const IP: &str = "ip";

impl Api for DescribeClientQuotasRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> DescribeClientQuotasResponse {
        failed(code, code.message().to_owned())
    }

    fn set_throttle(response: &mut DescribeClientQuotasResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(
        self,
        nodes: &mut Nodes,
        call: &Call,
        _now: Now,
    ) -> Reply<DescribeClientQuotasResponse> {
        if !nodes.allows(call, Operation::DescribeConfigs, On::Cluster) {
            let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
            return Reply::Now(self.refuse(call.version, code));
        }
        let filter = match Filter::read(&self.components, self.strict) {
            Ok(filter) => filter,
            Err((code, message)) => return Reply::Now(failed(code, message)),
        };
        let found = nodes.quotas.iter().filter(|(entity, _)| filter.takes(entity));
        Reply::Now(DescribeClientQuotasResponse {
            error_message: None,
            entries: Some(found.map(|(entity, values)| entry(entity, values)).collect()),
            ..DescribeClientQuotasResponse::default()
        })
    }
}

/// What one part of an entity must be.
enum Part {
    Is(Name),
    Any,
}

impl Part {
    fn takes(&self, name: &Name) -> bool {
        match self {
            Self::Is(wanted) => wanted == name,
            Self::Any => true,
        }
    }
}

/// Which entities are asked for.
#[derive(Default)]
struct Filter {
    user: Option<Part>,
    client_id: Option<Part>,
    ip: Option<Part>,
    is_strict: bool,
}

impl Filter {
    fn read(components: &[ComponentData], is_strict: bool) -> Result<Self, (ErrorCode, String)> {
        let invalid = |message: String| (ErrorCode::INVALID_REQUEST, message);
        let mut filter = Self { is_strict, ..Self::default() };
        for component in components {
            let kind = component.entity_type.as_str();
            let place = match kind {
                USER => &mut filter.user,
                CLIENT_ID => &mut filter.client_id,
                IP => &mut filter.ip,
                "" => return Err(invalid("an entity type is empty".to_owned())),
                _ => {
                    let message = format!("there are no entities of type {kind:?}");
                    return Err((ErrorCode::UNSUPPORTED_VERSION, message));
                }
            };
            let part = match (component.match_type, &component.r#match) {
                (0, Some(name)) => Part::Is(Name::Of(name.clone())),
                (1, None) => Part::Is(Name::Default),
                (2, None) => Part::Any,
                (0..=2, _) => {
                    let message = format!("the part for {kind} has a name too many or too few");
                    return Err(invalid(message));
                }
                (other, _) => return Err(invalid(format!("there is no match type {other}"))),
            };
            if place.replace(part).is_some() {
                return Err(invalid(format!("{kind} is there twice")));
            }
        }
        if filter.ip.is_some() && (filter.user.is_some() || filter.client_id.is_some()) {
            return Err(invalid("ip cannot be asked for along with user or client-id".to_owned()));
        }
        Ok(filter)
    }

    fn takes(&self, entity: &Entity) -> bool {
        let takes = |part: &Option<Part>, name: &Option<Name>| match (part, name) {
            (Some(part), Some(name)) => part.takes(name),
            (Some(_), None) => false,
            (None, Some(_)) => !self.is_strict,
            (None, None) => true,
        };
        takes(&self.user, &entity.user)
            && takes(&self.client_id, &entity.client_id)
            && self.ip.is_none()
    }
}

fn entry(entity: &Entity, values: &Values) -> EntryData {
    let parts = [(USER, &entity.user), (CLIENT_ID, &entity.client_id)];
    let parts = parts.into_iter().filter_map(|(entity_type, name)| {
        let entity_name = match name.as_ref()? {
            Name::Default => None,
            Name::Of(name) => Some(name.clone()),
        };
        Some(EntityData { entity_type: entity_type.to_owned(), entity_name })
    });
    let values = values.iter().map(|(key, value)| ValueData { key: key.clone(), value: *value });
    EntryData { entity: parts.collect(), values: values.collect() }
}

fn failed(code: ErrorCode, message: String) -> DescribeClientQuotasResponse {
    DescribeClientQuotasResponse {
        error_code: code.0,
        error_message: Some(message),
        entries: None,
        ..DescribeClientQuotasResponse::default()
    }
}
