//! Topics and who leads their partitions.

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::{JsonRejection, PathRejection};
use ottla_broker::PartitionState;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Refusal, Told};
use super::{Live, done, with};

pub(super) async fn topics(Live(cluster): Live) -> Json<Value> {
    let topics = cluster.topics().into_iter();
    Json(
        topics
            .map(|(name, partitions)| json!({ "name": name, "partitions": partitions }))
            .collect(),
    )
}

pub(super) async fn one(
    Live(cluster): Live,
    path: Result<Path<(String, i32)>, PathRejection>,
) -> Told {
    let Path((topic, partition)) = path?;
    let state = cluster.partition(&topic, partition);
    let state = state.ok_or_else(|| Refusal::not_found(format!("no {topic}-{partition}")))?;
    Ok(Json(told(&state)))
}

pub(super) fn told(state: &PartitionState) -> Value {
    json!({
        "leader": state.leader,
        "leader_epoch": state.leader_epoch,
        "replicas": state.replicas,
        "in_sync": state.in_sync,
        "high_watermark": state.high_watermark,
        "log_end": state.log_end,
    })
}

/// Who shall lead: one of the three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lead {
    node: Option<i32>,
    #[serde(default)]
    preferred: bool,
    #[serde(default)]
    unclean: bool,
}

pub(super) async fn lead(
    Live(cluster): Live,
    path: Result<Path<(String, i32)>, PathRejection>,
    lead: Result<Json<Lead>, JsonRejection>,
) -> Told {
    let (Path((topic, partition)), Json(lead)) = (path?, lead?);
    let led = with(cluster, move |cluster| match lead {
        Lead { node: Some(node), preferred: false, unclean: false } => {
            Ok(cluster.move_leader(&topic, partition, node))
        }
        Lead { node: None, preferred: true, unclean: false } => {
            Ok(cluster.elect_preferred(&topic, partition))
        }
        Lead { node: None, preferred: false, unclean: true } => {
            Ok(cluster.elect_unclean(&topic, partition))
        }
        _ => Err(Refusal::bad("say one of node, preferred and unclean")),
    });
    led.await???;
    done()
}
