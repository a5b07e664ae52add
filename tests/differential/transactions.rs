//! InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn, and Produce in
//! between.

use ottla_protocol::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use ottla_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic,
};
use ottla_protocol::messages::end_txn::EndTxnRequest;
use ottla_protocol::messages::init_producer_id::InitProducerIdRequest;
use ottla_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_tests::needs;

use super::data::Topic;
use super::pair::{Both, Pair};
use crate::common::Batch;

fn init(id: Option<&str>, timeout_ms: i32) -> InitProducerIdRequest {
    InitProducerIdRequest {
        transactional_id: id.map(str::to_owned),
        transaction_timeout_ms: timeout_ms,
        producer_id: -1,
        producer_epoch: -1,
    }
}

/// A producer as both sides know it.
#[derive(Clone, Copy)]
struct Producer {
    id: i64,
    epoch: i16,
}

impl Producer {
    const fn next(self) -> Self {
        Self { id: self.id, epoch: self.epoch + 1 }
    }

    const fn before(self) -> Self {
        Self { id: self.id, epoch: self.epoch - 1 }
    }
}

fn add(id: &str, it: &Producer, name: &str, partitions: &[i32]) -> AddPartitionsToTxnRequest {
    let partitions = partitions.to_vec();
    AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: id.to_owned(),
        v3_and_below_producer_id: it.id,
        v3_and_below_producer_epoch: it.epoch,
        v3_and_below_topics: vec![AddPartitionsToTxnTopic { name: name.to_owned(), partitions }],
        ..AddPartitionsToTxnRequest::default()
    }
}

fn end(id: &str, it: &Producer, committed: bool) -> EndTxnRequest {
    let transactional_id = id.to_owned();
    EndTxnRequest { transactional_id, producer_id: it.id, producer_epoch: it.epoch, committed }
}

fn add_offsets(id: &str, it: &Producer, group: &str) -> AddOffsetsToTxnRequest {
    AddOffsetsToTxnRequest {
        transactional_id: id.to_owned(),
        producer_id: it.id,
        producer_epoch: it.epoch,
        group_id: group.to_owned(),
    }
}

fn commit(id: &str, it: &Producer, group: &str, topic: &str) -> TxnOffsetCommitRequest {
    TxnOffsetCommitRequest {
        transactional_id: id.to_owned(),
        group_id: group.to_owned(),
        producer_id: it.id,
        producer_epoch: it.epoch,
        generation_id: -1,
        topics: vec![TxnOffsetCommitRequestTopic {
            name: topic.to_owned(),
            partitions: vec![TxnOffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: 4,
                committed_metadata: Some(String::new()),
                ..TxnOffsetCommitRequestPartition::default()
            }],
        }],
        ..TxnOffsetCommitRequest::default()
    }
}

#[test]
fn producer_ids_are_given_as_in_kafka() {
    let mut pair = needs!(Pair::new("producer ids"));
    pair.find_coordinator("nobody", 1);
    for version in pair.versions::<InitProducerIdRequest>() {
        pair.begin(version);
        let id = pair.name("given");
        pair.ask("idempotent", version, init(None, 60_000));
        pair.ask("idempotent again", version, init(None, 60_000));
        pair.ask("empty id", version, init(Some(""), 60_000));
        for timeout in [0, -1, 1, 900_000, 900_001, i32::MAX] {
            let id = format!("{id}-{timeout}");
            pair.ask(&format!("timeout {timeout}"), version, init(Some(&id), timeout));
        }
        let Some(first) = pair.ask("first", version, init(Some(&id), 60_000)) else { continue };
        pair.ask("second", version, init(Some(&id), 60_000));
        let own = |epoch: i16, of: i64| {
            first.map(|first| InitProducerIdRequest {
                producer_id: if of == 0 { first.producer_id } else { of },
                producer_epoch: epoch,
                ..init(Some(&id), 60_000)
            })
        };
        pair.ask("with what it has", version, own(1, 0));
        pair.ask("with what it had", version, own(1, 0));
        pair.ask("with what it had long ago", version, own(0, 0));
        pair.ask("with an epoch ahead", version, own(90, 0));
        pair.ask("with another's id", version, own(0, 12_345_678));
        pair.ask("with an id and no epoch", version, own(-1, 0));
        pair.ask("with an epoch and no id", version, own(3, -1));
        let strange = InitProducerIdRequest {
            producer_id: 7,
            producer_epoch: 3,
            ..init(Some(&pair.name("unknown")), 60_000)
        };
        pair.ask("with numbers and an unknown id", version, strange);
        let idle =
            InitProducerIdRequest { producer_id: 7, producer_epoch: 3, ..init(None, 60_000) };
        pair.ask("idempotent with numbers", version, idle);
    }
    pair.finish();
}

