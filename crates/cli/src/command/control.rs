//! `ottla control`: speaks to the control port of a running broker.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::print;
use crate::args::control::{Ask, ControlArgs};
use crate::exit::{Exit, Failure};
use crate::talk::Talk;

/// More than ten thousand requests in words.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// How long the port has for its answer, beside what it was told to wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks, and prints what is told.
pub(crate) async fn run(args: ControlArgs, _talk: &Talk) -> Result<Exit, Failure> {
    let ask = args.order.ask();
    let waits_ms = ask.body.as_ref().and_then(|body| body["timeout_ms"].as_u64());
    let patience = PATIENCE + Duration::from_millis(waits_ms.unwrap_or_default());
    let unreachable = |why: String| {
        Failure::new(Exit::Unreachable, format!("{}: {why}", args.at))
            .cure("give the port that 'ottla broker --control' has told with --at")
    };
    let told = tokio::time::timeout(patience, exchange(&args.at, &ask)).await;
    let (status, body) = match told {
        Ok(Ok(told)) => told,
        Ok(Err(error)) => return Err(unreachable(error)),
        Err(_) => return Err(unreachable("no answer".to_owned())),
    };
    let body: Value = serde_json::from_slice(&body)
        .map_err(|_| unreachable("what answers is no control port".to_owned()))?;
    if let Some(error) = body["error"].as_str() {
        return Err(Failure::new(exit_of(status), error));
    }
    let text = serde_json::to_string_pretty(&body).unwrap_or_default();
    print(format!("{text}\n").as_bytes())?;
    Ok(if body["met"] == false { Exit::SomeFailed } else { Exit::Done })
}

/// A cluster that is in another state than was thought is no wrong usage.
fn exit_of(status: hyper::StatusCode) -> Exit {
    match status.is_server_error() || status == hyper::StatusCode::CONFLICT {
        true => Exit::SomeFailed,
        false => Exit::Usage,
    }
}

async fn exchange(address: &str, ask: &Ask) -> Result<(hyper::StatusCode, Bytes), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let body = ask.body.as_ref().map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(ask.method)
        .uri(&ask.path)
        .header(HOST, address)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(answered);
    tokio::select! {
        answer = &mut answered => answer,
        ended = connection => match ended {
            // The last bytes may have come with the end.
            Ok(()) => answered.await,
            Err(error) => Err(error.to_string()),
        },
    }
}
