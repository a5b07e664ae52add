//! The control port of `ottla broker`: faults, outages and what was asked, over HTTP and JSON, for
//! tests in any language.

mod answer;
mod faults;
mod nodes;
mod partitions;
mod requests;
mod wait;

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use axum::extract::{FromRequestParts, Request};
use axum::http::header::ORIGIN;
use axum::http::request::Parts;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use ottla_broker::Cluster;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::answer::{Refusal, Told};

/// The cluster, while it is there. Nobody keeps it: it ends in order when the command lets go.
struct Live(Arc<Cluster>);

impl FromRequestParts<Weak<Cluster>> for Live {
    type Rejection = Refusal;

    async fn from_request_parts(_: &mut Parts, cluster: &Weak<Cluster>) -> Result<Self, Refusal> {
        cluster.upgrade().map(Self).ok_or_else(Refusal::ending)
    }
}

/// What can be asked, for whoever looks.
const ENDPOINTS: [&str; 22] = [
    "GET /nodes",
    "POST /nodes/{id}/kill | cut-power | stop | start | pause | resume | isolate | hold | release | fill-disk \
     | free-disk",
    "POST /nodes/{id}/link {\"round_trip_ms\": 80, \"bytes_per_second\": 1000000} | {}",
    "POST /nodes/{id}/address {\"host\": \"h\", \"port\": 9092}",
    "POST /cut {\"nodes\": [1, 2]} | {\"nodes\": [1, 2], \"one_way\": true}",
    "POST /heal",
    "POST /producers/forget",
    "POST /producers/first-epoch {\"epoch\": 32766}",
    "POST /outages {\"seed\": 7}",
    "DELETE /outages",
    "GET /topics",
    "GET /topics/{topic}/{partition}",
    "POST /topics/{topic}/{partition}/leader {\"node\": 2} | {\"preferred\": true} | \
     {\"unclean\": true}",
    "GET /faults",
    "POST /faults {\"api\": \"Produce\", \"error\": \"NOT_LEADER_OR_FOLLOWER\", \"times\": 3}",
    "POST /faults/random {\"seed\": 7, \"one_in\": 20}",
    "DELETE /faults",
    "GET /requests?api=Produce",
    "DELETE /requests",
    "POST /wait {\"in_sync\": true, \"timeout_ms\": 10000}",
    "POST /wait {\"requests\": 3, \"api\": \"Produce\"}",
    "POST /wait {\"topic\": \"t\", \"partition\": 0, \"leader\": 2}",
];

/// Serves the control port until the runtime ends, or this future is dropped.
pub(crate) async fn serve(listener: TcpListener, cluster: &Arc<Cluster>) -> std::io::Result<()> {
    axum::serve(listener, router(Arc::downgrade(cluster))).await
}

/// Binds the control port.
pub(crate) async fn bind(address: &str) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

fn router(cluster: Weak<Cluster>) -> Router {
    Router::new()
        .route("/", get(about))
        .route("/nodes", get(nodes::list))
        .route("/nodes/{id}/{what}", post(nodes::act))
        .route("/nodes/{id}/link", post(nodes::link))
        .route("/nodes/{id}/address", post(nodes::advertise))
        .route("/cut", post(nodes::cut))
        .route("/heal", post(nodes::heal))
        .route("/producers/forget", post(nodes::forget_producers))
        .route("/producers/first-epoch", post(nodes::first_epoch))
        .route("/outages", post(nodes::outage).delete(nodes::end_outage))
        .route("/topics", get(partitions::topics))
        .route("/topics/{topic}/{partition}", get(partitions::one))
        .route("/topics/{topic}/{partition}/leader", post(partitions::lead))
        .route("/faults", get(faults::pending).post(faults::inject).delete(faults::clear))
        .route("/faults/random", post(faults::by_chance))
        .route("/requests", get(requests::list).delete(requests::clear))
        .route("/wait", post(wait::wait))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(middleware::from_fn(refuse_browsers))
        .layer(axum::Extension(nodes::Present::default()))
        .with_state(cluster)
}

/// A page that somebody looks at must not reach what listens on their machine.
async fn refuse_browsers(request: Request, next: Next) -> Result<Response, Refusal> {
    match request.headers().contains_key(ORIGIN) {
        true => Err(Refusal::forbidden("pages in a browser have no business here")),
        false => Ok(next.run(request).await),
    }
}

async fn about(Live(cluster): Live) -> Json<Value> {
    Json(json!({
        "bootstrap_servers": cluster.bootstrap_servers(),
        "version": env!("CARGO_PKG_VERSION"),
        "endpoints": ENDPOINTS,
    }))
}

async fn unknown() -> Refusal {
    Refusal::not_found("there is no such thing to ask or do; GET / lists what there is")
}

/// Does something with the cluster that may take its time.
async fn with<T: Send + 'static>(
    cluster: Arc<Cluster>,
    work: impl FnOnce(&Cluster) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(move || work(&cluster)).await;
    done.map_err(|error| Refusal::broken(&error.to_string()))
}

/// That it was done.
fn done() -> Told {
    Ok(Json(json!({ "done": true })))
}
