//! A server for tests that answers as it is told.

use bytes::Bytes;
use ottla_protocol::frame::FrameReader;
use ottla_protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use ottla_protocol::{ApiKey, Message, Reader, RequestHeader, encode_response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What the server does with a request.
pub(crate) enum Answer {
    /// Sends a frame.
    Frame(Vec<u8>),
    /// Closes the connection.
    Close,
}

/// A request as the server sees it.
pub(crate) struct Asked {
    pub(crate) header: RequestHeader,
    body: Bytes,
}

impl Asked {
    pub(crate) fn api(&self) -> ApiKey {
        self.header.api_key
    }

    /// The request's body.
    pub(crate) fn body<M: Message>(&self) -> M {
        M::decode(&mut Reader::new(&self.body), self.header.api_version).unwrap()
    }

    /// An answer in the version of the request.
    pub(crate) fn with<M: Message>(&self, response: &M) -> Answer {
        self.with_version(response, self.header.api_version)
    }

    pub(crate) fn with_version<M: Message>(&self, response: &M, version: i16) -> Answer {
        let mut frame = Vec::new();
        let id = self.header.correlation_id;
        encode_response(self.api(), version, id, response, &mut frame).unwrap();
        Answer::Frame(frame)
    }

    /// The answer to ApiVersions of a broker that speaks all that we do.
    pub(crate) fn with_our_versions(&self) -> Answer {
        let ours = (0..100).map(ApiKey).filter_map(|api| Some((api, api.versions()?)));
        let api_keys = ours.map(|(api, versions)| ApiVersion {
            api_key: api.0,
            min_version: versions.min,
            max_version: versions.max,
        });
        self.with(&ApiVersionsResponse { api_keys: api_keys.collect(), ..Default::default() })
    }
}

/// Serves connections, one after the other, until the test ends; gives the address.
pub(crate) async fn serve(mut answer: impl FnMut(Asked) -> Answer + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // Connections take turns at the script, so that the script need not be shared.
    let (sender, mut asked) = mpsc::unbounded_channel::<(Asked, mpsc::UnboundedSender<Answer>)>();
    tokio::spawn(async move {
        while let Some((asked, reply)) = asked.recv().await {
            let _ = reply.send(answer(asked));
        }
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, sender.clone()));
        }
    });
    address
}

async fn converse(
    mut stream: TcpStream,
    script: mpsc::UnboundedSender<(Asked, mpsc::UnboundedSender<Answer>)>,
) {
    let mut frames = FrameReader::new(1 << 20);
    let (reply, mut replies) = mpsc::unbounded_channel();
    loop {
        // Anything but a request, such as a probe for TLS, ends the conversation.
        let Ok(next) = frames.next() else { return };
        let Some(frame) = next else {
            match stream.read_buf(frames.buffer_mut()).await {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            }
        };
        let mut reader = Reader::new(&frame);
        let header = RequestHeader::decode(&mut reader).unwrap();
        let body = frame.slice(reader.position()..);
        if script.send((Asked { header, body }, reply.clone())).is_err() {
            return;
        }
        match replies.recv().await {
            Some(Answer::Frame(frame)) => stream.write_all(&frame).await.unwrap(),
            Some(Answer::Close) | None => return,
        }
    }
}
