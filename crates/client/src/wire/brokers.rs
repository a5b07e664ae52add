//! The brokers of a cluster: found through the servers that the user named, then by what the
//! cluster says of itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::error::{RequestError, RequestErrorKind};
use super::link::{Link, seconds};
use crate::admin::METADATA_TELLS_FROM;
use crate::security::Security;

/// The wait after the first round in which no server answered; it doubles up to the second one.
const RETRY_WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(1000));

/// The servers that the user named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seeds {
    servers: Vec<String>,
    security: Security,
}

impl Seeds {
    /// Takes apart `host:port[,host:port…]`.
    ///
    /// # Errors
    /// When there is no server in it.
    pub(crate) fn parse(bootstrap: &str, security: Security) -> Result<Self, RequestError> {
        let servers = bootstrap.split(',').map(str::trim).filter(|server| !server.is_empty());
        let servers: Vec<String> = servers.map(str::to_owned).collect();
        if servers.is_empty() {
            return Err(RequestError::unreachable("no server was named"));
        }
        Ok(Self { servers, security })
    }

    /// Connects to whichever server answers first, trying again until `timeout` has passed.
    /// `on_retry` hears of each round in which none answered.
    ///
    /// # Errors
    /// When time is up, or at once when every server is something else than a Kafka broker.
    pub(crate) async fn connect(
        &self,
        timeout: Duration,
        mut on_retry: impl FnMut(&RequestError),
    ) -> Result<Link, RequestError> {
        let start = Instant::now();
        let deadline = start + timeout;
        let mut wait = RETRY_WAITS.0;
        loop {
            let error = match self.round(deadline.duration_since(Instant::now()), timeout).await {
                Ok(link) => return Ok(link),
                Err(error) => error,
            };
            let next = Instant::now() + wait;
            if error.kind() != RequestErrorKind::Unreachable {
                return Err(error);
            }
            if next >= deadline {
                let spent = seconds(start.elapsed());
                return Err(error.after(format_args!("; gave up after {spent}")));
            }
            on_retry(&error);
            sleep_until(next).await;
            wait = (wait * 2).min(RETRY_WAITS.1);
        }
    }

    /// Tries all servers at once.
    async fn round(&self, remaining: Duration, timeout: Duration) -> Result<Link, RequestError> {
        let mut attempts = JoinSet::new();
        for server in self.servers.clone() {
            let security = self.security.clone();
            attempts.spawn(async move { Link::open(&server, &security, remaining).await });
        }
        let mut errors: Vec<RequestError> = Vec::new();
        while let Some(attempt) = attempts.join_next().await {
            match attempt {
                Ok(Ok(mut link)) => {
                    link.set_timeout(timeout);
                    return Ok(link);
                }
                Ok(Err(error)) => errors.push(error),
                Err(_) => errors.push(RequestError::unreachable("an attempt was cut short")),
            }
        }
        Err(combined(errors))
    }
}

/// One error for those of all servers. It is worth another round while one of them may come up.
fn combined(mut errors: Vec<RequestError>) -> RequestError {
    if errors.len() == 1 {
        return errors.remove(0);
    }
    let unreachable = RequestErrorKind::Unreachable;
    let may_come_up = errors.iter().any(|error| error.kind() == unreachable);
    let kind = if may_come_up { unreachable } else { errors[0].kind() };
    let reasons: Vec<String> = errors.iter().map(ToString::to_string).collect();
    RequestError::new(kind, reasons.join("; "))
}

/// The brokers of a cluster, with a connection to each that was needed.
#[derive(Debug)]
pub(crate) struct Brokers {
    seeds: Seeds,
    timeout: Duration,
    /// Whichever broker answered first; it answers what any broker can.
    any: Link,
    addresses: HashMap<i32, String>,
    links: HashMap<i32, Link>,
    controller: i32,
}

impl Brokers {
    /// Connects to a cluster.
    ///
    /// # Errors
    /// As [`Seeds::connect`].
    pub(crate) async fn connect(
        bootstrap: &str,
        security: &Security,
        timeout: Duration,
        on_retry: impl FnMut(&RequestError),
    ) -> Result<Self, RequestError> {
        let seeds = Seeds::parse(bootstrap, security.clone())?;
        let any = seeds.connect(timeout, on_retry).await?;
        let (addresses, links) = (HashMap::new(), HashMap::new());
        Ok(Self { seeds, timeout, any, addresses, links, controller: -1 })
    }

    /// How long a request may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The server that answered first.
    pub(crate) fn server(&self) -> &str {
        self.any.server()
    }

    /// Asks for the cluster's brokers and the given topics, or all of them. No topic is created
    /// by it.
    ///
    /// # Errors
    /// When no broker answers. Errors of single topics are in the answer.
    pub(crate) async fn metadata(
        &mut self,
        topics: Option<&[&str]>,
    ) -> Result<MetadataResponse, RequestError> {
        self.ask_metadata(topics, false).await
    }

