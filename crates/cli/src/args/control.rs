//! `ottla control`: its options.

use std::time::Duration;

use clap::{Args, Subcommand};
use ottla_broker::NodeAct;
use serde_json::{Map, Value, json};

use super::words;

const DETAILS: &str = "\
Speaks to the control port of a broker that was started with --control. What comes back is JSON on
standard output. The same can be had without this command: GET / on that port lists everything.

Examples:
  ottla control --at 127.0.0.1:8090 nodes
  ottla control --at 127.0.0.1:8090 node 2 kill
  ottla control --at 127.0.0.1:8090 fault api=Produce topic=events error=NOT_LEADER_OR_FOLLOWER
  ottla control --at 127.0.0.1:8090 lead events 0 --node 3
  ottla control --at 127.0.0.1:8090 wait --in-sync
  ottla control --at 127.0.0.1:8090 requests --api Produce

Parts of a fault: api, topic, partition, client-id, node: which requests it is for; after, times
(a number or 'always'); error, error-after (the request is served), drop=request|response,
disconnect=before|after, delay-ms, throttle-ms, cut-answer-bytes, flip-bits,
answer=malformed|repeated|swapped, serve-again-ms.";

/// Options of `ottla control`.
#[derive(Debug, Args)]
#[command(after_help = DETAILS)]
pub(crate) struct ControlArgs {
    /// The control port, as the broker told it
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub(crate) at: String,

    #[command(subcommand)]
    pub(crate) order: Order,
}

/// With or without `http://` before it.
fn address(text: &str) -> Result<String, String> {
    let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    words::host_and_port(address).map(|_| address.to_owned())
}

/// What to do, or to ask.
#[derive(Debug, Subcommand)]
pub(crate) enum Order {
    /// Tell how the nodes are
    Nodes,
    /// Do something to a node
    Node {
        /// Its id
        id: i32,
        /// What to do
        #[arg(value_parser = NodeAct::ALL.map(NodeAct::name))]
        what: String,
    },
    /// Cut two nodes off from each other
    Cut {
        /// One
        one: i32,
        /// The other
        other: i32,
        /// The other does not hear the one, which hears it; 0 is the controller
        #[arg(long)]
        one_way: bool,
    },
    /// Put a long or narrow way between a node and those who connect from now on
    Link {
        /// The node's id
        id: i32,
        /// How long a byte and what answers it are on their way together
        #[arg(long, value_name = "MS")]
        round_trip_ms: Option<u64>,
        /// How many bytes arrive in a second, of each connection and direction
        #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
        bytes_per_second: Option<u64>,
        /// How many bytes may be on their way
        #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
        window_bytes: Option<u32>,
    },
    /// Tell clients that they find a node there
    Address {
        /// The node's id
        id: i32,
        /// Where
        #[arg(value_name = "HOST:PORT", value_parser = words::host_and_port)]
        address: (String, u16),
    },
    /// Let new producer ids begin with this epoch
    FirstEpoch {
        /// The last one is 32766
        #[arg(value_parser = clap::value_parser!(i16).range(0..))]
        epoch: i16,
    },
    /// Let all nodes hear each other again
    Heal,
    /// Begin the next outage of a node by chance, and end the last one
    Outage {
        /// What chance begins with; the same one goes on
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only end the last one
        #[arg(long)]
        end: bool,
    },
    /// Tell what topics there are
    Topics,
    /// Tell who leads a partition, and who is in sync
    Partition {
        /// The topic
        topic: String,
        /// The partition
        partition: i32,
    },
    /// Choose the leader of a partition
    Lead {
        /// The topic
        topic: String,
        /// The partition
        partition: i32,
        #[command(flatten)]
        how: Lead,
    },
    /// Let something go wrong with requests
    Fault {
        /// Its parts
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = words::assignment)]
        parts: Vec<(String, String)>,
    },
    /// Let requests meet faults by chance
    Random {
        /// What chance begins with
        #[arg(long)]
        seed: u64,
        /// About one request in so many
        #[arg(long, value_name = "N", default_value_t = 20)]
        one_in: u32,
        /// Only requests of this API
        #[arg(long)]
        api: Option<String>,
    },
    /// Tell how many faults wait for their requests
    Faults,
    /// Take back all faults
    Clear,
    /// Tell what was asked
    Requests {
        /// Only requests of this API
        #[arg(long)]
        api: Option<String>,
        /// Only those of clients of this name
        #[arg(long)]
        client_id: Option<String>,
        /// Forget them instead
        #[arg(long, conflicts_with_all = ["api", "client_id"])]
        clear: bool,
    },
    /// Wait until something is so; exit code 1 when it did not come to be
    Wait {
        #[command(flatten)]
        until: Until,
        /// Give up after so many seconds
        #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = words::seconds)]
        timeout: Duration,
    },
}

/// Who shall lead.
#[derive(Debug, Args)]
#[group(id = "leader", required = true, multiple = false)]
pub(crate) struct Lead {
    /// This node, which must be in sync
    #[arg(long, value_name = "ID")]
    node: Option<i32>,
    /// The first of the replicas
    #[arg(long)]
    preferred: bool,
    /// Any replica, where nobody leads; what it lacks is lost
    #[arg(long)]
    unclean: bool,
}

/// What is waited for.
#[derive(Debug, Args)]
#[group(id = "condition", required = true, multiple = false)]
pub(crate) struct Until {
    /// All replicas are in sync and have everything
    #[arg(long)]
    in_sync: bool,
    /// Somebody leads this partition
    #[arg(long, value_name = "TOPIC:PARTITION", value_parser = partition)]
    led: Option<(String, i32)>,
    /// So many Produce requests have come
    #[arg(long, value_name = "N")]
    produces: Option<u64>,
}

