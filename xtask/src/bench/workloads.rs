//! What is measured: tables of workloads.

/// A workload: its name on the page, and what differs from [`BASE`].
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) size: u64,
    pub(crate) keys: u64,
    pub(crate) codec: &'static str,
    pub(crate) partitions: u64,
    pub(crate) topics: u64,
    pub(crate) threads: u64,
    pub(crate) tasks: u64,
    /// Records per second; 0 is as fast as it goes.
    pub(crate) rate: u64,
    /// Records for a client that takes some millions a second; slower ones send fewer.
    pub(crate) records: u64,
    pub(crate) surface: &'static str,
    /// `linger.adaptive.gap.ms`, where it is not the default.
    pub(crate) gap_ms: &'static str,
}

/// 100 bytes without a key, not compressed, to 12 partitions, by one thread as fast as it goes.
const BASE: Load = Load {
    name: "",
    size: 100,
    keys: 0,
    codec: "none",
    partitions: 12,
    topics: 1,
    threads: 1,
    tasks: 1,
    rate: 0,
    records: 8_000_000,
    surface: "",
    gap_ms: "",
};

/// Workloads that stand in one table, and who runs them.
#[derive(Clone, Copy)]
pub(crate) struct Table {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) workloads: &'static [Load],
    /// Whether other clients run it as well.
    pub(crate) peers: bool,
}

pub(crate) const MAIN: Table = Table {
    id: "main",
    title: "As fast as it goes",
    peers: true,
    workloads: &[
        Load { name: "100 B", ..BASE },
        Load { name: "100 B, key", keys: 10_007, ..BASE },
        Load { name: "100 B, lz4", codec: "lz4", ..BASE },
        Load { name: "100 B, key, lz4", keys: 10_007, codec: "lz4", ..BASE },
        Load { name: "1 KB", size: 1000, records: 1_500_000, ..BASE },
        Load { name: "1 KB, lz4", size: 1000, codec: "lz4", records: 1_000_000, ..BASE },
    ],
};

/// Our own client alone: does the cost of a record depend on what else there is?
pub(crate) const SPREAD: Table = Table {
    id: "spread",
    title: "Partitions, topics, threads and interfaces",
    peers: false,
    workloads: &[
        Load { name: "1 partition", partitions: 1, ..BASE },
        Load { name: "12 partitions", ..BASE },
        Load { name: "100 partitions", partitions: 100, ..BASE },
        Load { name: "1,000 partitions", partitions: 1000, ..BASE },
        Load { name: "10,000 partitions", partitions: 10_000, ..BASE },
        Load { name: "10,000 partitions, key", partitions: 10_000, keys: 10_007, ..BASE },
        Load { name: "10 topics of 3", partitions: 3, topics: 10, ..BASE },
        Load { name: "100 topics of 3", partitions: 3, topics: 100, ..BASE },
        Load { name: "2 threads", threads: 2, ..BASE },
        Load { name: "4 threads", threads: 4, ..BASE },
        Load { name: "`Topic` handle", surface: "topic", ..BASE },
        Load { name: "async `send`", surface: "send", ..BASE },
        Load {
            name: "`send`, each delivery awaited",
            surface: "await",
            records: 3_000_000,
            ..BASE
        },
        Load { name: "blocking `send`", surface: "blocking", ..BASE },
        Load {
            name: "100,000 tasks that await",
            surface: "tasks",
            tasks: 100_000,
            records: 3_000_000,
            ..BASE
        },
    ],
};

pub(crate) const LATENCY: Table = Table {
    id: "latency",
    title: "Latency at a fixed rate",
    peers: true,
    workloads: &[
        Load { name: "1,000/s", rate: 1000, records: 3000, ..BASE },
        Load { name: "20,000/s", rate: 20_000, records: 60_000, ..BASE },
        Load { name: "100,000/s", rate: 100_000, records: 300_000, ..BASE },
    ],
};

/// 20,000 records a second, with this gap between requests to a broker that has nothing to do.
const fn gap(name: &'static str, gap_ms: &'static str) -> Load {
    Load { name, gap_ms, rate: 20_000, records: 100_000, ..BASE }
}

/// How eagerly a batch leaves: latency against processor time.
pub(crate) const CURVE: Table = Table {
    id: "curve",
    title: "The gap between requests, at 20,000 records a second",
    peers: false,
    workloads: &[
        gap("0 ms", "0"),
        gap("0.05 ms", "0.05"),
        gap("0.1 ms", "0.1"),
        gap("0.2 ms (default)", "0.2"),
        gap("0.3 ms", "0.3"),
        gap("0.5 ms", "0.5"),
        gap("1 ms", "1"),
        gap("2 ms", "2"),
    ],
};
