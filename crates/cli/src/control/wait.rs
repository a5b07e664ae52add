//! Waiting until something is so.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use ottla_broker::{ApiKey, Cluster, PartitionState, SeenRequest};
use serde::Deserialize;
use serde_json::json;

use super::answer::{Refusal, Told};
use super::{faults, partitions, with};

/// How long is waited unless something is said.
const PATIENCE_MS: u64 = 10_000;
/// How long is waited at most.
const MAX_PATIENCE_MS: u64 = 600_000;
/// After so long it is looked whether the broker is to end.
const SLICE: Duration = Duration::from_millis(100);

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

pub(super) async fn wait(
    State(cluster): State<Weak<Cluster>>,
    wait: Result<Json<Wait>, JsonRejection>,
) -> Told {
    let Json(wait) = wait?;
    let patience_ms = wait.timeout_ms.unwrap_or(PATIENCE_MS).min(MAX_PATIENCE_MS);
    let deadline = Instant::now() + Duration::from_millis(patience_ms);
    let api = wait.api.as_deref().map(faults::api).transpose()?;
    let kinds = [wait.in_sync, wait.requests.is_some(), wait.topic.is_some()];
    if kinds.into_iter().filter(|is_meant| *is_meant).count() != 1 {
        return Err(Refusal::bad("say one of in_sync, requests and topic"));
    }
    let wait = Arc::new(wait);
    loop {
        let live = cluster.upgrade().ok_or_else(Refusal::ending)?;
        let left = deadline.saturating_duration_since(Instant::now());
        let now = wait.clone();
        let state = with(live, move |cluster| {
            let met = now.is_met_within(cluster, api, left.min(SLICE));
            (met, now.topic.as_ref().and_then(|topic| cluster.partition(topic, now.partition)))
        });
        let (met, state) = state.await?;
        if met || left.is_zero() {
            let state = state.as_ref().map(partitions::told);
            return Ok(Json(json!({ "met": met, "partition": state })));
        }
    }
}

impl Wait {
    fn is_met_within(&self, cluster: &Cluster, api: Option<ApiKey>, limit: Duration) -> bool {
        if let Some(count) = self.requests {
            let is_meant = |seen: &&SeenRequest| api.is_none_or(|api| seen.api == api);
            return cluster
                .wait_for_requests(limit, |all| all.iter().filter(is_meant).count() >= count);
        }
        match &self.topic {
            Some(topic) => {
                cluster.wait_for_partition(topic, self.partition, limit, |state| self.is_met(state))
            }
            None => cluster.wait_until_in_sync(limit),
        }
    }

    fn is_met(&self, state: &PartitionState) -> bool {
        let is_led = match (self.leader, self.not_leader) {
            (Some(wanted), _) => state.leader == Some(wanted),
            (None, Some(other)) => state.leader.is_some_and(|leader| leader != other),
            (None, None) => state.leader.is_some(),
        };
        is_led && self.high_watermark.is_none_or(|least| state.high_watermark >= least)
    }
}
