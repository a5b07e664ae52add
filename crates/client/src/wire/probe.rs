//! Finding out what a silent server is.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::net::connect;

/// A TLS record with a ClientHello that is cut short. A TLS server refuses it with an alert; a
/// server of another kind closes the connection or says something else.
const BROKEN_CLIENT_HELLO: [u8; 10] = [0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0];

/// How long the server gets at most.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the server answers TLS with TLS. Asked when it closed a plain connection without a
/// word, as most TLS servers do.
pub(super) async fn speaks_tls(server: &str, patience: Duration) -> bool {
    let patience = patience.min(PATIENCE);
    let ask = async {
        let mut stream = connect(server, patience).await.ok()?;
        stream.write_all(&BROKEN_CLIENT_HELLO).await.ok()?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await.ok()?;
        // An alert or a handshake record, version 3.x.
        Some(matches!(answer, [0x15 | 0x16, 3]))
    };
    timeout(patience, ask).await.ok().flatten().unwrap_or(false)
}
