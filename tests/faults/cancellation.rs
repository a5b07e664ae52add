//! Futures that are dropped while a broker is silent, or a frame is torn (laws L1, L7 and L9); and
//! that none of them is forgotten.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use ottla::admin::{Admin, ConfigChange, ConfigResource, NewTopic};
use ottla::reader::{ReadOptions, Reader};
use ottla_tests::proxy::{Trouble, Way};
use ottla_tests::run;
use ottla_tests::sweep::polls;
use ottla_tests::wait::in_time;

use super::network::Line;
use crate::behaviour::cancellation::{FUTURES, Scene, sweep};

/// Laws: L1, L2, L7, L9, L10. Scenarios: H9, bug-39, bug-40.
#[test]
fn every_future_may_be_dropped_at_each_of_its_await_points_while_a_frame_is_torn() {
    let line = Line::new();
    for after_bytes in [0, 150] {
        let begin = async || {
            let brisk = [("request.timeout.ms", "50"), ("batch.size", "400")];
            let scene = Scene::new(line.producer(&brisk), "one", 30);
            scene.send().await;
            scene.producer.flush(Duration::from_secs(60)).await.expect("flushed");
            line.proxy.plan(Way::There, after_bytes, Trouble::Stall);
            for _ in 0..30 {
                scene.send().await;
            }
            scene
        };
        sweep(&line.engine, "one", begin, || line.proxy.heal());
    }
}

type Asked<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// What becomes of a request does not matter here: the next one counts.
async fn whatever<T, E>(asked: impl Future<Output = Result<T, E>>) {
    drop(asked.await);
}

fn new_topic() -> NewTopic {
    NewTopic::new(ottla_tests::engine::unique("swept"))
}

const BROKER: ConfigResource = ConfigResource::Broker(0);

type AdminRow<'a> = (&'a str, for<'b> fn(&'b mut Admin) -> Asked<'b>);

/// Every future of an administrator's, by file and name.
const ADMIN: [AdminRow<'_>; 11] = [
    ("admin/mod.rs reach_brokers", |admin| Box::pin(whatever(admin.reach_brokers()))),
    ("admin/cluster.rs describe_cluster", |admin| Box::pin(whatever(admin.describe_cluster(None)))),
    ("admin/describe.rs describe_topic", |admin| Box::pin(whatever(admin.describe_topic("one")))),
    ("admin/topics.rs create_topic", |admin| {
        Box::pin(async { whatever(admin.create_topic(&new_topic())).await })
    }),
    ("admin/topics.rs validate_topic", |admin| {
        Box::pin(async { whatever(admin.validate_topic(&new_topic())).await })
    }),
    ("admin/topics.rs create_partitions", |admin| {
        Box::pin(whatever(admin.create_partitions("two", 1, false)))
    }),
    ("admin/topics.rs list_topics", |admin| Box::pin(whatever(admin.list_topics()))),
    ("admin/topics.rs delete_topic", |admin| Box::pin(whatever(admin.delete_topic("absent")))),
    ("admin/operations.rs cluster_operations", |admin| {
        Box::pin(whatever(admin.cluster_operations()))
    }),
    ("admin/configs.rs describe_configs", |admin| {
        Box::pin(async { whatever(admin.describe_configs(&BROKER)).await })
    }),
    ("admin/configs.rs alter_configs", |admin| {
        Box::pin(async {
            let none: [(String, ConfigChange); 0] = [];
            whatever(admin.alter_configs(&BROKER, &none, true)).await;
        })
    }),
];

type OpeningRow<'a> = (&'a str, for<'b> fn(&'b str) -> Asked<'b>);

/// Every future that opens something, by file and name.
const OPENING: [OpeningRow<'_>; 6] = [
    ("admin/mod.rs connect", |servers| Box::pin(whatever(Admin::connect(servers, BRIEF)))),
    ("admin/mod.rs connect_with", |servers| {
        Box::pin(async move {
            let security = ottla::Security::default();
            whatever(Admin::connect_with(servers, &security, BRIEF, |_| ())).await
        })
    }),
    ("reader/mod.rs open", |servers| Box::pin(whatever(Reader::open(servers, "one", options())))),
    ("reader/mod.rs open_with", |servers| {
        Box::pin(whatever(Reader::open_with(servers, "one", options(), |_| ())))
    }),
    ("admin/probe/mod.rs probe", |server| {
        Box::pin(async move {
            let security = ottla::Security::default();
            ottla::admin::probe(server, &security, BRIEF).await;
        })
    }),
    ("net/mod.rs connect", |server| Box::pin(whatever(ottla::net::connect(server, BRIEF)))),
];