/// Transactions of the first version: partitions are added by the client.
#[test]
fn transactions_of_old_clients_go_as_in_kafka() {
    let mut pair = needs!(Pair::new("transactions"));
    pair.find_coordinator("nobody", 1);
    pair.find_coordinator("nobody", 0);
    for version in pair.versions::<AddPartitionsToTxnRequest>().filter(|version| *version <= 3) {
        pair.begin(version);
        let (name, id) = pair.topic("transacted", 2, &[]);
        let topic = Topic { name, id };
        let id = pair.name("first");
        let told = pair.tell(4, init(Some(&id), 60_000));
        let it = told.map(|it| Producer { id: it.producer_id, epoch: it.producer_epoch });
        let ends = version.min(3);
        pair.ask("nothing begun", ends, it.map(|it| end(&id, it, true)));
        let batch = |it: &Both<Producer>, sequence: i32| {
            let request = it.map(|it| {
                let mut batch = Batch::numbered(2).idempotent(it.id, it.epoch, sequence);
                batch.transactional = true;
                topic.produce_as(9, -1, Some(&id), &[(0, Some(batch.encode()))])
            });
            Both { kafka: request.kafka.kafka, ours: request.ours.ours }
        };
        pair.ask("before it is added", 9, batch(&it, 0));
        for (case, request) in [
            ("unknown partition", it.map(|it| add(&id, it, &topic.name, &[0, 9]))),
            ("unknown topic", it.map(|it| add(&id, it, "nobody-knows", &[0]))),
            ("old epoch", it.map(|it| add(&id, &it.before(), &topic.name, &[0]))),
            ("new epoch", it.map(|it| add(&id, &it.next(), &topic.name, &[0]))),
            ("unknown id", it.map(|it| add("nobody", it, &topic.name, &[0]))),
            ("no id", it.map(|it| add("", it, &topic.name, &[0]))),
            ("good", it.map(|it| add(&id, it, &topic.name, &[0]))),
            ("good again", it.map(|it| add(&id, it, &topic.name, &[0]))),
            ("nothing", it.map(|it| add(&id, it, &topic.name, &[]))),
        ] {
            pair.ask(case, version, request);
        }
        pair.ask("within", 9, batch(&it, 0));
        pair.ask("within, open", 11, topic.fetch(11, 0));
        let ends_of = |level| {
            let mut request = topic.list_offsets(&[(0, -1)]);
            request.isolation_level = level;
            request
        };
        pair.ask("open", 7, ends_of(0));
        pair.ask("open, committed", 7, ends_of(1));
        for (case, request) in [
            ("old epoch", it.map(|it| end(&id, &it.before(), true))),
            ("new epoch", it.map(|it| end(&id, &it.next(), true))),
            ("unknown id", it.map(|it| end("nobody", it, true))),
            ("no id", it.map(|it| end("", it, true))),
            ("another's number", it.map(|it| end(&id, &Producer { id: it.id + 500, ..*it }, true))),
            ("aborted", it.map(|it| end(&id, it, false))),
        ] {
            pair.ask(case, ends, request);
        }
        pair.wait_for_end(&id, &it.map(|it| end(&id, it, false)));
        pair.ask("aborted again", ends, it.map(|it| end(&id, it, false)));
        pair.ask("committed after all", ends, it.map(|it| end(&id, it, true)));
        pair.ask("aborted, raw", 11, topic.fetch(11, 0));
        let committed = topic.fetch(11, 0).map(|request| {
            let mut request = request.clone();
            request.isolation_level = 1;
            request
        });
        pair.ask("aborted, committed", 11, committed.clone());
        offsets(&mut pair, version, &id, &it, &topic);
        pair.ask("at last", 11, committed);
    }
    pair.finish();
}

/// Offsets within a transaction.
fn offsets(pair: &mut Pair, version: i16, id: &str, it: &Both<Producer>, topic: &Topic) {
    let group = pair.name("within");
    let commits = version.min(3);
    pair.ask("not in a transaction", commits, it.map(|it| commit(id, it, &group, &topic.name)));
    for (case, request) in [
        ("old epoch", it.map(|it| add_offsets(id, &it.before(), &group))),
        ("new epoch", it.map(|it| add_offsets(id, &it.next(), &group))),
        ("unknown id", it.map(|it| add_offsets("nobody", it, &group))),
        ("no group", it.map(|it| add_offsets(id, it, ""))),
        ("good", it.map(|it| add_offsets(id, it, &group))),
    ] {
        pair.ask(case, version.min(3), request);
    }
    for (case, request) in [
        ("old epoch", it.map(|it| commit(id, &it.before(), &group, &topic.name))),
        ("new epoch", it.map(|it| commit(id, &it.next(), &group, &topic.name))),
        ("unknown topic", it.map(|it| commit(id, it, &group, "nobody-knows"))),
        ("no group", it.map(|it| commit(id, it, "", &topic.name))),
        ("another group", it.map(|it| commit(id, it, &pair.name("other"), &topic.name))),
        ("good", it.map(|it| commit(id, it, &group, &topic.name))),
    ] {
        pair.ask(case, commits, request);
    }
    let member = it.map(|it| TxnOffsetCommitRequest {
        member_id: "stranger".to_owned(),
        generation_id: 3,
        ..commit(id, it, &group, &topic.name)
    });
    pair.ask("a stranger", commits, member);
    pair.ask("with offsets", version.min(3), it.map(|it| end(id, it, true)));
    pair.wait_for_end(id, &it.map(|it| end(id, it, true)));
}
