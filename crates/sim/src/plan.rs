//! What one run is: settings, load and faults, all drawn from the seed.

use std::time::Duration;

use crate::close::Close;
use crate::log::RecordId;
use crate::rng::Chance;
use crate::sasl::Sasl;

/// Which faults happen, in a thousandth of the occasions or per fault event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Time between two fault events, on average; nothing happens at zero.
    pub(crate) every_ms: u64,
    /// Weights of fault events.
    pub(crate) cut: u32,
    pub(crate) black_hole: u32,
    pub(crate) crash: u32,
    pub(crate) pause: u32,
    pub(crate) move_leader: u32,
    pub(crate) recreate: u32,
    pub(crate) add_partitions: u32,
    pub(crate) forget_producers: u32,
    /// Permille of answers to produce requests.
    pub(crate) lose_answer: u32,
    pub(crate) tear_answer: u32,
    pub(crate) repeat_answer: u32,
    pub(crate) refuse: u32,
    pub(crate) append_then_refuse: u32,
    pub(crate) leave_out: u32,
    pub(crate) throttle: u32,
    pub(crate) too_large: u32,
    /// Permille of other requests.
    pub(crate) refuse_identity: u32,
    /// Permille of connects.
    pub(crate) refuse_connect: u32,
    /// Longest time that a piece of a stream is on its way.
    pub(crate) latency_ms: u64,
    /// Longest time until a node knows what the controller decided.
    pub(crate) view_ms: u64,
}

impl Faults {
    const NONE: Self = Self {
        every_ms: 0,
        cut: 0,
        black_hole: 0,
        crash: 0,
        pause: 0,
        move_leader: 0,
        recreate: 0,
        add_partitions: 0,
        forget_producers: 0,
        lose_answer: 0,
        tear_answer: 0,
        repeat_answer: 0,
        refuse: 0,
        append_then_refuse: 0,
        leave_out: 0,
        throttle: 0,
        too_large: 0,
        refuse_identity: 0,
        refuse_connect: 0,
        latency_ms: 3,
        view_ms: 20,
    };
}

/// A run, whole. The same plan gives the same run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where all chance comes from.
    pub seed: u64,
    /// The producer's settings.
    pub settings: Vec<(&'static str, String)>,
    /// Whether its retries are recognized.
    pub idempotent: bool,
    /// 0, 1 or -1 (all).
    pub acks: i16,
    /// The newest version of Produce that the brokers speak.
    pub produce_version: i16,
    /// `min.insync.replicas`.
    pub min_insync: usize,
    /// Partitions at the start.
    pub partitions: usize,
    /// Records to send.
    pub records: u32,
    /// Over how much time.
    pub load_ms: u64,
    /// Occasional flushes and purges.
    pub flushes: bool,
    /// Whether the program gives records up now and then.
    pub purges: bool,
    /// `delivery.timeout.ms`.
    pub delivery_timeout: Duration,
    /// Memory that the producer's batches may hold.
    pub memory_bytes: usize,
    /// What the topic takes.
    pub limits: Limits,
    /// What goes wrong.
    pub faults: Faults,
    /// How nodes let clients in; everybody is let in if nothing is said.
    pub sasl: Option<Sasl>,
    /// When the program closes its producer; at the end of the run if nothing is said.
    pub close: Option<Close>,
}

/// What a topic takes of what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `max.message.bytes`, the largest batch; none where it is larger than any.
    pub(crate) batch_bytes: Option<usize>,
    /// From when on.
    pub(crate) from_ms: u64,
    /// Permille of records that the broker minds (KIP-467).
    pub(crate) minded: u32,
}

impl Limits {
    const NONE: Self = Self { batch_bytes: None, from_ms: 0, minded: 0 };

