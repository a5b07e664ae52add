//! A broker that misbehaves as it is told: an embedded one, whose answers somebody changes on the
//! way.
//!
//! Clients find it under the address of the go-between only. What is not touched is honest, down to
//! the log, so that a test can see what became of the records.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ottla_broker::{ApiKey, Cluster};
use ottla_protocol::messages::produce::ProduceRequest;
use ottla_protocol::{
    Message, Reader, RequestHeader, encode_response, response_header_is_flexible,
};

/// What is done to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The client gets these bytes.
    Write(Vec<u8>),
    /// The connection is closed, properly.
    Finish,
    /// The connection is closed as by a crash.
    Reset,
    /// Requests are read, and nothing is said any more.
    Mute,
    /// Nothing is read any more, until all becomes honest.
    Deaf,
}

/// An honest answer, to be spoilt.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked for.
    pub api: ApiKey,
    /// In which version.
    pub version: i16,
    /// The how many-th connection it was asked on.
    pub connection: usize,
    /// The whole frame with its length.
    pub frame: Vec<u8>,
}

impl Answer {
    /// The number that tells which request it answers.
    #[must_use]
    pub fn correlation_id(&self) -> i32 {
        i32::from_be_bytes([self.frame[4], self.frame[5], self.frame[6], self.frame[7]])
    }

    /// The frame as an answer to another request.
    #[must_use]
    pub fn numbered(&self, correlation_id: i32) -> Vec<u8> {
        let mut frame = self.frame.clone();
        frame[4..8].copy_from_slice(&correlation_id.to_be_bytes());
        frame
    }

    /// The frame with another length before it.
    #[must_use]
    pub fn sized(&self, size: i32) -> Vec<u8> {
        let mut frame = self.frame.clone();
        frame[..4].copy_from_slice(&size.to_be_bytes());
        frame
    }

    /// Where the body begins.
    fn body_at(&self) -> usize {
        8 + usize::from(response_header_is_flexible(self.api, self.version))
    }

    /// A frame of the same header and these bytes.
    #[must_use]
    pub fn with_body(&self, body: &[u8]) -> Vec<u8> {
        let mut frame = self.frame[..self.body_at()].to_vec();
        frame.extend_from_slice(body);
        let size = (frame.len() - 4) as u32;
        frame[..4].copy_from_slice(&size.to_be_bytes());
        frame
    }

    /// The frame with its body changed.
    ///
    /// # Panics
    /// When the answer is of another type.
    #[must_use]
    pub fn changed<M: Message>(&self, change: impl FnOnce(&mut M)) -> Vec<u8> {
        let mut body = M::decode(&mut Reader::new(&self.body()), self.version).expect("an answer");
        change(&mut body);
        let mut frame = Vec::new();
        let id = self.correlation_id();
        encode_response(self.api, self.version, id, &body, &mut frame).expect("an answer");
        frame
    }

    fn body(&self) -> bytes::Bytes {
        self.frame[self.body_at()..].to_vec().into()
    }
}

type Script = Box<dyn FnMut(&Answer) -> Option<Vec<Act>> + Send>;

/// The broker with its go-between. It ends with the process.
pub struct Hostile {
    address: SocketAddr,
    cluster: Cluster,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    broker: Mutex<Option<SocketAddr>>,
    plan: Mutex<Plan>,
    changed: Condvar,
}

#[derive(Default)]
struct Plan {
    script: Option<Script>,
    greeting: Option<Vec<Act>>,
    asked: BTreeMap<i16, usize>,
    connections: usize,
    ended: usize,
    honest: usize,
}

