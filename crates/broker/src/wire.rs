//! How answers leave by a socket: bytes as they are, files by the system itself where it can
//! (`sendfile`), so that records need not pass through this process.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::log::FileSpan;
use crate::outgoing::{Outgoing, Piece};

/// How much of a file is read at once where the system cannot send it.
const READ_BYTES: usize = 256 * 1024;

/// A connection that files can be sent by.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    /// Sends bytes that are followed by more at once.
    fn send_more(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    /// Sends a part of a file.
    fn send_span(&mut self, span: &FileSpan) -> impl Future<Output = io::Result<()>> + Send;
}

/// Sends everything.
pub(crate) async fn send<W: Wire>(wire: &mut W, out: &Outgoing) -> io::Result<()> {
    for piece in out.pieces() {
        match piece {
            Piece::Bytes { bytes: [], .. } => {}
            Piece::Bytes { bytes, is_last: true } => wire.write_all(bytes).await?,
            Piece::Bytes { bytes, is_last: false } => wire.send_more(bytes).await?,
            Piece::Span(span) => wire.send_span(span).await?,
        }
    }
    // TLS may hold some of it back until then.
    wire.flush().await
}

/// Reads a part of a file and writes it.
async fn copy_span<W: AsyncWrite + Unpin>(wire: &mut W, span: &FileSpan) -> io::Result<()> {
    let mut left = span.clone();
    while left.length() > 0 {
        let bytes = left.front(READ_BYTES).read()?;
        wire.write_all(&bytes).await?;
        left = left.behind(bytes.len());
    }
    Ok(())
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for TlsStream<S> {
    async fn send_more(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await
    }

    async fn send_span(&mut self, span: &FileSpan) -> io::Result<()> {
        copy_span(self, span).await
    }
}

impl Wire for DuplexStream {
    async fn send_more(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await
    }

    async fn send_span(&mut self, span: &FileSpan) -> io::Result<()> {
        copy_span(self, span).await
    }
}

#[cfg(not(target_os = "linux"))]
impl Wire for TcpStream {
    async fn send_more(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await
    }

    async fn send_span(&mut self, span: &FileSpan) -> io::Result<()> {
        copy_span(self, span).await
    }
}

#[cfg(target_os = "linux")]
impl Wire for TcpStream {
    async fn send_more(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        use rustix::net::SendFlags;
        use tokio::io::Interest;

        while !bytes.is_empty() {
            let send = || {
                let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
                rustix::net::send(&*self, bytes, flags).map_err(io::Error::from)
            };
            let sent = self.async_io(Interest::WRITABLE, send).await?;
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    async fn send_span(&mut self, span: &FileSpan) -> io::Result<()> {
        use rustix::io::Errno;
        use tokio::io::Interest;

        let Some(file) = span.system_file() else {
            return copy_span(self, span).await;
        };
        let (mut at, end) = (span.position(), span.position() + span.length() as u64);
        while at < end {
            let send = || {
                let left = (end - at) as usize;
                let sent = rustix::fs::sendfile(&*self, file, Some(&mut at), left);
                sent.map_err(io::Error::from)
            };
            match self.async_io(Interest::WRITABLE, send).await {
                // The file was cut: what was promised cannot come any more.
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if Errno::from_io_error(&error) == Some(Errno::INTR) => {}
                // Not from this file system.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {
                    let sent = (at - span.position()) as usize;
                    return copy_span(self, &span.behind(sent)).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
