//! One POST by HTTP/1.1 (RFC 9112) over TLS, and its answer.
//!
//! This much is simpler than to have a library for HTTP do it without redirects, proxies, kept
//! connections, and traces of what it sends, which here is a secret.

use std::io;
use std::time::Duration;

use ottla_core::config::RefreshConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::super::source::Failure;
use super::endpoint::Endpoint;
use super::explain_tls;
use crate::net;
use crate::tls::Tls;

/// The largest body that is read. Tokens have some kilobytes.
pub(super) const BODY_BYTES_MAX: usize = 64 << 10;
/// The largest head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// What a body may have more, if it comes in chunks.
const CHUNKS_BYTES_MAX: usize = 16 << 10;

/// What a server answered.
pub(super) struct Response {
    pub(super) status: u16,
    /// Names in small letters.
    headers: Vec<(String, String)>,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Response {
    /// The first header of that name, which is given in small letters.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
}

/// The bytes of a request.
pub(super) fn request(endpoint: &Endpoint, basic: Option<&str>, form: &str) -> Zeroizing<Vec<u8>> {
    let (target, authority) = (endpoint.target(), endpoint.authority());
    let (header, credentials, end) = match basic {
        Some(basic) => ("Authorization: Basic ", basic, "\r\n"),
        None => ("", "", ""),
    };
    let length = form.len().to_string();
    let parts = [
        "POST ",
        target,
        " HTTP/1.1\r\nHost: ",
        authority,
        "\r\n",
        header,
        credentials,
        end,
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ",
        &length,
        "\r\nAccept: application/json\r\nAccept-Encoding: identity\r\nUser-Agent: ottla/",
        env!("CARGO_PKG_VERSION"),
        "\r\nConnection: close\r\n\r\n",
        form,
    ];
    let mut request = Zeroizing::new(Vec::with_capacity(parts.iter().map(|it| it.len()).sum()));
    for part in parts {
        request.extend_from_slice(part.as_bytes());
    }
    request
}

/// Sends a request and reads what comes back, within the time that there is for that.
pub(super) async fn exchange(
    tls: &Tls,
    endpoint: &Endpoint,
    request: &[u8],
    limits: &RefreshConfig,
) -> Result<Response, Failure> {
    let server = endpoint.server();
    let open = async {
        let stream = net::connect(&server, limits.connect_timeout)
            .await
            .map_err(|error| Failure::passing(error.to_string()))?;
        let opened = tls.connect(&server, stream).await;
        opened.map_err(|error| explain_tls(endpoint, error.kind(), &error.to_string()))
    };
    let connecting = ("sasl.login.connect.timeout.ms", limits.connect_timeout);
    let mut stream = within(endpoint, connecting, open).await?;
    let talk = async {
        let broken = |error: io::Error| {
            let told = tls.explain(&server, &error);
            explain_tls(endpoint, told.kind(), &told.to_string())
        };
        stream.write_all(request).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        let wrong = |why: String| Failure::passing(format!("{endpoint} answered wrongly: {why}"));
        match read(&mut stream).await {
            Ok(response) => Ok(response),
            Err(Wrong::Broken(error)) => Err(broken(error)),
            Err(Wrong::Form(why)) => Err(wrong(why.to_owned())),
            Err(Wrong::TooLarge) => Err(Failure::lasting(format!(
                "{endpoint} answered with more than {} KiB, which is no token",
                BODY_BYTES_MAX >> 10
            ))),
        }
    };
    within(endpoint, ("sasl.login.read.timeout.ms", limits.read_timeout), talk).await
}

async fn within<T>(
    endpoint: &Endpoint,
    (setting, time): (&str, Duration),
    doing: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(time, doing).await {
        Ok(done) => done,
        Err(_) => Err(Failure::passing(format!(
            "{endpoint} took longer than {setting}={}",
            time.as_millis()
        ))),
    }
}

/// What is wrong with an answer.
#[derive(Debug)]
enum Wrong {
    Broken(io::Error),
    Form(&'static str),
    TooLarge,
}

/// Reads an answer to its end, which it says itself or which is that of the connection.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Response, Wrong> {
    let room = HEAD_BYTES_MAX + BODY_BYTES_MAX + CHUNKS_BYTES_MAX;
    // All of it at once, so that no bytes are left behind when it would move.
    let mut buffer = Zeroizing::new(vec![0; room]);
    let (mut start, mut end) = (0, 0);
    let mut head: Option<Head> = None;
    loop {
        if end == room {
            return Err(Wrong::TooLarge);
        }
        let count = stream.read(&mut buffer[end..]).await.map_err(Wrong::Broken)?;
        let is_over = count == 0;
        // A head may end in what came before.
        let mut looked = start.max(end.saturating_sub(3));
        end += count;
        while head.is_none()
            && let Some(at) = find(&buffer[looked..end], b"\r\n\r\n")
        {
            let after = looked + at + 4;
            if after - start > HEAD_BYTES_MAX {
                return Err(Wrong::TooLarge);
            }
            let parsed = Head::parse(&buffer[start..after])?;
            (start, looked) = (after, after);
            // Only the last answer counts (RFC 9110 §15.2).
            head = Some(parsed).filter(|head| !(100..200).contains(&head.status));
        }
        match &head {
            None if is_over => return Err(Wrong::Form("it ended too soon")),
            None if end - start > HEAD_BYTES_MAX => return Err(Wrong::TooLarge),
            None => {}
            Some(known) => {
                if let Some(body) = known.body(&buffer[start..end], is_over)? {
                    let Head { status, headers, .. } = head.take().ok_or(Wrong::Form("no head"))?;
                    return Ok(Response { status, headers, body });
                }
            }
        }
    }
}

/// How the end of a body is told.
enum Framing {
    Length(usize),
    Chunks,
    End,
}

struct Head {
    status: u16,
    headers: Vec<(String, String)>,
    framing: Framing,
}

impl Head {
    /// What stands before the body, with the empty line.
    fn parse(bytes: &[u8]) -> Result<Self, Wrong> {
        let text = str::from_utf8(bytes).map_err(|_| Wrong::Form("its head is no text"))?;
        let mut lines = text.split("\r\n").take_while(|line| !line.is_empty());
        let status = lines.next().and_then(|line| {
            let (version, rest) = line.split_once(' ')?;
            let code =
                rest.get(..3).filter(|_| matches!(rest.as_bytes().get(3), None | Some(b' ')))?;
            let is_code = code.bytes().all(|byte| byte.is_ascii_digit());
            (is_code && matches!(version, "HTTP/1.1" | "HTTP/1.0")).then(|| code.parse().ok())?
        });
        let status = status.ok_or(Wrong::Form("its first line is not that of HTTP/1.1"))?;
        let headers: Option<Vec<_>> = lines
            .map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect();
        let headers = headers.ok_or(Wrong::Form("a header has no colon"))?;
        if header(&headers, "content-encoding")
            .is_some_and(|it| !it.eq_ignore_ascii_case("identity"))
        {
            return Err(Wrong::Form("it is compressed, which was not asked for"));
        }
        let framing =
            match (header(&headers, "transfer-encoding"), header(&headers, "content-length")) {
                (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Framing::Chunks,
                (Some(_), _) => return Err(Wrong::Form("its transfer encoding is not known")),
                (None, Some(length)) => Framing::Length(content_length(length)?),
                (None, None) => Framing::End,
            };
        Ok(Self { status, headers, framing })
    }

    /// The body, if all of it is there.
    fn body(&self, bytes: &[u8], is_over: bool) -> Result<Option<Zeroizing<Vec<u8>>>, Wrong> {
        let body = match self.framing {
            Framing::Length(length) if bytes.len() >= length => Some(own(&bytes[..length])),
            // Its end is two line ends; to look for it at every byte would take long.
            Framing::Chunks if bytes.ends_with(b"\r\n\r\n") || is_over => unchunk(bytes)?,
            Framing::End if bytes.len() > BODY_BYTES_MAX => return Err(Wrong::TooLarge),
            Framing::End if is_over => Some(own(bytes)),
            Framing::Length(_) | Framing::Chunks | Framing::End => None,
        };
        if body.is_none() && is_over {
            return Err(Wrong::Form("it ended too soon"));
        }
        Ok(body)
    }
}

fn content_length(value: &str) -> Result<usize, Wrong> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Wrong::Form("its length is no number"));
    }
    match value.parse() {
        Ok(length) if length <= BODY_BYTES_MAX => Ok(length),
        _ => Err(Wrong::TooLarge),
    }
}

