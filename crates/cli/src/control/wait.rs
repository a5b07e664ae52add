//! Waiting until something is so.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use ottla_broker::{Cluster, PartitionState, SeenRequest};
use serde::Deserialize;
use serde_json::json;

use super::answer::{Refusal, Told};
use super::{Handle, faults, partitions, with};

/// How long is waited unless something is said.
const PATIENCE_MS: u64 = 10_000;
/// How long is waited at most.
const MAX_PATIENCE_MS: u64 = 600_000;

/// What is waited for: all replicas in sync, so many requests, or what a partition is like.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    timeout_ms: Option<u64>,
    #[serde(default)]
    in_sync: bool,
    requests: Option<usize>,
    api: Option<String>,
    topic: Option<String>,
    #[serde(default)]
    partition: i32,
    leader: Option<i32>,
    not_leader: Option<i32>,
    high_watermark: Option<i64>,
}

pub(super) async fn wait(State(cluster): Handle, wait: Result<Json<Wait>, JsonRejection>) -> Told {
    let Json(wait) = wait?;
    let timeout =
        Duration::from_millis(wait.timeout_ms.unwrap_or(PATIENCE_MS).min(MAX_PATIENCE_MS));
    let api = wait.api.as_deref().map(faults::api).transpose()?;
    let kinds = [wait.in_sync, wait.requests.is_some(), wait.topic.is_some()];
    if kinds.into_iter().filter(|is_meant| *is_meant).count() != 1 {
        return Err(Refusal::bad("say one of in_sync, requests and topic"));
    }
    let observed = cluster.clone();
    let topic = wait.topic.clone();
    let partition = wait.partition;
    let met = with(cluster, move |cluster: &Cluster| {
        if let Some(count) = wait.requests {
            let is_meant = |seen: &&SeenRequest| api.is_none_or(|api| seen.api == api);
            return cluster
                .wait_for_requests(timeout, |all| all.iter().filter(is_meant).count() >= count);
        }
        match &wait.topic {
            Some(topic) => cluster
                .wait_for_partition(topic, wait.partition, timeout, |state| wait.is_met(state)),
            None => cluster.wait_until_in_sync(timeout),
        }
    });
    let met = met.await?;
    let state = topic.and_then(|topic| observed.partition(&topic, partition));
    Ok(Json(json!({ "met": met, "partition": state.as_ref().map(partitions::told) })))
}

impl Wait {
    fn is_met(&self, state: &PartitionState) -> bool {
        let is_led = match (self.leader, self.not_leader) {
            (Some(wanted), _) => state.leader == Some(wanted),
            (None, Some(other)) => state.leader.is_some_and(|leader| leader != other),
            (None, None) => state.leader.is_some(),
        };
        is_led && self.high_watermark.is_none_or(|least| state.high_watermark >= least)
    }
}
