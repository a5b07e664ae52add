//! Which cluster a command talks to: somebody's servers, or a broker inside this process.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ottla::config::SecurityProtocol;

use super::words;
use crate::exit::Failure;

/// The choice of a cluster, as typed.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// Servers to begin with: HOST:PORT, several with commas (port 9092 when left out)
    #[arg(short, long, value_name = "SERVERS")]
    #[arg(visible_alias = "bootstrap-servers", alias = "brokers")]
    bootstrap_server: Option<String>,

    /// Use a broker inside this process, on a data folder; nothing need be installed
    #[arg(long, conflicts_with = "bootstrap_server")]
    embedded: bool,

    /// Data folder of the embedded broker [default: ottla in the user's state folder]
    #[arg(long, value_name = "DIR", requires = "embedded", conflicts_with = "bootstrap_server")]
    data: Option<PathBuf>,

    /// How long to wait for the cluster, and for a topic to be known to it
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = words::seconds)]
    #[arg(allow_negative_numbers = true)]
    timeout: Duration,
}

/// A cluster to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Servers of a cluster, as `host:port[,…]`.
    Servers(String),
    /// A broker inside this process; `None` is the folder in the user's state directory.
    Embedded(Option<PathBuf>),
}

impl Target {
    /// As `host:port[,…]`; a broker inside this process is on this machine.
    pub(crate) fn servers(&self) -> &str {
        match self {
            Self::Servers(servers) => servers,
            Self::Embedded(_) => "localhost:9092",
        }
    }
}

impl TargetArgs {
    /// How long to wait for the cluster.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The target, if one was named.
    ///
    /// # Errors
    /// When the list of servers is malformed.
    pub(crate) fn target(&self) -> Result<Option<Target>, Failure> {
        match &self.bootstrap_server {
            _ if self.embedded => Ok(Some(Target::Embedded(self.data.clone()))),
            Some(servers) => servers_of(servers).map(Some),
            None => Ok(None),
        }
    }

    /// The target, which must have been named.
    pub(crate) fn required(&self) -> Result<Target, Failure> {
        self.target()?.ok_or_else(none_named)
    }
}

/// A checked list of servers, with Kafka's port added where there is none.
pub(crate) fn servers_of(text: &str) -> Result<Target, Failure> {
    let servers: Result<Vec<String>, Failure> = text
        .split(',')
        .map(str::trim)
        .filter(|server| !server.is_empty())
        .map(|server| {
            with_port(server).ok_or_else(|| {
                Failure::usage(format!("{server:?} is not a server"))
                    .cure("expected HOST:PORT, as in -b localhost:9092")
            })
        })
        .collect();
    let servers = servers?;
    if servers.is_empty() {
        return Err(none_named());
    }
    Ok(Target::Servers(servers.join(",")))
}

fn none_named() -> Failure {
    Failure::usage("no cluster was named")
        .cure("give -b HOST:PORT, or --embedded to use a broker inside this process")
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`, each with librdkafka's optional `PROTOCOL://` before
/// it, in the form `host:port`.
fn with_port(server: &str) -> Option<String> {
    let server = match server.split_once("://") {
        Some((protocol, rest)) => protocol.parse::<SecurityProtocol>().is_ok().then_some(rest)?,
        None => server,
    };
    let server = server.trim_end_matches('/');
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
            (&server[..host.len() + 2], port)
        }
        None => match server.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    let port: u16 = port.map_or(Some(9092), |port| port.parse().ok())?;
    let plain = host.starts_with('[') || !host.contains([':', '/', '@', ' ']);
    (!host.is_empty() && plain && port > 0).then(|| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_get_kafkas_port_when_they_have_none() {
        let servers = |text: &str| servers_of(text).unwrap();
        assert_eq!(servers("a"), Target::Servers("a:9092".to_owned()));
        assert_eq!(servers("a:1, b ,"), Target::Servers("a:1,b:9092".to_owned()));
        assert_eq!(servers("[::1]:7"), Target::Servers("[::1]:7".to_owned()));
        assert_eq!(servers("[::1]"), Target::Servers("[::1]:9092".to_owned()));
        assert_eq!(servers("PLAINTEXT://a:1"), Target::Servers("a:1".to_owned()));
        assert_eq!(servers("SASL_SSL://a"), Target::Servers("a:9092".to_owned()));
    }

    #[test]
    fn a_malformed_server_is_named() {
        for wrong in ["a:b", "a:0", "a:70000", "http://a:80", ":9092", "::1", "[::1", "a b"] {
            let failure = servers_of(wrong).unwrap_err();
            assert!(failure.to_string().contains(wrong), "{failure}");
        }
        assert!(servers_of("").is_err());
        assert!(servers_of(" , ").is_err());
    }
}
