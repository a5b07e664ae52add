//! Faults by script and by chance.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use ottla_broker::{ApiKey, Fault, NodeError, RandomFaults};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{Refusal, Told};
use super::{Live, done};

pub(super) async fn pending(Live(cluster): Live) -> Json<Value> {
    Json(json!({ "pending": cluster.pending_faults() }))
}

pub(super) async fn inject(
    Live(cluster): Live,
    parts: Result<Json<Map<String, Value>>, JsonRejection>,
) -> Told {
    let Json(parts) = parts?;
    let words: Result<Vec<(String, String)>, Refusal> = parts
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Number(number) => Ok((name, number.to_string())),
            _ => Err(Refusal::bad(format!("{name}: a text or a number was expected"))),
        })
        .collect();
    let words = words?;
    let words = words.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let fault = Fault::from_parts(words.clone())?;
    let node = words.clone().find(|(name, _)| *name == "node");
    if let Some(id) = node.and_then(|(_, id)| id.parse().ok())
        && !cluster.node_ids().contains(&id)
    {
        return Err(NodeError::Unknown(id).into());
    }
    cluster.inject(fault);
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ByChance {
    seed: u64,
    one_in: Option<u32>,
    api: Option<String>,
    max_delay_ms: Option<u64>,
}

pub(super) async fn by_chance(
    Live(cluster): Live,
    how: Result<Json<ByChance>, JsonRejection>,
) -> Told {
    let Json(how) = how?;
    let mut faults = RandomFaults::new(how.seed);
    if let Some(requests) = how.one_in {
        faults = faults.one_in(requests);
    }
    if let Some(milliseconds) = how.max_delay_ms {
        faults = faults.max_delay(Duration::from_millis(milliseconds));
    }
    if let Some(name) = &how.api {
        faults = faults.api(api(name)?);
    }
    cluster.inject_random(faults);
    done()
}

pub(super) async fn clear(Live(cluster): Live) -> Told {
    cluster.clear_faults();
    done()
}

/// An API by its name, as a fault names it.
pub(super) fn api(name: &str) -> Result<ApiKey, Refusal> {
    ApiKey::named(name).ok_or_else(|| Refusal::bad(format!("{name}: Kafka has no such API")))
}
