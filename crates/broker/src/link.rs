//! The way between a node and its clients, when it is long or narrow.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

/// How much is taken from a socket at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// What lies between a node and its clients: how long bytes take, and how many fit.
///
/// # Examples
/// ```
/// use ottla_broker::{Cluster, Link};
/// use std::time::Duration;
///
/// let cluster = Cluster::builder().topic("t", 1).start()?;
/// let far = Link::new().round_trip(Duration::from_millis(80)).bytes_per_second(1_000_000);
/// cluster.set_link(1, Some(far))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a link does nothing until a cluster has it"]
pub struct Link {
    round_trip: Duration,
    bytes_per_second: Option<u64>,
    window_bytes: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

impl Link {
    /// A link without delay or limit, and with a window of 4 MiB.
    pub fn new() -> Self {
        let window_bytes = 4 * 1024 * 1024;
        Self { round_trip: Duration::ZERO, bytes_per_second: None, window_bytes }
    }

    /// How long a byte and what answers it are on their way together. Default 0.
    pub fn round_trip(self, round_trip: Duration) -> Self {
        Self { round_trip, ..self }
    }

    /// How many bytes arrive in a second, for each connection and direction; 1 at least. Default:
    /// as many as come.
    pub fn bytes_per_second(self, bytes: u64) -> Self {
        Self { bytes_per_second: Some(bytes.max(1)), ..self }
    }

    /// How many bytes may be on their way, for each connection and direction; 1 at least. Whoever
    /// sends more waits. Default 4 MiB.
    pub fn window_bytes(self, bytes: u32) -> Self {
        Self { window_bytes: bytes.max(1), ..self }
    }

    /// How long the link is taken by so many bytes.
    fn time_for(&self, bytes: usize) -> Duration {
        let seconds = self.bytes_per_second.map(|most| bytes as f64 / most as f64);
        Duration::from_secs_f64(seconds.unwrap_or_default())
    }
}

/// The node's end of a link whose other end is a socket. What is on its way when either side closes
/// still arrives.
pub(crate) fn join(stream: TcpStream, link: Link) -> DuplexStream {
    let (near, far) = duplex(CHUNK_BYTES);
    let (from_client, to_client) = stream.into_split();
    let (from_node, to_node) = tokio::io::split(far);
    tokio::spawn(carry(from_client, to_node, link));
    tokio::spawn(carry(from_node, to_client, link));
    near
}

/// Bytes on their way, and when they arrive.
struct InTransit {
    due: Instant,
    bytes: Vec<u8>,
}

/// Carries one direction until nothing more comes and all of it has arrived, or nobody takes it.
async fn carry(from: impl AsyncRead + Unpin, to: impl AsyncWrite + Unpin, link: Link) {
    let (sender, receiver) = unbounded_channel();
    let window = Semaphore::new(link.window_bytes as usize);
    let taking = async {
        take(from, sender, &window, link).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = give(to, receiver, &window) => {}
        () = taking => {}
    }
}

async fn take(
    mut from: impl AsyncRead + Unpin,
    sender: UnboundedSender<InTransit>,
    window: &Semaphore,
    link: Link,
) {
    let mut room = vec![0; CHUNK_BYTES.min(link.window_bytes as usize)];
    let mut free_at = Instant::now();
    while let Ok(count @ 1..) = from.read(&mut room).await {
        let Ok(permits) = window.acquire_many(count as u32).await else {
            return;
        };
        permits.forget();
        free_at = free_at.max(Instant::now()) + link.time_for(count);
        let due = free_at + link.round_trip / 2;
        if sender.send(InTransit { due, bytes: room[..count].to_vec() }).is_err() {
            return;
        }
    }
}

async fn give(
    mut to: impl AsyncWrite + Unpin,
    mut receiver: UnboundedReceiver<InTransit>,
    window: &Semaphore,
) {
    while let Some(InTransit { due, bytes }) = receiver.recv().await {
        sleep_until(due).await;
        if to.write_all(&bytes).await.is_err() {
            return;
        }
        window.add_permits(bytes.len());
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What arrives of so many bytes, and after how long.
    async fn carried(link: Link, count: usize) -> (usize, Duration) {
        let (mut client, from) = duplex(count);
        let (to, mut node) = duplex(count);
        let begin = Instant::now();
        let carrying = carry(from, to, link);
        let sending = async {
            client.write_all(&vec![7; count]).await.unwrap();
            drop(client);
        };
        let mut arrived = Vec::new();
        let receiving = async { node.read_to_end(&mut arrived).await.unwrap() };
        tokio::join!(carrying, sending, receiving);
        (arrived.len(), begin.elapsed())
    }

    fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(work)
    }

    fn milliseconds(duration: Duration) -> u128 {
        duration.as_millis()
    }

    #[test]
    fn bytes_arrive_after_half_a_round_trip_and_no_faster_than_the_link_is() {
        let far = Link::new().round_trip(Duration::from_millis(80));
        for (link, count, expected) in [
            (Link::new(), 100_000, 0),
            (far, 100_000, 40),
            (far.bytes_per_second(100_000), 50_000, 540),
            (Link::new().bytes_per_second(1), 3, 3000),
        ] {
            let (arrived, took) = in_virtual_time(carried(link, count));
            let took = milliseconds(took);
            assert_eq!(arrived, count);
            assert!((expected..expected + 20).contains(&took), "{link:?}: {took} ms");
        }
    }

    #[test]
    fn what_does_not_fit_the_window_waits_until_something_has_arrived() {
        let far = Link::new().round_trip(Duration::from_millis(80)).window_bytes(1000);
        let (arrived, took) = in_virtual_time(carried(far, 5000));
        assert_eq!((arrived, milliseconds(took) / 40), (5000, 5));
    }
}