impl Hostile {
    /// A broker with topic `t` of two partitions. It is honest so far.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let builder = Cluster::builder().advertise(address.ip().to_string(), address.port());
        let cluster = builder.topic("t", 2).topic("u", 1).start().expect("started");
        let state = Arc::new(State::default());
        *lock(&state.broker) = Some(cluster.addresses()[0]);
        accept(listener, &state);
        Self { address, cluster, state }
    }

    /// Another way to the same broker, honest, at an address of its own.
    ///
    /// # Panics
    /// When no port is to be had.
    #[must_use]
    pub fn side_door(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        *lock(&state.broker) = Some(self.cluster.addresses()[0]);
        accept(listener, &state);
        address
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The port of it.
    #[must_use]
    pub fn port(&self) -> i32 {
        i32::from(self.address.port())
    }

    /// The broker behind, which is always honest.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What is done instead of giving an answer; nothing makes that answer honest.
    pub fn script(&self, script: impl FnMut(&Answer) -> Option<Vec<Act>> + Send + 'static) {
        lock(&self.state.plan).script = Some(Box::new(script));
    }

    /// What is done to each connection before anything is heard from it.
    pub fn greet(&self, acts: Vec<Act>) {
        lock(&self.state.plan).greeting = Some(acts);
    }

    /// No more tricks on what comes from now on.
    pub fn become_honest(&self) {
        let mut plan = lock(&self.state.plan);
        plan.script = None;
        plan.greeting = None;
        plan.honest += 1;
        self.state.changed.notify_all();
    }

    /// How many connections were made.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.state.plan).connections
    }

    /// How many of them have ended.
    #[must_use]
    pub fn ended(&self) -> usize {
        lock(&self.state.plan).ended
    }

    /// How often something was asked.
    #[must_use]
    pub fn asked(&self, api: ApiKey) -> usize {
        lock(&self.state.plan).asked.get(&api.0).copied().unwrap_or(0)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: TcpListener, state: &Arc<State>) {
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let state = Arc::clone(&state);
            std::thread::spawn(move || {
                let _ = state.serve(client);
                lock(&state.plan).ended += 1;
            });
        }
    });
}

impl State {
    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        client.set_nodelay(true)?;
        let (number, greeting) = {
            let mut plan = lock(&self.plan);
            plan.connections += 1;
            (plan.connections, plan.greeting.clone())
        };
        if !self.perform(&mut client, greeting.unwrap_or_default())? {
            return Ok(());
        }
        let address = lock(&self.broker).ok_or(std::io::ErrorKind::NotConnected)?;
        let mut broker = TcpStream::connect(address)?;
        broker.set_nodelay(true)?;
        loop {
            let request = read_frame(&mut client)?;
            let (header, is_answered) = look_at(&request);
            *lock(&self.plan).asked.entry(header.api_key.0).or_default() += 1;
            broker.write_all(&request)?;
            if !is_answered {
                continue;
            }
            let answer = Answer {
                api: header.api_key,
                version: header.api_version,
                connection: number,
                frame: read_frame(&mut broker)?,
            };
            let acts = lock(&self.plan).script.as_mut().and_then(|script| script(&answer));
            let acts = acts.unwrap_or_else(|| vec![Act::Write(answer.frame)]);
            if !self.perform(&mut client, acts)? {
                return Ok(());
            }
        }
    }

    /// Whether the connection goes on.
    fn perform(&self, client: &mut TcpStream, acts: Vec<Act>) -> std::io::Result<bool> {
        for act in acts {
            match act {
                Act::Write(bytes) => client.write_all(&bytes)?,
                Act::Finish => {
                    client.shutdown(Shutdown::Write)?;
                    swallow(client);
                    return Ok(false);
                }
                Act::Reset => {
                    socket2::SockRef::from(&*client).set_linger(Some(std::time::Duration::ZERO))?;
                    return Ok(false);
                }
                Act::Mute => {
                    swallow(client);
                    return Ok(false);
                }
                Act::Deaf => {
                    let mut plan = lock(&self.plan);
                    let honest = plan.honest;
                    while plan.honest == honest {
                        plan = self.changed.wait(plan).unwrap_or_else(PoisonError::into_inner);
                    }
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Reads until the client has closed.
fn swallow(client: &mut TcpStream) {
    let mut heard = [0; 4096];
    while client.read(&mut heard).is_ok_and(|len| len > 0) {}
}

fn read_frame(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame)?;
    let size = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
    frame.resize(4 + size, 0);
    stream.read_exact(&mut frame[4..])?;
    Ok(frame)
}

/// The request's header, and whether it will be answered.
fn look_at(request: &[u8]) -> (RequestHeader, bool) {
    let content = bytes::Bytes::copy_from_slice(&request[4..]);
    let mut reader = Reader::new(&content);
    let header = RequestHeader::decode(&mut reader).expect("a header of ours");
    let is_answered = header.api_key != ApiKey::PRODUCE
        || ProduceRequest::decode(&mut reader, header.api_version).expect("ours").acks != 0;
    (header, is_answered)
}
