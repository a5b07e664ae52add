//! One connection: frames in, answers out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use ottla_protocol::frame::{FrameError, FrameReader};
use tokio::io::AsyncReadExt;

use crate::life::Alive;
use crate::outgoing::Outgoing;
use crate::peers::{ConnectionId, Flow, Transmit};
use crate::server::{Door, Outbox};
use crate::spare_buffers;
use crate::wire::{self, Wire};

/// How much is read at once, at least.
const READ_BYTES: usize = 64 * 1024;
/// Answers are gathered up to this size while more requests are at hand.
const WRITE_BYTES: usize = 256 * 1024;
/// Buffers above this size are given back, to the next that needs one, once they are empty.
const KEPT_BYTES: usize = 256 * 1024;

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The client closed it.
    Closed,
    /// The broker closed it; the reason has been told already.
    Refused,
    /// What came were no frames.
    NotFrames(FrameError),
    /// Nothing came for too long.
    Idle,
    /// The node was killed.
    Killed,
    /// The network failed.
    Io(io::Error),
}

/// One connection while it lasts.
pub(crate) struct Connection<'a, S> {
    pub(crate) door: &'a Arc<Door>,
    pub(crate) id: ConnectionId,
    pub(crate) stream: &'a mut S,
    pub(crate) frames: FrameReader,
    pub(crate) outbox: Outbox,
    pub(crate) out: Outgoing,
    pub(crate) max_idle: Duration,
    /// Requests may be larger once it is known who sends them.
    pub(crate) is_limited: bool,
    pub(crate) alive: Alive,
}

impl<S: Wire> Connection<'_, S> {
    /// Serves the client until either side has had enough, or the node's life is over.
    pub(crate) async fn run(mut self) -> End {
        let mut alive = self.alive.clone();
        tokio::select! {
            biased;
            () = alive.over() => End::Killed,
            served = self.serve_frames() => match served {
                Ok(never) => match never {},
                Err(end) => end,
            },
        }
    }

    async fn serve_frames(&mut self) -> Result<std::convert::Infallible, End> {
        loop {
            while let Some(frame) = self.frames.next().map_err(End::NotFrames)? {
                self.alive.running().await;
                if self.out.bytes.capacity() == 0 {
                    self.out.bytes = spare_buffers::take();
                }
                let flow = self.door.request(self.id, &frame, &mut self.out);
                drop(frame);
                if self.is_limited {
                    self.set_limit();
                }
                self.follow(flow).await?;
            }
            self.write().await?;
            self.read().await?;
        }
    }

    fn set_limit(&mut self) {
        let id = self.id;
        let max_bytes = self.door.with_nodes(|nodes, _| nodes.max_request_bytes(id));
        self.is_limited = max_bytes == self.frames.max_bytes();
        self.frames.set_max_bytes(max_bytes);
    }

    /// Does what the node said, until the next request may come.
    async fn follow(&mut self, mut flow: Flow) -> Result<(), End> {
        loop {
            match flow {
                Flow::Continue if self.out.length() < WRITE_BYTES => return Ok(()),
                Flow::Continue => return self.write().await,
                Flow::Wait => {
                    self.write().await?;
                    let transmit = self.wait().await?;
                    self.out = transmit.out;
                    flow = transmit.flow;
                }
                Flow::Pause(duration) => {
                    self.write().await?;
                    tokio::time::sleep(duration).await;
                    return Ok(());
                }
                Flow::Close => {
                    self.write().await?;
                    return Err(End::Refused);
                }
            }
        }
    }

    /// Waits for the node's answer, and notices when the client goes away meanwhile.
    async fn wait(&mut self) -> Result<Transmit, End> {
        loop {
            let may_read = self.frames.buffered_bytes() < WRITE_BYTES;
            self.frames.buffer_mut().reserve(READ_BYTES);
            tokio::select! {
                transmit = self.outbox.recv() => return transmit.ok_or(End::Refused),
                read = self.stream.read_buf(self.frames.buffer_mut()), if may_read => match read {
                    Ok(0) => return Err(End::Closed),
                    Ok(_) => {}
                    Err(error) => return Err(End::Io(error)),
                },
            }
        }
    }

    async fn read(&mut self) -> Result<(), End> {
        let missing = missing_bytes(&mut self.frames);
        let buffer = self.frames.buffer_mut();
        if buffer.is_empty() && buffer.capacity() > KEPT_BYTES {
            *buffer = BytesMut::new();
        }
        // Never far ahead of what has really come, whatever length was announced.
        buffer.reserve(missing.min(buffer.len()).max(READ_BYTES));
        match tokio::time::timeout(self.max_idle, self.stream.read_buf(buffer)).await {
            Ok(Ok(0)) => Err(End::Closed),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(End::Io(error)),
            Err(_) => Err(End::Idle),
        }
    }

    async fn write(&mut self) -> Result<(), End> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.alive.running().await;
        let sending = wire::send(self.stream, &self.out);
        let written = tokio::time::timeout(self.max_idle, sending).await;
        self.out.clear();
        if self.out.bytes.capacity() > KEPT_BYTES {
            spare_buffers::give(std::mem::take(&mut self.out.bytes));
        }
        match written {
            Ok(result) => result.map_err(End::Io),
            Err(_) => Err(End::Idle),
        }
    }
}

/// How many bytes the frame that has begun still needs, as far as it says.
fn missing_bytes(frames: &mut FrameReader) -> usize {
    let buffer = frames.buffer_mut();
    let announced = buffer.first_chunk().map_or(0, |prefix| i32::from_be_bytes(*prefix));
    usize::try_from(announced).unwrap_or_default().saturating_sub(buffer.len())
}