/// What chunks hold together (RFC 9112 §7.1); nothing if the last is not there.
fn unchunk(bytes: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Wrong> {
    let mut body = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut rest = bytes;
    loop {
        let Some(at) = find(rest, b"\r\n") else { return Ok(None) };
        let size = rest[..at].split(|byte| *byte == b';').next().unwrap_or_default();
        let size = str::from_utf8(size).map_or("", str::trim_ascii);
        if size.is_empty() || size.len() > 8 || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Wrong::Form("the size of a chunk is no number"));
        }
        let size = usize::from_str_radix(size, 16).map_err(|_| Wrong::TooLarge)?;
        rest = &rest[at + 2..];
        if size == 0 {
            // Trailers, if any, and an empty line.
            let is_whole = rest.starts_with(b"\r\n") || find(rest, b"\r\n\r\n").is_some();
            return Ok(Some(body).filter(|_| is_whole));
        }
        if size > BODY_BYTES_MAX - body.len() {
            return Err(Wrong::TooLarge);
        }
        if rest.len() < size + 2 {
            return Ok(None);
        }
        body.extend_from_slice(&rest[..size]);
        if !rest[size..].starts_with(b"\r\n") {
            return Err(Wrong::Form("a chunk has another size than it says"));
        }
        rest = &rest[size + 2..];
    }
}

