//! What goes wrong on purpose while the broker runs, and the port by which it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ottla_broker::{Cluster, Outages, RandomFaults};
use tokio::net::TcpListener;

use crate::args::broker::TroublePlan;
use crate::control;
use crate::exit::Failure;
use crate::talk::Talk;

/// The trouble of a broker that is about to start.
pub(super) struct Trouble {
    plan: TroublePlan,
    seed: u64,
    control: Option<(TcpListener, SocketAddr)>,
}

impl Trouble {
    /// Binds the control port, so that it is known at once when that cannot be had.
    pub(super) async fn prepare(plan: TroublePlan) -> Result<Self, Failure> {
        let control = match &plan.control {
            None => None,
            Some(address) => Some(control::bind(address).await.map_err(|error| {
                Failure::usage(format!("--control {address} cannot be had: {error}"))
            })?),
        };
        let seed = plan.seed.unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            // Short enough to be typed.
            since.subsec_nanos().into()
        });
        Ok(Self { plan, seed, control })
    }

    /// How many requests are remembered: those who can ask for them want them.
    pub(super) fn request_log(&self) -> usize {
        if self.control.is_some() { 10_000 } else { 0 }
    }

    /// Where the control port is.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.control.as_ref().map(|(_, address)| *address)
    }

    /// Lets the faults wait for their requests, and says what chance begins with.
    pub(super) fn begin(&self, cluster: &Cluster, talk: &Talk) {
        for fault in &self.plan.faults {
            cluster.inject(fault.clone());
        }
        if let Some(requests) = self.plan.random_faults {
            cluster.inject_random(RandomFaults::new(self.seed).one_in(requests));
        }
        if self.plan.random_faults.is_some() || self.plan.random_outages.is_some() {
            talk.note(format_args!("faults by chance: --seed {}", self.seed));
        }
        if let Some(address) = self.address().filter(|address| !address.ip().is_loopback()) {
            talk.note(format_args!("whoever reaches {address} can stop this broker's nodes"));
        }
    }

    /// Makes trouble until this future is dropped.
    pub(super) async fn make(self, cluster: &Arc<Cluster>, talk: &Talk) -> Result<(), Failure> {
        let served = async {
            match self.control {
                Some((listener, _)) => control::serve(listener, cluster).await,
                None => std::future::pending().await,
            }
        };
        let broken = async {
            match self.plan.random_outages {
                Some(every) => outages(self.seed, every, cluster, talk).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            served = served => {
                served.map_err(|error| Failure::usage(format!("the control port failed: {error}")))
            }
            broken = broken => broken,
        }
    }
}

async fn outages(
    seed: u64,
    every: Duration,
    cluster: &Arc<Cluster>,
    talk: &Talk,
) -> Result<(), Failure> {
    let mut outages = Outages::new(seed);
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first comes at once.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let cluster = cluster.clone();
        // A node that starts reads its logs.
        let next = tokio::task::spawn_blocking(move || {
            let told = outages.next(&cluster);
            (outages, told)
        });
        let (back, told) = next.await.map_err(|error| Failure::usage(error.to_string()))?;
        outages = back;
        match told {
            Ok(told) => talk.note(told),
            Err(error) => talk.error(error),
        }
    }
}