/// And the last one.
const READING: &str = "reader/mod.rs next";

/// Longer than any answer takes here, and short enough to wait for in vain.
const BRIEF: Duration = Duration::from_millis(400);

fn options() -> ReadOptions {
    ReadOptions::new().stop_at_end(true).timeout(BRIEF)
}

/// What may go wrong with an answer.
fn troubles(line: &Line, torn: bool) {
    if torn {
        line.proxy.plan(Way::Back, 9, Trouble::Stall);
    }
}

/// Laws: L7, L9. Scenarios: H9, bug-39.
#[test]
fn a_request_of_an_administrator_may_be_dropped_at_any_await_point_and_the_next_is_answered() {
    let line = Line::new();
    for torn in [false, true] {
        for (name, future) in ADMIN {
            for most in 1.. {
                let done = run(async {
                    let connected = Admin::connect(line.engine.servers(), BRIEF).await;
                    let mut admin = connected.expect("connected");
                    troubles(&line, torn);
                    let done = in_time(polls(future(&mut admin), most)).await.is_some();
                    line.proxy.heal();
                    // On the same connection it would get the answer to what was dropped.
                    let listed = admin.list_topics().await;
                    let listed = listed.unwrap_or_else(|error| panic!("after {name}: {error}"));
                    assert!(listed.iter().any(|topic| topic.name == "one"), "after {name}");
                    done
                });
                if done {
                    break;
                }
            }
        }
    }
}

/// Laws: L9. Scenarios: H9.
#[test]
fn a_connection_may_be_given_up_at_any_await_point() {
    let line = Line::new();
    for torn in [false, true] {
        for (name, future) in OPENING {
            for most in 1.. {
                troubles(&line, torn);
                let done = run(async {
                    in_time(polls(future(line.engine.servers()), most)).await.is_some()
                });
                line.proxy.heal();
                if done {
                    break;
                }
                assert!(most < 1000, "{name} is never done");
            }
        }
    }
}

/// Laws: L7, L9. Scenarios: H9.
#[test]
fn reading_may_be_given_up_at_any_await_point_and_goes_on_where_it_was() {
    let line = Line::new();
    let producer = line.producer(&[("batch.size", "100")]);
    let values: Vec<String> = (0..100).map(|n| format!("{n:040}")).collect();
    let records = values.iter().map(|value| ottla::Record::new("one").value(value));
    assert!(run(producer.send_all(records)).iter().all(Result::is_ok));
    for (torn, dropped) in [(false, 0), (false, 40), (true, 0), (true, 40)] {
        for most in 1..8 {
            let read = run(in_time(async {
                let opened = Reader::open(line.engine.servers(), "one", options()).await;
                let mut reader = opened.expect("opened");
                troubles(&line, torn);
                let mut read = Vec::new();
                for call in 0.. {
                    let most = if call == dropped { most } else { usize::MAX };
                    match polls(next(&mut reader), most).await {
                        Some(Some(values)) => read.extend(values),
                        Some(None) => break,
                        None => line.proxy.heal(),
                    }
                }
                read
            }));
            assert!(read == values, "{torn} {dropped} {most}: {read:?}");
        }
    }
}

/// The values of the next batch, none at the end. What stalls is asked again.
async fn next(reader: &mut Reader) -> Option<Vec<String>> {
    let batch = match reader.next().await {
        Ok(batch) => batch?,
        Err(_) => return Some(Vec::new()),
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    Some(batch.map(|record| text(record.expect("whole").value.unwrap_or_default())).collect())
}

/// Laws: L9. Scenarios: H9.
#[test]
fn no_public_future_is_left_out_of_the_sweeps() {
    let mut swept: BTreeSet<String> = FUTURES.iter().map(|(name, _)| (*name).to_owned()).collect();
    swept.extend(ADMIN.iter().map(|(name, _)| (*name).to_owned()));
    swept.extend(OPENING.iter().map(|(name, _)| (*name).to_owned()));
    swept.insert(READING.to_owned());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/client/src");
    let mut found = BTreeSet::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the library's source") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a file");
            let file = path.strip_prefix(&root).expect("below it").display().to_string();
            for line in text.lines().map(str::trim) {
                let name = line
                    .strip_prefix("pub async fn ")
                    .or_else(|| line.strip_prefix("impl Future for "));
                if let Some(name) = name {
                    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
                    found.insert(format!("{file} {}", &name[..end.unwrap_or(name.len())]));
                }
            }
        }
    }
    assert_eq!(found, swept, "left: in the library; right: dropped at each await point here");
}