fn own(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.to_vec())
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Hands out bytes one at a time, or all at once, and then ends.
    fn run(bytes: &[u8], is_slow: bool) -> Result<Response, Wrong> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            if is_slow {
                let (mut ours, mut theirs) = tokio::io::duplex(1);
                let write = async {
                    let _ = theirs.write_all(bytes).await;
                    drop(theirs);
                };
                tokio::join!(read(&mut ours), write).0
            } else {
                read(&mut &*bytes).await
            }
        })
    }

    fn body(answer: &str) -> String {
        let mut bodies = [false, true].map(|is_slow| {
            let body = run(answer.as_bytes(), is_slow).expect(answer).body;
            String::from_utf8(body.to_vec()).expect("text")
        });
        assert_eq!(bodies[0], bodies[1]);
        std::mem::take(&mut bodies[0])
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        assert_eq!(body("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"), "hi");
        assert_eq!(body("HTTP/1.1 200\r\nContent-Length:0\r\n\r\n"), "");
        assert_eq!(body("HTTP/1.0 200 OK\r\n\r\nhi"), "hi");
        assert_eq!(body("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhi"), "hi");
        let chunks = "4;x=y\r\n{\r\n\r\r\n1\r\n\n\r\n0\r\ntrailer: x\r\n\r\n";
        assert_eq!(
            body(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n{chunks}")),
            "{\r\n\r\n"
        );
    }

    /// Laws: L11. Scenarios: S8.
    #[test]
    fn an_answer_that_is_cut_or_makes_no_sense_is_refused() {
        for wrong in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nx",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhiho\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "SSH-2.0-x\r\n\r\n",
        ] {
            assert!(matches!(run(wrong.as_bytes(), false), Err(Wrong::Form(_))), "{wrong:?}");
        }
    }

    /// Laws: L11. Scenarios: S8.
    #[test]
    fn more_than_64_kib_are_not_read_however_they_are_announced() {
        let much = "x".repeat(BODY_BYTES_MAX + 1);
        let head = "HTTP/1.1 200 OK\r\n";
        for wrong in [
            format!("{head}content-length: 10485760\r\n\r\n"),
            format!("{head}content-length: 99999999999999999999999999\r\n\r\n"),
            format!("{head}\r\n{much}"),
            format!("{head}transfer-encoding: chunked\r\n\r\n10001\r\n{much}\r\n0\r\n\r\n"),
            format!("{head}transfer-encoding: chunked\r\n\r\nffffffff\r\n\r\n\r\n"),
            format!("{head}x: {much}\r\n\r\n"),
            format!("{head}transfer-encoding: chunked\r\n\r\n{}", "1\r\nx\r\n".repeat(70_000)),
        ] {
            assert!(
                matches!(run(wrong.as_bytes(), false), Err(Wrong::TooLarge)),
                "{}",
                wrong.len()
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in proptest::collection::vec(any::<u8>(), 0..200),
                                  head in 0..4_usize) {
            let heads = ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\n",
                         "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"];
            let bytes = [heads[head].as_bytes(), &tail].concat();
            if let Ok(response) = run(&bytes, false) {
                prop_assert!(response.body.len() <= bytes.len());
            }
        }
    }
}
