//! The cluster, and each of its brokers by the address that it advertises.

use std::time::Duration;

use ottla::Security;
use ottla::admin::{BrokerDescription, ClusterDescription, ServerReport, probe};
use serde_json::json;
use tokio::task::JoinSet;

use super::report::Step;
use crate::command::exit_of;

/// So many brokers are looked at at a time.
const AT_A_TIME: usize = 16;

/// Who the cluster is, and who changes its topics.
pub(super) fn steps(server: &str, cluster: &ClusterDescription) -> Vec<Step> {
    let id = cluster.cluster_id.as_deref();
    let brokers = crate::talk::count(cluster.brokers.len() as u64, "broker");
    let seen = match id {
        Some(id) => format!("id {id}, {brokers}"),
        None => brokers,
    };
    let data = json!({ "id": id, "brokers": cluster.brokers.len() });
    let controller = match cluster.controller {
        Some(id) => Step::ok("controller", server, format!("broker {id}")),
        None => Step::warning("controller", server, "none at the moment")
            .cure("topics cannot be created or changed until there is one"),
    };
    vec![
        Step::ok("cluster", server, seen).data(data),
        controller.data(json!({ "id": cluster.controller })),
    ]
}

/// Connects to every broker as a producer would. `known` are servers that were looked at before.
pub(super) async fn brokers(
    cluster: &ClusterDescription,
    known: &[ServerReport],
    security: &Security,
    timeout: Duration,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for some in cluster.brokers.chunks(AT_A_TIME) {
        let mut probes = JoinSet::new();
        let mut seen: Vec<Option<ServerReport>> = Vec::new();
        for (place, broker) in some.iter().enumerate() {
            let address = address(broker);
            let before = known.iter().find(|report| report.server == address).cloned();
            if before.is_none() {
                let security = security.clone();
                probes.spawn(async move { (place, probe(&address, &security, timeout).await) });
            }
            seen.push(before);
        }
        while let Some(done) = probes.join_next().await {
            if let Ok((place, report)) = done {
                seen[place] = Some(report);
            }
        }
        let reports = some.iter().zip(seen);
        steps.extend(reports.filter_map(|(broker, report)| Some(step(broker, &report?, known))));
    }
    steps
}

fn step(broker: &BrokerDescription, report: &ServerReport, known: &[ServerReport]) -> Step {
    let about = format!("{} at {}", broker.id, address(broker));
    let data = json!({
        "id": broker.id,
        "host": broker.host,
        "port": broker.port,
        "rack": broker.rack,
        "addresses": report.addresses.iter().map(|it| it.address.to_string()).collect::<Vec<_>>(),
    });
    let Some((_, error)) = &report.failure else {
        let answered = report.addresses.iter().find(|it| it.error.is_none());
        let seen = match answered {
            Some(it) => format!("reached in {:.1} ms", it.time.as_secs_f64() * 1e3),
            None => "reached".to_owned(),
        };
        return Step::ok("broker", &about, seen).data(data);
    };
    let step = Step::failed("broker", &about, error.to_string(), exit_of(error)).data(data);
    if leads_back(report) && !known.iter().any(leads_back) {
        return step.cure(format!(
            "advertised.listeners of broker {} names {}, which on each machine is that machine \
             itself: it has to name an address that clients can reach",
            broker.id, broker.host
        ));
    }
    step.cure(format!(
        "advertised.listeners of broker {} has to name an address that clients can reach, for the \
         listener that they come in by; records for partitions that it leads go there",
        broker.id
    ))
}

/// Whether all of its addresses are this machine's own.
fn leads_back(report: &ServerReport) -> bool {
    let mut ips = report.addresses.iter().map(|it| it.address.ip());
    !report.addresses.is_empty() && ips.all(|ip| ip.is_loopback() || ip.is_unspecified())
}

/// `host:port`, with brackets round an IPv6 address.
fn address(broker: &BrokerDescription) -> String {
    match broker.host.contains(':') && !broker.host.starts_with('[') {
        true => format!("[{}]:{}", broker.host, broker.port),
        false => format!("{}:{}", broker.host, broker.port),
    }
}
