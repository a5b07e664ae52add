//! Nodes: how they are, and what is done to them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::{Extension, Json};
use ottla_broker::{Cluster, Link, NodeAct, NodeError, NodeState, Outages};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::answer::{Refusal, Told};
use super::{Live, done, with};

/// The outages that are under way, with their seed.
#[derive(Clone, Debug, Default)]
pub(super) struct Present(Arc<Mutex<Option<(u64, Outages)>>>);

pub(super) async fn list(Live(cluster): Live) -> Json<Value> {
    let nodes = cluster.nodes().into_iter().map(|node| {
        json!({
            "id": node.id,
            "address": node.address.to_string(),
            "state": match node.state {
                NodeState::Running => "running",
                NodeState::Paused => "paused",
                NodeState::Down => "down",
            },
            "is_fenced": node.is_fenced,
            "holds_replication": node.holds_replication,
            "has_full_disk": node.has_full_disk,
        })
    });
    Json(nodes.collect())
}

pub(super) async fn act(
    Live(cluster): Live,
    path: Result<Path<(i32, String)>, PathRejection>,
) -> Told {
    let Path((id, what)) = path?;
    let Some(act) = NodeAct::named(&what) else {
        let names = NodeAct::ALL.map(NodeAct::name).join(", ");
        return Err(Refusal::not_found(format!("{what} is nothing that is done: {names}")));
    };
    with(cluster, move |cluster| cluster.act(id, act)).await??;
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cut {
    nodes: [i32; 2],
    /// The second one does not hear the first, which hears it.
    #[serde(default)]
    one_way: bool,
}

pub(super) async fn cut(Live(cluster): Live, cut: Result<Json<Cut>, JsonRejection>) -> Told {
    let Json(Cut { nodes: [one, other], one_way }) = cut?;
    let work = move |cluster: &Cluster| match one_way {
        true => cluster.cut_one_way(one, other),
        false => cluster.cut_nodes(one, other),
    };
    with(cluster, work).await??;
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Between {
    round_trip_ms: Option<u64>,
    bytes_per_second: Option<u64>,
    window_bytes: Option<u32>,
}

/// Puts something between a node and its clients; of nothing, it takes it away.
pub(super) async fn link(
    Live(cluster): Live,
    id: Result<Path<i32>, PathRejection>,
    between: Result<Json<Between>, JsonRejection>,
) -> Told {
    let Path(id) = id?;
    let Json(Between { round_trip_ms, bytes_per_second, window_bytes }) = between?;
    let mut link = Link::new();
    if let Some(milliseconds) = round_trip_ms {
        link = link.round_trip(Duration::from_millis(milliseconds));
    }
    if let Some(bytes) = bytes_per_second {
        link = link.bytes_per_second(bytes);
    }
    if let Some(bytes) = window_bytes {
        link = link.window_bytes(bytes);
    }
    let link = (link != Link::new()).then_some(link);
    with(cluster, move |cluster| cluster.set_link(id, link)).await??;
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Address {
    host: String,
    port: u16,
}

pub(super) async fn advertise(
    Live(cluster): Live,
    id: Result<Path<i32>, PathRejection>,
    address: Result<Json<Address>, JsonRejection>,
) -> Told {
    let Path(id) = id?;
    let Json(Address { host, port }) = address?;
    with(cluster, move |cluster| cluster.advertise_node(id, host, port)).await??;
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Epoch {
    epoch: i16,
}

pub(super) async fn first_epoch(
    Live(cluster): Live,
    epoch: Result<Json<Epoch>, JsonRejection>,
) -> Told {
    let Json(Epoch { epoch }) = epoch?;
    if epoch < 0 {
        return Err(Refusal::bad(format!("epochs are 0 and up, not {epoch}")));
    }
    with(cluster, move |cluster| cluster.set_first_producer_epoch(epoch)).await?;
    done()
}

pub(super) async fn heal(Live(cluster): Live) -> Told {
    with(cluster, Cluster::heal).await?;
    done()
}

pub(super) async fn forget_producers(Live(cluster): Live) -> Told {
    with(cluster, Cluster::forget_producers).await?;
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seed {
    seed: u64,
}

/// Ends the present outage and begins the seed's next.
pub(super) async fn outage(
    Live(cluster): Live,
    Extension(Present(present)): Extension<Present>,
    seed: Result<Json<Seed>, JsonRejection>,
) -> Told {
    let Json(Seed { seed }) = seed?;
    let mut present = present.lock_owned().await;
    let told = with(cluster, move |cluster| {
        if let Some((old, outages)) = present.as_mut().filter(|(old, _)| *old != seed) {
            tracing::debug!(old, seed, "other outages");
            outages.end(cluster)?;
            *present = None;
        }
        present.get_or_insert_with(|| (seed, Outages::new(seed))).1.next(cluster)
    });
    Ok(Json(json!({ "told": told.await?? })))
}

pub(super) async fn end_outage(
    Live(cluster): Live,
    Extension(Present(present)): Extension<Present>,
) -> Told {
    let mut present = present.lock_owned().await;
    let told = with(cluster, move |cluster| match present.as_mut() {
        Some((_, outages)) => {
            let told = outages.end(cluster)?;
            *present = None;
            Ok::<_, NodeError>(told)
        }
        None => Ok(String::new()),
    });
    Ok(Json(json!({ "told": told.await?? })))
}
