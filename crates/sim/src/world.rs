//! The loop: one queue of events in virtual time, the producer between them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ottla_core::Producer;
use ottla_core::config::ConfigBuilder;
use ottla_core::output::{Authenticate, CompressToken, ConnectionId, Split};
use ottla_core::time::Instant;

use crate::check::History;
use crate::cluster::{Cluster, NODES};
use crate::host::{Memory, SimHost, SimQueues, parts};
use crate::load::Load;
use crate::plan::Plan;
use crate::rng::Chance;
use crate::seen::{Counts, Seen};
use crate::serve::Pending;
use crate::wire::Connection;

/// More steps at one point in time are a loop without end.
const STEPS_AT_ONCE_MAX: u32 = 20_000;
/// More steps in all are a loop that takes a little time in each round.
const STEPS_MAX: u64 = 3_000_000;
/// How long after all is done the producer is watched for idling.
const IDLE: Duration = Duration::from_secs(20);
/// However slow, a program gets rid of its records in this time.
const LOAD_MAX: Duration = Duration::from_secs(600);
/// When each run begins.
pub(crate) const START: Instant = Instant::from_millis(1_000);
/// So many times may an idle producer wake up in that time: idle connections, metadata's age.
const IDLE_WAKES_MAX: u32 = 60;

/// Something that happens at its time.
pub(crate) enum Event {
    /// The program sends, flushes or gives up.
    Work,
    /// A connection that was asked for is there, or is refused.
    Connected(ConnectionId, bool),
    /// A whole request arrives at its node.
    Request(ConnectionId, Vec<u8>),
    /// A node begins with the connection's next request.
    Serve(ConnectionId),
    /// A piece of an answer arrives at the producer.
    Answer(ConnectionId, Vec<u8>),
    /// The producer hears that the connection is gone.
    Gone(ConnectionId),
    /// A request without answer is with the operating system.
    Written(u64),
    /// A message by which the producer says who it is, is made.
    Authenticated(Authenticate),
    /// A compression job is done.
    Compressed(CompressToken),
    /// A batch that was refused is split.
    Split(Box<Split<SimHost>>),
    /// A follower asks its leaders.
    Fetch(usize),
    /// A node hears what was decided.
    Learn(usize),
    /// A request waits no longer.
    Overdue(usize),
    /// The controller looks at the nodes.
    Elect,
    /// Something goes wrong.
    Fault,
    /// A node comes back.
    Restart(usize),
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) now: Instant,
    events: BTreeMap<(Instant, u64), Event>,
    next_event: u64,
    pub(crate) producer: Producer<SimHost>,
    pub(crate) queues: SimQueues,
    pub(crate) memory: Rc<Memory>,
    pub(crate) cluster: Cluster,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    pub(crate) pending: [Vec<Pending>; NODES],
    pub(crate) fetch_due: [bool; NODES],
    pub(crate) load: Load,
    pub(crate) history: History,
    pub(crate) seen: Counts,
    pub(crate) network: Chance,
    pub(crate) brokers: Chance,
    pub(crate) faults: Chance,
    pub(crate) logins: Chance,
    /// No more faults: all heals.
    pub(crate) calm: bool,
    pub(crate) next_producer_id: i64,
    steps: u64,
    /// The run is broken off after so many steps.
    pub(crate) stop_at: Option<u64>,
    /// Whether the story is told while it happens.
    told: bool,
    /// A hash of all that happened, to compare two runs.
    trace: u64,
}

impl World {
    pub(crate) fn new(plan: Plan, told: bool) -> Result<Self, String> {
        let mut builder = ConfigBuilder::default();
        for (key, value) in &plan.settings {
            builder.set(key, value).map_err(|why| format!("{key}={value}: {why}"))?;
        }
        let config = builder.build().map_err(|why| why.to_string())?;
        let queues = SimQueues::new(config.batch_size_bytes);
        let seed = plan.seed;
        let mut world = Self {
            now: START,
            events: BTreeMap::new(),
            next_event: 0,
            producer: Producer::new(config, seed),
            queues,
            memory: Rc::default(),
            cluster: Cluster::new(&plan),
            connections: BTreeMap::new(),
            pending: Default::default(),
            fetch_due: [false; NODES],
            load: Load::new(&plan),
            history: History::default(),
            seen: Counts::default(),
            network: Chance::stream(seed, "network"),
            brokers: Chance::stream(seed, "brokers"),
            faults: Chance::stream(seed, "faults"),
            logins: Chance::stream(seed, "logins"),
            calm: plan.faults.every_ms == 0,
            next_producer_id: 1000,
            steps: 0,
            stop_at: None,
            told,
            trace: 0xcbf2_9ce4_8422_2325,
            plan,
        };
        world.at(Duration::ZERO, Event::Work);
        world.at(Duration::from_millis(100), Event::Elect);
        world.schedule_fault();
        Ok(world)
    }

    /// Has something happen after a while.
    pub(crate) fn at(&mut self, after: Duration, event: Event) {
        let number = self.next_event;
        self.next_event += 1;
        self.events.insert((self.now + after, number), event);
    }

    /// Whether some request has left the producer, and no node has done with it.
    pub(crate) fn has_requests_on_their_way(&self) -> bool {
        let comes = |event: &Event| matches!(event, Event::Request(..) | Event::Serve(_));
        self.events.values().any(comes)
            || self.pending.iter().any(|pending| !pending.is_empty())
            || self.connections.values().any(|connection| !connection.inbox.is_empty())
    }