    /// As [`Brokers::metadata`]; of topics that are named it is also asked what may be done with
    /// them, where the broker can tell.
    ///
    /// # Errors
    /// As [`Brokers::metadata`].
    pub(crate) async fn metadata_with_operations(
        &mut self,
        topics: Option<&[&str]>,
    ) -> Result<MetadataResponse, RequestError> {
        let version = self.any().await?.version_up_to::<MetadataRequest>(i16::MAX)?;
        let is_told = topics.is_some() && version >= METADATA_TELLS_FROM;
        self.ask_metadata(topics, is_told).await
    }

    async fn ask_metadata(
        &mut self,
        topics: Option<&[&str]>,
        include_topic_authorized_operations: bool,
    ) -> Result<MetadataResponse, RequestError> {
        if self.any.is_broken() {
            self.any = self.seeds.connect(self.timeout, |_| ()).await?;
        }
        let named = |name: &&str| MetadataRequestTopic {
            name: Some((*name).to_owned()),
            ..MetadataRequestTopic::default()
        };
        let request = MetadataRequest {
            topics: topics.map(|topics| topics.iter().map(named).collect()),
            allow_auto_topic_creation: false,
            include_topic_authorized_operations,
            ..MetadataRequest::default()
        };
        let uses_sasl = self.seeds.security.uses_sasl();
        let response = self.any.call(&request).await;
        let response =
            response.map_err(|error| if uses_sasl { error } else { perhaps_sasl(error) })?;
        ErrorCode(response.error_code).ok().map_err(|code| {
            RequestError::refused(&format!("{} gives no metadata", self.any.server()), code, None)
        })?;
        self.controller = response.controller_id;
        let addresses = response.brokers.iter();
        self.addresses =
            addresses.map(|broker| (broker.node_id, address(&broker.host, broker.port))).collect();
        Ok(response)
    }

    /// A connection to the controller; to any broker where the cluster does not name one, since
    /// that broker passes the request on.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub(crate) async fn controller(&mut self) -> Result<&mut Link, RequestError> {
        if self.addresses.is_empty() {
            self.metadata(Some(&[])).await?;
        }
        if self.addresses.contains_key(&self.controller) {
            self.link(self.controller).await
        } else {
            self.any().await
        }
    }

    /// A connection to any broker.
    ///
    /// # Errors
    /// When none can be reached.
    pub(crate) async fn any(&mut self) -> Result<&mut Link, RequestError> {
        if self.any.is_broken() {
            self.any = self.seeds.connect(self.timeout, |_| ()).await?;
        }
        Ok(&mut self.any)
    }

    /// Connects to the brokers of the cluster in turn until one answers.
    ///
    /// # Errors
    /// When none does.
    pub(crate) async fn reach_one(&mut self) -> Result<(), RequestError> {
        self.metadata(Some(&[])).await?;
        let nodes: Vec<i32> = self.addresses.keys().copied().collect();
        let mut errors = Vec::new();
        for node in nodes {
            match self.link(node).await {
                Ok(_) => return Ok(()),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            let server = self.any.server();
            errors.push(RequestError::unreachable(format!("{server} knows of no broker")));
        }
        Err(combined(errors))
    }

    /// A connection to the broker with this node id.
    ///
    /// # Errors
    /// When the last metadata does not have it, or it cannot be reached.
    pub(crate) async fn link(&mut self, node: i32) -> Result<&mut Link, RequestError> {
        let address = self.addresses.get(&node).ok_or_else(|| {
            RequestError::unreachable(format!("broker {node} is not among the cluster's brokers"))
        })?;
        let usable = self.links.get(&node).is_some_and(|l| !l.is_broken() && l.server() == address);
        if !usable {
            self.links.remove(&node);
        }
        match self.links.entry(node) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let link = Link::open(address, &self.seeds.security, self.timeout).await;
                let link = link.map_err(|error| {
                    error.before(format_args!("broker {node}, by its advertised.listeners "))
                })?;
                Ok(entry.insert(link))
            }
        }
    }

    /// The connection to a broker that [`Brokers::link`] has opened before.
    pub(crate) fn opened(&mut self, node: i32) -> Option<&mut Link> {
        self.links.get_mut(&node)
    }
}

/// A broker with access rules answers ApiVersions to anybody and then closes the connection.
fn perhaps_sasl(error: RequestError) -> RequestError {
    match error.kind() {
        RequestErrorKind::Unreachable => error.after(
            "; a listener that asks for SASL does this: security.protocol=SASL_PLAINTEXT or \
             SASL_SSL",
        ),
        _ => error,
    }
}

/// `host:port`, with brackets round an IPv6 address.
fn address(host: &str, port: i32) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
