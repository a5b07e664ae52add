//! A cluster that is laid out and not started: another program runs its nodes, kills them and
//! starts them again.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::cluster::{Port, broker_command, format_storage, properties};
use super::jars;
use super::runs::{PIDS, Run, Storage};
use crate::workspace;

/// A cluster on disk. What was started of it ends when this value is dropped, and its folder goes.
pub(crate) struct Prepared {
    run: Run,
    command: Vec<String>,
    nodes: Vec<Layout>,
}

struct Layout {
    folder: PathBuf,
    /// Where the node listens for the other nodes and for administration.
    address: SocketAddr,
    /// Where it listens for those who come through a proxy; the proxy's address is to be
    /// advertised for it, and is not known here.
    detour: SocketAddr,
}

impl Prepared {
    /// Lays out `count` nodes on ports that are free now.
    pub(crate) fn new(count: usize) -> Result<Self, String> {
        let java = jars::java()?;
        let jars = jars::fetch()?;
        let run = Run::create(Storage::Disk)?;
        let mut ports = Vec::new();
        for _ in 0..count {
            ports.push([Port::reserve()?, Port::reserve()?, Port::reserve()?]);
        }
        let mut addresses = Vec::new();
        let mut detours = Vec::new();
        for [client, controller, detour] in &ports {
            addresses.push((client.address()?, controller.address()?));
            detours.push(detour.address()?);
        }
        let mut nodes = Vec::new();
        for (index, detour) in detours.into_iter().enumerate() {
            let folder = run.folder.join(format!("node-{}", index + 1));
            workspace::create_folder(&folder)?;
            let settings = properties(index, &addresses, &folder.join("data"));
            let settings = settings + &for_chaos(addresses[index], detour);
            workspace::write(&folder.join("server.properties"), settings)?;
            nodes.push(Layout { folder, address: addresses[index].0, detour });
        }
        let folders: Vec<PathBuf> = nodes.iter().map(|node| node.folder.clone()).collect();
        format_storage(&folders, &[], &java, &jars)?;
        let (program, args) = broker_command(&java, &[], &jars);
        let command = std::iter::once(program.display().to_string()).chain(args).collect();
        Ok(Self { run, command, nodes })
    }

    /// What the program has to know.
    pub(crate) fn json(&self) -> Value {
        let nodes = self.nodes.iter().map(|node| {
            json!({
                "folder": node.folder,
                "address": node.address.to_string(),
                "detour": node.detour.to_string(),
            })
        });
        json!({
            "command": self.command,
            "pids": self.run.folder.join(PIDS),
            "nodes": nodes.collect::<Vec<_>>(),
        })
    }

    /// The folder of the cluster.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.run.folder
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        self.run.end_all();
    }
}

/// Settings that take the place of the usual ones: a later line counts.
fn for_chaos((client, controller): (SocketAddr, SocketAddr), detour: SocketAddr) -> String {
    let listeners = format!("PLAINTEXT://{client},DETOUR://{detour},CONTROLLER://{controller}");
    let protocols = "PLAINTEXT:PLAINTEXT,DETOUR:PLAINTEXT,CONTROLLER:PLAINTEXT";
    let rows = [
        ("listeners", listeners.as_str()),
        ("listener.security.protocol.map", protocols),
        ("min.insync.replicas", "2"),
        ("unclean.leader.election.enable", "false"),
        // Who is away is missed after four seconds, so that more faults fit into an hour.
        ("broker.session.timeout.ms", "4000"),
        ("broker.heartbeat.interval.ms", "500"),
        ("replica.lag.time.max.ms", "5000"),
        ("leader.imbalance.check.interval.seconds", "30"),
    ];
    rows.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_a_listener_for_those_who_come_through_a_proxy() {
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let text = for_chaos((address(1), address(2)), address(3));
        let listeners = "PLAINTEXT://127.0.0.1:1,DETOUR://127.0.0.1:3,CONTROLLER://127.0.0.1:2";
        assert!(text.starts_with(&format!("listeners={listeners}\n")), "{text}");
        assert!(text.contains("\nmin.insync.replicas=2\n"));
        assert!(text.contains("\nunclean.leader.election.enable=false\n"));
    }
}
