//! One connection's two tasks: the reader and the writer.

use std::io::{self, IoSlice};
use std::pin::pin;
use std::time::Duration;

use bytes::BytesMut;
use ottla_core::output::{ConnectionId, Frame, Transmit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{ConnectError, Incoming};
use crate::memory::Chunk;
use crate::security::{Security, Stream};
use crate::shared::ClientHost;

/// What the driver gives a connection to write.
pub(crate) type Outgoing = Transmit<ClientHost>;

/// A connection's tasks. Dropping it closes the socket, whatever is under way (law L7: a frame
/// that was begun ends with its connection).
pub(crate) struct Wire {
    outgoing: mpsc::UnboundedSender<Outgoing>,
    task: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    /// Begins to connect to `server`.
    pub(crate) fn open(
        id: ConnectionId,
        server: String,
        timeout: Duration,
        security: Security,
        incoming: mpsc::UnboundedSender<Incoming>,
    ) -> Self {
        let (outgoing, frames) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let end = match security.open(&server, timeout).await {
                Ok(stream) => {
                    let _ = incoming.send(Incoming::Connected(id));
                    let end = carry(id, stream, frames, &incoming).await;
                    told(id, end, |error| security.explain(&server, error))
                }
                Err(error) if error.is_refusal() => Incoming::Refused(id, error.to_string()),
                Err(error) => Incoming::Gone(id, error.to_string()),
            };
            let _ = incoming.send(end);
        });
        Self { outgoing, task }
    }

    /// Queues a frame.
    pub(crate) fn send(&self, transmit: Outgoing) {
        // A connection that has ended says so itself; its frames are dropped with it.
        let _ = self.outgoing.send(transmit);
    }
}

/// Why a connection ended.
enum End {
    /// The server closed it.
    Closed,
    /// Nobody is left to tell.
    Over,
    /// It broke.
    Broke(io::Error),
}

fn told(
    id: ConnectionId,
    end: End,
    explain: impl FnOnce(&io::Error) -> Option<ConnectError>,
) -> Incoming {
    let error = match end {
        End::Closed => return Incoming::Gone(id, "the server closed the connection".into()),
        End::Over => return Incoming::Gone(id, "the producer has ended".into()),
        End::Broke(error) => error,
    };
    match explain(&error) {
        Some(why) if why.is_refusal() => Incoming::Refused(id, why.to_string()),
        Some(why) => Incoming::Gone(id, why.to_string()),
        None => Incoming::Gone(id, format!("the connection broke: {error}")),
    }
}

/// How long the server's last words are waited for when it takes no more of ours: with TLS 1.3 it
/// says only after the handshake that it does not accept our certificate.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(500);

/// Carries bytes both ways until the connection ends; says why it did.
async fn carry(
    id: ConnectionId,
    stream: Stream,
    frames: mpsc::UnboundedReceiver<Outgoing>,
    incoming: &mpsc::UnboundedSender<Incoming>,
) -> End {
    match stream {
        Stream::Plain(stream) => {
            let (reader, writer) = stream.into_split();
            both(read(id, reader, incoming), write(writer, frames, incoming)).await
        }
        #[cfg(feature = "tls")]
        Stream::Tls(stream) => {
            let (reader, writer) = tokio::io::split(stream);
            both(read(id, reader, incoming), write(writer, frames, incoming)).await
        }
    }
}

/// The end of whichever ends first; that of reading, if writing fails and it says more.
async fn both(read: impl Future<Output = End>, write: impl Future<Output = End>) -> End {
    let mut read = pin!(read);
    tokio::select! {
        end = &mut read => end,
        end = write => match tokio::time::timeout(LAST_WORDS_WITHIN, read).await {
            Ok(End::Broke(error)) => End::Broke(error),
            _ => end,
        },
    }
}

/// Passes bytes on until the connection ends; says why it did.
async fn read(
    id: ConnectionId,
    mut reader: impl AsyncRead + Unpin,
    incoming: &mpsc::UnboundedSender<Incoming>,
) -> End {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(16 << 10);
        match reader.read_buf(&mut buffer).await {
            Ok(0) => return End::Closed,
            Ok(_) => {
                let bytes = buffer.split().freeze();
                if incoming.send(Incoming::Bytes(id, bytes)).is_err() {
                    return End::Over;
                }
            }
            Err(error) => return End::Broke(error),
        }
    }
}

/// Writes frames, whole and in order, until the connection ends; says why it did.
async fn write(
    mut writer: impl AsyncWrite + Unpin,
    mut frames: mpsc::UnboundedReceiver<Outgoing>,
    incoming: &mpsc::UnboundedSender<Incoming>,
) -> End {
    while let Some(transmit) = frames.recv().await {
        if let Err(error) = write_frame(&mut writer, &transmit.frame).await {
            return End::Broke(error);
        }
        if let Some(token) = transmit.written_token {
            let _ = incoming.send(Incoming::Written(token));
        }
    }
    // The driver has let go of the connection.
    std::future::pending().await
}

/// The most pieces that one system call takes.
const SLICES_MAX: usize = 1024;

async fn write_frame(
    writer: &mut (impl AsyncWrite + Unpin),
    frame: &Frame<Chunk>,
) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = frame.slices().map(IoSlice::new).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        let count = rest.len().min(SLICES_MAX);
        let written = writer.write_vectored(&rest[..count]).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut rest, written);
    }
    // What TLS has encrypted may wait inside of it for the socket to take more.
    writer.flush().await
}
