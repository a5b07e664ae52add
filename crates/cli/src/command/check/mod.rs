//! `ottla check`: what a producer with these settings would meet, and how durable its records are.

mod cluster;
mod durability;
mod report;
mod server;
pub(super) mod show;
mod topic;

use std::io::{self, IsTerminal};

use ottla::admin::{
    Admin, ClusterDescription, ConfigResource, Operations, RequestError, ServerReport, probe,
};
use ottla::{Acks, ProducerConfig, Security};
use tokio::task::JoinSet;

use self::report::{Report, Step};
use self::topic::{Configs, Topic};
use super::configure::{configure, security};
use crate::args::check::CheckPlan;
use crate::embedded::Servers;
use crate::exit::{Exit, Failure};
use crate::signals::StopSignals;
use crate::talk::Talk;

/// Looks, and says what was seen.
pub(crate) async fn run(plan: CheckPlan, talk: &Talk) -> Result<Exit, Failure> {
    let mut signals = StopSignals::listen()
        .map_err(|error| Failure::usage(format!("signals cannot be handled: {error}")))?;
    let security = security(&plan.properties, plan.target.servers())?;
    let servers = Servers::open(&plan.target, talk)?;
    let ours = configure(&plan.properties, &servers.bootstrap, &talk.silent())?;
    let check = Check { plan: &plan, security, ours };
    let report = tokio::select! {
        biased;
        () = signals.next() => None,
        report = check.look(&servers.bootstrap) => Some(report),
    };
    servers.stop();
    let Some(report) = report else { return Ok(Exit::Interrupted) };
    let text = match plan.json {
        true => format!("{}\n", report.json(plan.strict)),
        false => show::lines(&report, has_colours()),
    };
    super::print(text.as_bytes())?;
    Ok(report.exit(plan.strict))
}

/// Whether standard output is a terminal of somebody who has not asked for no colours.
fn has_colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !refused
}

struct Check<'p> {
    plan: &'p CheckPlan,
    security: Security,
    ours: ProducerConfig,
}

impl Check<'_> {
    async fn look(&self, bootstrap: &str) -> Report {
        let mut report = Report {
            servers: bootstrap.split(',').map(str::to_owned).collect(),
            security_protocol: self.security.protocol().name(),
            acks: match self.ours.acks {
                Acks::None => "0",
                Acks::Leader => "1",
                Acks::All => "all",
            },
            steps: Vec::new(),
        };
        report.steps.extend(server::own_certificate(&self.security));
        let known = self.probe(&report.servers).await;
        let answers = known.iter().find(|it| it.failure.is_none());
        for seen in &known {
            let mut steps = server::steps(seen, &self.security, self.plan.timeout);
            let is_down = |step: &Step| step.exit() == Exit::Unreachable;
            // One server that answers is enough to begin with.
            steps.iter_mut().filter(|it| answers.is_some() && is_down(it)).for_each(Step::soften);
            report.steps.extend(steps);
        }
        if let Some(first) = answers
            && let Err(error) = self.ask(&first.server, &known, &mut report.steps).await
        {
            let exit = super::exit_of(&error);
            report.steps.push(Step::failed("cluster", &first.server, error.to_string(), exit));
        }
        report
    }

    async fn probe(&self, servers: &[String]) -> Vec<ServerReport> {
        let mut probes = JoinSet::new();
        for (place, server) in servers.iter().cloned().enumerate() {
            let (security, timeout) = (self.security.clone(), self.plan.timeout);
            probes.spawn(async move { (place, probe(&server, &security, timeout).await) });
        }
        let mut seen = Vec::new();
        while let Some(done) = probes.join_next().await {
            seen.extend(done);
        }
        seen.sort_by_key(|(place, _)| *place);
        seen.into_iter().map(|(_, report)| report).collect()
    }

    /// Asks the cluster of itself and of the topics.
    async fn ask(
        &self,
        server: &str,
        known: &[ServerReport],
        steps: &mut Vec<Step>,
    ) -> Result<(), RequestError> {
        let timeout = self.plan.timeout;
        let mut admin = Admin::connect_with(server, &self.security, timeout, |_| ()).await?;
        let topics: Vec<&str> = self.plan.topics.iter().map(String::as_str).collect();
        let described = admin.describe_cluster(Some(&topics)).await?;
        steps.extend(cluster::steps(server, &described));
        steps.extend(cluster::brokers(&described, known, &self.security, timeout).await);
        if topics.is_empty() {
            return Ok(());
        }
        // Old brokers, and such as keep it to themselves, have no answer to this.
        let operations = admin.cluster_operations().await.ok().flatten();
        for name in &self.plan.topics {
            let state = described.topics.iter().find(|topic| topic.name == *name).cloned();
            let topic = match state {
                Some(state) => Topic::new(state),
                None => Topic { name: name.clone(), ..Topic::default() },
            };
            steps.extend(self.topic(&mut admin, topic, operations, &described).await);
        }
        Ok(())
    }

    async fn topic(
        &self,
        admin: &mut Admin,
        mut topic: Topic,
        operations: Option<Operations>,
        cluster: &ClusterDescription,
    ) -> Vec<Step> {
        if topic.is_there() {
            let resource = ConfigResource::Topic(topic.name.clone());
            topic.configs = configs(admin, &resource).await;
            return topic::steps(&topic, operations, &self.ours);
        }
        let node = cluster.controller.or_else(|| cluster.brokers.first().map(|it| it.id));
        let defaults = match node {
            Some(node) => configs(admin, &ConfigResource::Broker(node)).await,
            None => None,
        };
        topic::missing(&topic, (cluster.brokers.len(), defaults.as_ref()), &self.ours)
    }
}

/// Settings, where the cluster tells them.
async fn configs(admin: &mut Admin, resource: &ConfigResource) -> Option<Configs> {
    let told = admin.describe_configs(resource).await.ok()?;
    Some(told.into_iter().filter_map(|config| Some((config.name, config.value?))).collect())
}