fn partition(text: &str) -> Result<(String, i32), String> {
    let parts = text.rsplit_once(':');
    let parsed = parts.and_then(|(topic, index)| Some((topic.to_owned(), index.parse().ok()?)));
    parsed.ok_or_else(|| "expected TOPIC:PARTITION, as in events:0".to_owned())
}

/// A request to the control port.
#[derive(Debug, PartialEq)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
}

impl Ask {
    fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), body: None }
    }

    fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: "POST", path: path.into(), body: Some(body) }
    }

    fn delete(path: impl Into<String>) -> Self {
        Self { method: "DELETE", path: path.into(), body: None }
    }
}

impl Order {
    /// What has to be asked.
    pub(crate) fn ask(self) -> Ask {
        match self {
            Self::Nodes => Ask::get("/nodes"),
            Self::Node { id, what } => Ask::post(format!("/nodes/{id}/{what}"), json!({})),
            Self::Cut { one, other, one_way } => {
                Ask::post("/cut", json!({ "nodes": [one, other], "one_way": one_way }))
            }
            Self::Link { id, round_trip_ms, bytes_per_second, window_bytes } => {
                let link = json!({
                    "round_trip_ms": round_trip_ms,
                    "bytes_per_second": bytes_per_second,
                    "window_bytes": window_bytes,
                });
                Ask::post(format!("/nodes/{id}/link"), link)
            }
            Self::Address { id, address: (host, port) } => {
                let there = json!({ "host": host, "port": port });
                Ask::post(format!("/nodes/{id}/address"), there)
            }
            Self::FirstEpoch { epoch } => {
                Ask::post("/producers/first-epoch", json!({ "epoch": epoch }))
            }
            Self::Heal => Ask::post("/heal", json!({})),
            Self::Outage { end: true, .. } => Ask::delete("/outages"),
            Self::Outage { seed, .. } => Ask::post("/outages", json!({ "seed": seed })),
            Self::Topics => Ask::get("/topics"),
            Self::Partition { topic, partition } => {
                Ask::get(format!("/topics/{}/{partition}", escaped(&topic)))
            }
            Self::Lead { topic, partition, how: Lead { node, preferred, unclean } } => {
                let how = json!({ "node": node, "preferred": preferred, "unclean": unclean });
                Ask::post(format!("/topics/{}/{partition}/leader", escaped(&topic)), how)
            }
            Self::Fault { parts } => {
                let parts = parts.into_iter().map(|(name, value)| (name, Value::String(value)));
                Ask::post("/faults", Value::Object(parts.collect::<Map<_, _>>()))
            }
            Self::Random { seed, one_in, api } => {
                let how = json!({ "seed": seed, "one_in": one_in, "api": api });
                Ask::post("/faults/random", how)
            }
            Self::Faults => Ask::get("/faults"),
            Self::Clear => Ask::delete("/faults"),
            Self::Requests { clear: true, .. } => Ask::delete("/requests"),
            Self::Requests { api, client_id, .. } => {
                let all = [("api", api), ("client_id", client_id)];
                let given = all.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
                let terms = given.map(|(name, value)| format!("{name}={}", escaped(value)));
                Ask::get(format!("/requests?{}", terms.collect::<Vec<_>>().join("&")))
            }
            Self::Wait { until, timeout } => {
                let mut body = match until {
                    Until { led: Some((topic, partition)), .. } => {
                        json!({ "topic": topic, "partition": partition })
                    }
                    Until { produces: Some(count), .. } => {
                        json!({ "requests": count, "api": "Produce" })
                    }
                    _ => json!({ "in_sync": true }),
                };
                body["timeout_ms"] = json!(timeout.as_millis() as u64);
                Ask::post("/wait", body)
            }
        }
    }
}

/// A part of an address in which nothing has a meaning of its own.
fn escaped(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    fn ask(words: &[&str]) -> Result<Ask, String> {
        let words = ["ottla", "control", "--at", "http://127.0.0.1:80/"].iter().chain(words);
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        match cli.command {
            Command::Control(args) => {
                assert_eq!(args.at, "127.0.0.1:80");
                Ok(args.order.ask())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn orders_become_requests() {
        assert_eq!(ask(&["nodes"]).unwrap(), Ask::get("/nodes"));
        let kill = Ask::post("/nodes/2/kill", json!({}));
        assert_eq!(ask(&["node", "2", "kill"]).unwrap(), kill);
        let cut = Ask::post("/cut", json!({ "nodes": [0, 2], "one_way": true }));
        assert_eq!(ask(&["cut", "0", "2", "--one-way"]).unwrap(), cut);
        let there = Ask::post("/nodes/2/address", json!({ "host": "h", "port": 9092 }));
        assert_eq!(ask(&["address", "2", "h:9092"]).unwrap(), there);
        let fault = Ask::post("/faults", json!({ "api": "Produce", "delay-ms": "5" }));
        assert_eq!(ask(&["fault", "api=Produce", "delay-ms=5"]).unwrap(), fault);
        let asked = ask(&["requests", "--client-id", "a b&c"]).unwrap();
        assert_eq!(asked, Ask::get("/requests?client_id=a%20b%26c"));
    }

    #[test]
    fn orders_that_make_no_sense_are_refused() {
        for wrong in [
            &["node", "2", "explode"][..],
            &["node", "two", "kill"],
            &["address", "2", "h"],
            &["link", "2", "--window-bytes", "0"],
            &["first-epoch", "-1"],
            &["lead", "t", "0"],
            &["lead", "t", "0", "--preferred", "--unclean"],
            &["fault"],
            &["fault", "api"],
            &["wait"],
            &["wait", "--led", "t"],
        ] {
            assert!(ask(wrong).is_err(), "{wrong:?}");
        }
    }
}