    fn new(seed: u64, load_ms: u64) -> Self {
        let mut chance = Chance::stream(seed, "limits");
        let limited = chance.permille(250);
        let from_ms = chance.pick(&[0, load_ms / 3, load_ms / 2]);
        let batch_bytes = limited.then(|| chance.pick(&[110, 140, 300, 700]));
        let minded = if chance.permille(150) { chance.pick(&[10, 100]) } else { 0 };
        Self { batch_bytes, from_ms, minded }
    }
}

/// The profiles by name.
pub const PROFILES: [&str; 6] = ["calm", "network", "nodes", "topics", "storm", "modes"];

/// Most runs have as many steps, or a few more.
const CLOSED_BEFORE: u64 = 3_000;

impl Plan {
    /// The run of a seed under a profile; `None` for a name that is none of [`PROFILES`].
    #[must_use]
    pub fn new(seed: u64, profile: &str) -> Option<Self> {
        let mut chance = Chance::stream(seed, "plan");
        let faults = faults(profile, &mut chance)?;
        let (acks, idempotent) = match profile {
            "modes" => chance.pick(&[(-1, true), (-1, false), (1, false), (0, false)]),
            _ => (-1, true),
        };
        let delivery_ms = chance.pick(&[2_000, 5_000, 20_000, 60_000]);
        let request_ms = chance.pick(&[300, 1_000, 1_900]);
        let linger_ms = chance.pick(&[0, 5, 20]);
        let batch = chance.pick(&[200_u64, 1_000, 16_384]);
        let mut settings = vec![
            ("bootstrap.servers", "node1:9092,node2:9092,node3:9092".to_owned()),
            ("acks", acks.to_string()),
            ("enable.idempotence", idempotent.to_string()),
            ("batch.size", batch.to_string()),
            ("linger.ms", linger_ms.to_string()),
            ("linger.adaptive", chance.pick(&["true", "false"]).to_owned()),
            ("delivery.timeout.ms", delivery_ms.to_string()),
            ("request.timeout.ms", request_ms.to_string()),
            ("max.in.flight.requests.per.connection", chance.pick(&["1", "2", "5"]).to_owned()),
            ("compression.type", chance.pick(&["none", "lz4"]).to_owned()),
            ("retry.backoff.ms", chance.pick(&["1", "20", "100"]).to_owned()),
        ];
        if chance.permille(200) {
            let most = if idempotent { &["1", "3"] } else { &["0", "3"] };
            settings.push(("retries", chance.pick(most).to_owned()));
        }
        let mut plan = Self {
            seed,
            settings,
            idempotent,
            acks,
            produce_version: chance.pick(&[9, 12, 13, 13]),
            min_insync: chance.pick(&[1, 2, 2]),
            partitions: 1 + chance.below(6) as usize,
            records: 50 + chance.below(450) as u32,
            load_ms: chance.pick(&[2_000, 10_000, 30_000]),
            flushes: chance.permille(500),
            purges: chance.permille(150),
            delivery_timeout: Duration::from_millis(delivery_ms),
            memory_bytes: chance.pick(&[64 << 10, 1 << 20]),
            limits: Limits::NONE,
            faults,
            sasl: Sasl::new(seed, profile != "calm"),
            close: None,
        };
        if plan.sasl.is_some() {
            let settings = Sasl::SETTINGS.map(|(key, value)| (key, value.to_owned()));
            plan.settings.extend(settings);
        }
        if profile != "calm" {
            plan.limits = Limits::new(seed, plan.load_ms);
        }
        Some(plan)
    }

    /// The same, with the program closing its producer at some step.
    #[must_use]
    pub fn closed(self) -> Self {
        let mut chance = Chance::stream(self.seed, "close");
        let at_step = chance.below(CLOSED_BEFORE);
        let all = self.delivery_timeout + Duration::from_secs(1);
        let within = chance.pick(&[Duration::ZERO, Duration::from_millis(200), all]);
        Self { close: Some(Close { at_step, within }), ..self }
    }

