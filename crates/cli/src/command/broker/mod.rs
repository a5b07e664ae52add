//! `ottla broker`: a broker that any Kafka client can use, until it is told to end.

mod trouble;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use ottla_broker::{Cluster, ClusterBuilder, Mechanism, Sasl, Tls, Tokens};

use crate::args::access::{AccessPlan, SaslPlan};
use crate::args::broker::{BrokerPlan, ReplicaSelector};
use crate::embedded::{cannot_start, default_data_dir};
use crate::exit::{Exit, Failure};
use crate::signals::StopSignals;
use crate::talk::Talk;

use self::trouble::Trouble;

/// Runs the broker until Ctrl-C or SIGTERM.
pub(crate) async fn run(plan: BrokerPlan, talk: &Talk) -> Result<Exit, Failure> {
    let mut signals = StopSignals::listen()
        .map_err(|error| Failure::usage(format!("signals cannot be handled: {error}")))?;
    let trouble = Trouble::prepare(plan.trouble).await?;
    let mut builder = Cluster::builder()
        .nodes(plan.nodes as usize)
        .listen(&plan.listen)
        .request_log(trouble.request_log())
        .auto_create_topics(plan.auto_create)
        .default_partitions(plan.default_partitions)
        .min_insync_replicas(plan.min_insync_replicas)
        .racks(plan.racks)
        .select_replicas_by_rack(plan.replica_selector == ReplicaSelector::RackAware);
    if let Some(replicas) = plan.default_replication {
        builder = builder.default_replication_factor(replicas);
    }
    if let Some((host, port)) = plan.advertised {
        builder = builder.advertise(host, port);
    }
    let advice = advice(&plan.access);
    builder = secure(builder, plan.access)?;
    for topic in &plan.topics {
        builder = match topic.replicas {
            Some(replicas) => builder.topic_replicated(&topic.name, topic.partitions, replicas),
            None => builder.topic(&topic.name, topic.partitions),
        };
    }
    let cluster = if plan.discard {
        let cluster = builder.discard(true).start().map_err(|error| cannot_start(&error))?;
        talk.note("records are counted and discarded: nothing can be read back");
        cluster
    } else {
        let data = plan.data.map_or_else(default_data_dir, Ok)?;
        let cluster = builder.data_dir(&data).start().map_err(|error| cannot_start(&error))?;
        talk.note(format_args!("data in {}", data.display()));
        cluster
    };
    for words in advice {
        talk.note(words);
    }
    trouble.begin(&cluster, talk);
    // Whoever started us waits for this line; when they are gone, others may still come.
    let mut ready = format!("ready {}\n", cluster.bootstrap_servers());
    if let Some(address) = trouble.address() {
        let _ = writeln!(ready, "control http://{address}");
    }
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(ready.as_bytes()).and_then(|()| stdout.flush());
    drop(stdout);
    let cluster = Arc::new(cluster);
    tokio::select! {
        () = signals.next() => {}
        made = trouble.make(&cluster, talk) => made?,
    }
    talk.note("stopping");
    stop(cluster).await;
    Ok(Exit::Done)
}

/// Ends the cluster in order, once those who work on it at the moment have let go.
async fn stop(mut cluster: Arc<Cluster>) {
    loop {
        match Arc::try_unwrap(cluster) {
            Ok(cluster) => return cluster.stop(),
            Err(shared) => cluster = shared,
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Gives the broker what it asks of its clients.
fn secure(mut builder: ClusterBuilder, access: AccessPlan) -> Result<ClusterBuilder, Failure> {
    if let Some(plan) = access.tls {
        let tls = Tls::from_files(plan.certificate, plan.key);
        let tls = match plan.client_ca {
            None => tls,
            Some(path) => tls
                .and_then(|tls| tls.client_ca_file(path))
                .map(|tls| tls.require_client_certificate(true)),
        };
        builder = builder.tls(tls.map_err(|error| cannot_start(&error))?);
    }
    if let Some(SaslPlan { mechanisms, users, oauth_keys, session_lifetime }) = access.sasl {
        let mut sasl = Sasl::new(mechanisms);
        if let Some(path) = oauth_keys {
            let key_set = std::fs::read_to_string(&path).map_err(|error| {
                Failure::usage(format!("--oauth-keys {}: {error}", path.display()))
            })?;
            sasl = sasl.tokens(Tokens::signed_by(&key_set).map_err(|error| cannot_start(&error))?);
        }
        if let Some(lifetime) = session_lifetime {
            sasl = sasl.connections_max_reauth(lifetime);
        }
        builder = builder.sasl(sasl);
        for user in users {
            builder = builder.user(user.name, user.password);
        }
    }
    let builder = access.denied.into_iter().fold(builder, ClusterBuilder::deny);
    Ok(access.super_users.into_iter().fold(builder, ClusterBuilder::super_user))
}

/// How to connect, and what to beware of.
fn advice(access: &AccessPlan) -> Vec<String> {
    let mut advice = Vec::new();
    let protocol = match (&access.tls, &access.sasl) {
        (None, None) => return advice,
        (Some(_), None) => "SSL",
        (None, Some(_)) => "SASL_PLAINTEXT",
        (Some(_), Some(_)) => "SASL_SSL",
    };
    let mut settings = format!("clients connect with security.protocol={protocol}");
    if let Some(sasl) = &access.sasl {
        let names: Vec<&str> = sasl.mechanisms.iter().map(|mechanism| mechanism.name()).collect();
        settings.push_str(&format!(" and sasl.mechanism={}", names.join(" or ")));
        let is_clear = sasl.mechanisms.contains(&Mechanism::Plain) && access.tls.is_none();
        if is_clear {
            advice.push("without TLS, PLAIN shows passwords to whoever listens".to_owned());
        }
        if sasl.mechanisms.contains(&Mechanism::OAuthBearer) && sasl.oauth_keys.is_none() {
            advice.push("without --oauth-keys, anybody can make a token".to_owned());
        }
    }
    advice.insert(0, settings);
    advice
}
