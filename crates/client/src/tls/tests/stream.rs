//! Connections that are cut off, dripped into or flooded.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server};

use super::super::TlsErrorKind;
use super::pki::{Authority, Wanted};
use super::server::{BOTH, ONLY_1_2, ONLY_1_3, Server, config, dial, listen, ping};
use super::{says, tls, trusting};

/// A server that does this with its one connection.
async fn once<F>(
    config: ServerConfig,
    act: impl FnOnce(server::TlsStream<TcpStream>) -> F + Send + 'static,
) -> SocketAddr
where
    F: Future<Output = io::Result<()>> + Send,
{
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
        act(stream).await
    });
    address
}

/// Somebody on the way can end a TCP connection, but not TLS: what was read may be a part only.
/// Laws: none. Scenarios: S12.
#[tokio::test]
async fn an_end_without_close_notify_is_an_error_and_one_with_it_is_not() {
    let authority = Authority::new("authority");
    let pair = authority.issue(&Wanted::default());
    let tls = tls(&trusting(&authority));
    for versions in [ONLY_1_2, ONLY_1_3] {
        for is_cut in [true, false] {
            let address = once(config(&pair, versions, None), async move |mut stream| {
                stream.write_all(b"half an ans").await?;
                stream.flush().await?;
                if is_cut { stream.get_mut().0.shutdown().await } else { stream.shutdown().await }
            });
            let stream = dial(address.await).await;
            let mut stream = tls.connect("broker.test:9093", stream).await.expect("connected");
            let mut read = Vec::new();
            let end = stream.read_to_end(&mut read).await;
            assert_eq!(read, b"half an ans");
            match end {
                Ok(_) => assert!(!is_cut),
                Err(error) => {
                    assert!(is_cut);
                    let error = tls.explain("broker.test:9093", &error);
                    assert_eq!(error.kind(), TlsErrorKind::Lost);
                    says(&error, &["broker.test:9093", "close_notify"]);
                }
            }
        }
    }
}

/// Carries bytes from one side to the other, one at a time.
async fn drip(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match from.read(&mut buffer).await? {
            0 => return to.shutdown().await,
            n => {
                for byte in &buffer[..n] {
                    to.write_all(&[*byte]).await?;
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

/// Laws: L9. Scenarios: S12.
#[tokio::test]
async fn records_that_come_in_single_bytes_are_put_together() {
    let authority = Authority::new("authority");
    let pair = authority.issue(&Wanted::default());
    let tls = tls(&trusting(&authority));
    for versions in [ONLY_1_2, ONLY_1_3] {
        let address = once(config(&pair, versions, None), async |mut stream| {
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).await?;
            stream.write_all(&answer).await?;
            stream.shutdown().await
        });
        let behind = address.await;
        let (listener, address) = listen().await;
        tokio::spawn(async move {
            let (front, _) = listener.accept().await?;
            let back = TcpStream::connect(behind).await?;
            front.set_nodelay(true)?;
            let (front_in, front_out) = front.into_split();
            let (back_in, back_out) = back.into_split();
            tokio::try_join!(drip(front_in, back_out), drip(back_in, front_out)).map(drop)
        });
        let stream = dial(address).await;
        let mut stream = tls.connect("broker.test:9093", stream).await.expect("connected");
        ping(&mut stream).await.expect("an answer");
        assert_eq!(stream.read(&mut [0; 8]).await.expect("a clean end"), 0);
    }
}

/// Laws: L9, L11. Scenarios: S12.
#[tokio::test]
async fn a_hundred_tickets_are_read_and_thousands_end_the_connection() {
    let authority = Authority::new("authority");
    let pair = authority.issue(&Wanted::default());
    let tls = tls(&trusting(&authority));
    for (tickets, is_too_many) in [(100, false), (5000, true)] {
        let mut config = config(&pair, ONLY_1_3, None);
        config.send_tls13_tickets = tickets;
        let server = Server::start(config).await;
        let mut stream = server.connect(&tls, "broker.test").await.expect("connected");
        let answer = ping(&mut stream).await;
        assert_eq!(answer.is_err(), is_too_many, "{answer:?}");
        if let Err(error) = answer {
            let error = tls.explain("broker.test:9093", &error);
            assert_eq!(error.kind(), TlsErrorKind::Lost, "{error}");
        }
    }
}

/// Each new key costs us work, and is asked for with a few bytes.
/// Laws: L9, L11. Scenarios: S12.
#[tokio::test]
async fn a_flood_of_new_keys_ends_the_connection() {
    let authority = Authority::new("authority");
    let pair = authority.issue(&Wanted::default());
    let address = once(config(&pair, ONLY_1_3, None), async |mut stream| {
        for _ in 0..1000 {
            stream.get_mut().1.refresh_traffic_keys().map_err(io::Error::other)?;
        }
        stream.flush().await?;
        stream.read(&mut [0; 8]).await.map(drop)
    });
    let tls = tls(&trusting(&authority));
    let stream = dial(address.await).await;
    let mut stream = tls.connect("broker.test:9093", stream).await.expect("connected");
    let error = stream.read(&mut [0; 8]).await.expect_err("too much");
    let error = tls.explain("broker.test:9093", &error);
    assert_eq!(error.kind(), TlsErrorKind::Broken, "{error}");
    says(&error, &["broker.test:9093", "KeyUpdate"]);
}

/// A frame is a header and chunks: they become one stream of records without being copied together
/// before.
#[tokio::test]
async fn pieces_are_written_together() {
    let authority = Authority::new("authority");
    let pair = authority.issue(&Wanted::default());
    let server = Server::start(config(&pair, BOTH, None)).await;
    let tls = tls(&trusting(&authority));
    let mut stream = server.connect(&tls, "broker.test").await.expect("connected");
    assert!(stream.is_write_vectored());
    let pieces = [IoSlice::new(b"header "), IoSlice::new(b""), IoSlice::new(b"chunk")];
    assert_eq!(stream.write_vectored(&pieces).await.expect("written"), 12);
    stream.flush().await.expect("flushed");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"header chunk");
}
