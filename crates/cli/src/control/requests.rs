//! What the cluster was asked.

use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use ottla_broker::{SeenBatch, SeenProduce, SeenRequest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Told;
use super::{Live, done, faults};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    api: Option<String>,
    client_id: Option<String>,
    node: Option<i32>,
}

pub(super) async fn list(Live(cluster): Live, which: Result<Query<Which>, QueryRejection>) -> Told {
    let Query(Which { api, client_id, node }) = which?;
    let api = api.as_deref().map(faults::api).transpose()?;
    let is_meant = |seen: &SeenRequest| {
        api.is_none_or(|api| seen.api == api)
            && (client_id.is_none() || seen.client_id == client_id)
            && node.is_none_or(|node| seen.node == node)
    };
    Ok(Json(cluster.requests().iter().filter(|seen| is_meant(seen)).map(told).collect()))
}

pub(super) async fn clear(Live(cluster): Live) -> Told {
    cluster.clear_requests();
    done()
}

fn told(seen: &SeenRequest) -> Value {
    json!({
        "node": seen.node,
        "connection": seen.connection,
        "api": seen.api.name(),
        "version": seen.version,
        "correlation_id": seen.correlation_id,
        "client_id": seen.client_id,
        "principal": *seen.principal,
        "size_bytes": seen.size_bytes,
        "at_ms": seen.at.as_secs_f64() * 1000.0,
        "met_fault": seen.met_fault,
        "produce": seen.produce.as_ref().map(produce),
    })
}

fn produce(seen: &SeenProduce) -> Value {
    json!({
        "acks": seen.acks,
        "timeout_ms": seen.timeout_ms,
        "transactional_id": seen.transactional_id,
        "batches": seen.batches.iter().map(batch).collect::<Vec<_>>(),
    })
}

fn batch(seen: &SeenBatch) -> Value {
    json!({
        "topic": seen.topic,
        "partition": seen.partition,
        "size_bytes": seen.size_bytes,
        "record_count": seen.record_count,
        "compression": seen.compression.map(|compression| compression.name()),
        "producer_id": seen.producer_id,
        "producer_epoch": seen.producer_epoch,
        "base_sequence": seen.base_sequence,
    })
}
