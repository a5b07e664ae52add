//! AlterClientQuotas: key 49, versions 0-1.
//!
//! Behaviour: sets and takes away quotas of users, of client ids, or of client ids of users, by
//! name or for all others (KIP-546). What is wrong with one entity leaves the others alone; they
//! are in the file when the answer goes. Bytes a second hold from the next request on;
//! `request_percentage` and `controller_mutation_rate` are kept and told, and nobody is held to
//! them.
//! Version notes: 1 flexible. Left out: quotas of addresses (KIP-612), which are refused.
//! Rights: AlterConfigs on the cluster.

use std::collections::BTreeSet;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::alter_client_quotas::{
    AlterClientQuotasRequest, AlterClientQuotasRequestEntityData,
    AlterClientQuotasRequestEntryData, AlterClientQuotasResponse,
    AlterClientQuotasResponseEntityData, AlterClientQuotasResponseEntryData, OpData,
};

use super::describe_client_quotas::{CLIENT_ID, IP, USER};
use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::quotas::{Entity, Name, Values};
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

/// Quotas that are whole numbers.
const WHOLE: [&str; 2] = ["producer_byte_rate", "consumer_byte_rate"];
const OTHERS: [&str; 2] = ["request_percentage", "controller_mutation_rate"];

/// What is wrong with an entry.
type Wrong = (ErrorCode, String);

impl Api for AlterClientQuotasRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> AlterClientQuotasResponse {
        let refuse = |entry| answer(entry, Err((code, code.message().to_owned())));
        AlterClientQuotasResponse {
            entries: self.entries.iter().map(refuse).collect(),
            ..AlterClientQuotasResponse::default()
        }
    }

    fn set_throttle(response: &mut AlterClientQuotasResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<AlterClientQuotasResponse> {
        if !nodes.allows(call, Operation::AlterConfigs, On::Cluster) {
            let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
            return Reply::Now(self.refuse(call.version, code));
        }
        let mut seen = BTreeSet::new();
        let mut entries = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let outcome = read_entity(&entry.entity).and_then(|entity| {
                if !seen.insert(entity.clone()) {
                    return Err(invalid("the entity is there twice".to_owned()));
                }
                let values = altered(nodes.quotas.of(&entity), &entry.ops)?;
                if self.validate_only {
                    return Ok(());
                }
                nodes.quotas.set(entity, values).map_err(|error| {
                    tracing::error!(%error, "quotas not written down");
                    let code = ErrorCode::KAFKA_STORAGE_ERROR;
                    (code, code.message().to_owned())
                })
            });
            entries.push(answer(entry, outcome));
        }
        Reply::Now(AlterClientQuotasResponse { entries, ..AlterClientQuotasResponse::default() })
    }
}

fn invalid(message: String) -> Wrong {
    (ErrorCode::INVALID_REQUEST, message)
}

fn read_entity(parts: &[AlterClientQuotasRequestEntityData]) -> Result<Entity, Wrong> {
    let mut entity = Entity { user: None, client_id: None };
    for part in parts {
        let kind = part.entity_type.as_str();
        let place = match kind {
            USER => &mut entity.user,
            CLIENT_ID => &mut entity.client_id,
            IP => return Err(invalid("addresses have no quotas here".to_owned())),
            _ => return Err(invalid(format!("there are no entities of type {kind:?}"))),
        };
        let name = part.entity_name.clone().map_or(Name::Default, Name::Of);
        if place.replace(name).is_some() {
            return Err(invalid(format!("the entity has {kind} twice")));
        }
    }
    match entity.user.is_none() && entity.client_id.is_none() {
        true => Err(invalid("the entity is empty".to_owned())),
        false => Ok(entity),
    }
}

/// What an entity's quotas come to.
fn altered(mut values: Values, ops: &[OpData]) -> Result<Values, Wrong> {
    let mut seen = BTreeSet::new();
    for OpData { key, value, remove } in ops {
        if !seen.insert(key) {
            return Err(invalid(format!("{key} is there twice")));
        }
        if *remove {
            values.remove(key);
            continue;
        }
        check(key, *value)?;
        values.insert(key.clone(), *value);
    }
    Ok(values)
}

fn check(key: &str, value: f64) -> Result<(), Wrong> {
    let is_whole = WHOLE.contains(&key);
    if !is_whole && !OTHERS.contains(&key) {
        return Err(invalid(format!("there is no quota {key:?}")));
    }
    if value <= 0.0 || !value.is_finite() {
        return Err(invalid(format!("{key} must be greater than 0, it is {value}")));
    }
    if is_whole && ((value % 1.0).abs() > 1e-6 || value > i64::MAX as f64) {
        return Err(invalid(format!("{key} must be a whole number of 64 bits, it is {value}")));
    }
    Ok(())
}

fn answer(
    entry: &AlterClientQuotasRequestEntryData,
    outcome: Result<(), Wrong>,
) -> AlterClientQuotasResponseEntryData {
    let parts = entry.entity.iter().map(|part| AlterClientQuotasResponseEntityData {
        entity_type: part.entity_type.clone(),
        entity_name: part.entity_name.clone(),
    });
    let (code, message) = match outcome {
        Ok(()) => (ErrorCode::NONE, None),
        Err((code, message)) => (code, Some(message)),
    };
    AlterClientQuotasResponseEntryData {
        error_code: code.0,
        error_message: message,
        entity: parts.collect(),
    }
}