    /// Whether a record may fail for having been sent too often.
    pub(crate) fn retries_are_few(&self) -> bool {
        self.settings.iter().any(|(key, _)| *key == "retries")
    }

    /// Whether the broker minds the record.
    pub(crate) fn is_minded(&self, id: RecordId) -> bool {
        let mut chance = Chance::stream(self.seed ^ u64::from(id), "minded");
        self.limits.minded > 0 && chance.permille(self.limits.minded)
    }
}

fn faults(profile: &str, chance: &mut Chance) -> Option<Faults> {
    let network = Faults {
        every_ms: 400,
        cut: 10,
        black_hole: 3,
        lose_answer: 40,
        tear_answer: 20,
        repeat_answer: 10,
        refuse_connect: 50,
        latency_ms: chance.pick(&[2, 20, 200]),
        ..Faults::NONE
    };
    let nodes = Faults {
        every_ms: 900,
        crash: 6,
        pause: 4,
        move_leader: 8,
        view_ms: chance.pick(&[10, 100, 800]),
        ..Faults::NONE
    };
    Some(match profile {
        "calm" => Faults::NONE,
        "network" => network,
        "nodes" => nodes,
        "topics" => Faults {
            every_ms: 700,
            recreate: 4,
            add_partitions: 3,
            move_leader: 2,
            cut: 2,
            view_ms: chance.pick(&[10, 200]),
            ..Faults::NONE
        },
        "storm" | "modes" => Faults {
            every_ms: chance.pick(&[150, 400, 1_500]),
            crash: 5,
            pause: 3,
            move_leader: 6,
            forget_producers: 1,
            add_partitions: 1,
            refuse: 30,
            append_then_refuse: 30,
            leave_out: 5,
            throttle: 10,
            too_large: 3,
            refuse_identity: 200,
            view_ms: nodes.view_ms,
            ..network
        },
        _ => return None,
    })
}

/// Plans with a little less in them.
pub(crate) fn smaller(plan: &Plan) -> Vec<Plan> {
    let mut plans = Vec::new();
    for fewer in [plan.records / 2, plan.records.saturating_sub(1)] {
        if fewer > 0 && fewer < plan.records {
            plans.push(Plan { records: fewer, ..plan.clone() });
        }
    }
    let fields: [fn(&mut Faults) -> &mut u32; 18] = [
        |faults| &mut faults.cut,
        |faults| &mut faults.black_hole,
        |faults| &mut faults.crash,
        |faults| &mut faults.pause,
        |faults| &mut faults.move_leader,
        |faults| &mut faults.recreate,
        |faults| &mut faults.add_partitions,
        |faults| &mut faults.forget_producers,
        |faults| &mut faults.lose_answer,
        |faults| &mut faults.tear_answer,
        |faults| &mut faults.repeat_answer,
        |faults| &mut faults.refuse,
        |faults| &mut faults.append_then_refuse,
        |faults| &mut faults.leave_out,
        |faults| &mut faults.throttle,
        |faults| &mut faults.too_large,
        |faults| &mut faults.refuse_identity,
        |faults| &mut faults.refuse_connect,
    ];
    for field in fields {
        let mut faults = plan.faults.clone();
        if std::mem::take(field(&mut faults)) > 0 {
            plans.push(Plan { faults, ..plan.clone() });
        }
    }
    if plan.flushes || plan.purges {
        plans.push(Plan { flushes: false, purges: false, ..plan.clone() });
    }
    if plan.limits != Limits::NONE {
        plans.push(Plan { limits: Limits::NONE, ..plan.clone() });
    }
    if plan.sasl.is_some() {
        let mut settings = plan.settings.clone();
        settings.retain(|(key, _)| !Sasl::SETTINGS.iter().any(|(own, _)| own == key));
        plans.push(Plan { sasl: None, settings, ..plan.clone() });
    }
    if plan.partitions > 1 {
        plans.push(Plan { partitions: 1, ..plan.clone() });
    }
    plans
}