    /// Tells the story, if that is wanted.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            println!("{:>12.3} ms  {}", self.now.as_nanos() as f64 / 1e6, what());
        }
    }

    pub(crate) fn note(&mut self, what: u64) {
        self.trace = (self.trace ^ what).wrapping_mul(0x0100_0000_01b3);
    }

    /// The whole run; what is wrong, if anything is.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        if let Some(close) = self.plan.close {
            return self.run_and_close(close);
        }
        let begin = self.now;
        let load_until = begin + Duration::from_millis(self.plan.load_ms);
        self.run_until(load_until, false)?;
        self.heal();
        // The rest of the load; then everything accepted has its deadline.
        while !self.load.is_done() {
            self.run_until(self.now + Duration::from_secs(1), false)?;
            if self.now > load_until + LOAD_MAX {
                return Err("the program cannot send what it has: no memory comes free (L9)".into());
            }
        }
        let limit = self.now + self.plan.delivery_timeout + Duration::from_secs(1);
        self.run_until(limit, true)?;
        self.history.all_told().map_err(|why| format!("{why} (L9, liveness)"))?;
        self.idle()?;
        // Until the cluster has settled as well.
        self.run_until(self.now + IDLE, false)?;
        // The first may learn the hard way that the topic is another one by now.
        self.probe(false)?;
        self.probe(true)?;
        self.run_until(self.now + IDLE, false)?;
        let live = self.memory.live_bytes.get();
        if live > 0 {
            return Err(format!("{live} bytes of batches are never given back (L10)"));
        }
        self.tell(|| {
            let ends = self.cluster.logs.iter().map(|(place, replicas)| {
                let ends: Vec<u64> = replicas.logs.iter().map(crate::log::Log::end).collect();
                format!("{place:?} {ends:?} {:?}", replicas.high_watermark)
            });
            let ends: Vec<String> = ends.collect();
            format!("logs end at {}; the truth is {:?}", ends.join(", "), self.cluster.truth)
        });
        self.history.check(&self.plan, &self.cluster, &self.seen)
    }

    pub(crate) fn run_until(&mut self, end: Instant, until_told: bool) -> Result<(), String> {
        let mut steps = 0;
        self.pump()?;
        loop {
            if until_told && self.load.is_done() && self.history.is_told() {
                return Ok(());
            }
            if self.is_stopped() {
                return Ok(());
            }
            let timer = self.producer.poll_timeout(self.now).map(|at| at.max(self.now));
            let event = self.events.first_key_value().map(|(key, _)| key.0);
            let Some(next) = timer.into_iter().chain(event).min().filter(|next| *next <= end)
            else {
                self.now = end;
                return Ok(());
            };
            steps = if next > self.now { 0 } else { steps + 1 };
            if steps > STEPS_AT_ONCE_MAX {
                return Err("the producer spins: it wants to be woken at once for ever".to_owned());
            }
            self.now = next;
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err("the producer is never done: millions of steps in one run".to_owned());
            }
            if timer == Some(next) && event.is_none_or(|event| event > next) {
                self.note(1);
                self.producer.handle_timeout(&mut self.queues, self.now);
            } else if let Some((_, event)) = self.events.pop_first() {
                self.happen(event)?;
            }
            self.pump()?;
        }
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        self.note(self.now.as_nanos());
        match event {
            Event::Work => self.work()?,
            Event::Connected(id, well) => self.connected(id, well),
            Event::Request(id, frame) => self.request(id, frame),
            Event::Serve(id) => self.serve(id)?,
            Event::Answer(id, bytes) => {
                self.note(bytes.len() as u64);
                if !self.is_left(id) {
                    self.producer.handle_bytes(id, &bytes, &mut self.queues, self.now);
                }
            }
            Event::Gone(id) => {
                if !self.is_left(id) {
                    self.leave(id);
                    let why = "the server closed the connection";
                    self.producer.handle_disconnected(id, why, &mut self.queues, self.now);
                }
            }
            Event::Written(token) => {
                self.producer.handle_written(token, &mut self.queues, self.now);
            }
            Event::Authenticated(step) => self.authenticated(&step),
            Event::Compressed(token) => {
                if self.load.compressed(token) {
                    self.see(Seen::CompressionOutOfOrder);
                }
                self.producer.handle_compressed(token, None, &mut self.queues, self.now);
            }
            Event::Split(job) => {
                let (token, parts) = (job.token, parts(&job, &self.memory));
                drop(job);
                self.producer.handle_split(token, parts, &mut self.queues, self.now);
            }
            Event::Fetch(node) => self.fetch(node),
            Event::Learn(node) => self.learn(node),
            Event::Overdue(node) => self.overdue(node),
            Event::Elect => {
                if self.cluster.elect(self.now, &mut self.seen) {
                    self.spread();
                }
                for node in 0..NODES {
                    self.look_after(node);
                }
                self.at(Duration::from_millis(100), Event::Elect);
            }
            Event::Fault => {
                self.fault();
                self.schedule_fault();
            }
            Event::Restart(node) => self.restart(node),
        }
        Ok(())
    }

    /// Nothing is left to do: the producer has to be quiet, and to stay within its memory.
    fn idle(&mut self) -> Result<(), String> {
        let end = self.now + IDLE;
        let mut wakes = 0;
        while let Some(at) = self.producer.poll_timeout(self.now).filter(|at| *at <= end) {
            wakes += 1;
            if wakes > IDLE_WAKES_MAX {
                return Err(format!("an idle producer woke up {wakes} times in {IDLE:?} (L9)"));
            }
            self.run_until(at.max(self.now), false)?;
        }
        Ok(())
    }

    pub(crate) fn trace(&self) -> u64 {
        self.trace
    }

    pub(crate) const fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn see(&mut self, what: Seen) {
        self.seen.see(what);
    }
}
