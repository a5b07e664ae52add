//! AlterPartitionReassignments, ListPartitionReassignments, WriteTxnMarkers, ListConfigResources.

use ottla_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use ottla_protocol::messages::list_config_resources::ListConfigResourcesRequest;
use ottla_protocol::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use ottla_protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use ottla_tests::needs;

use super::pair::Pair;

/// The node that both have.
const NODE: i32 = 1;

#[test]
fn what_tools_ask_about_moves_and_markers_is_answered_as_in_kafka() {
    let mut pair = needs!(Pair::new("moves"));
    moved(&mut pair);
    listed(&mut pair);
    marked(&mut pair);
    resources(&mut pair);
    pair.finish();
}

fn to(name: &str, index: i32, replicas: Option<&[i32]>) -> AlterPartitionReassignmentsRequest {
    let replicas = replicas.map(<[i32]>::to_vec);
    let partitions = vec![ReassignablePartition { partition_index: index, replicas }];
    AlterPartitionReassignmentsRequest {
        timeout_ms: 10_000,
        allow_replication_factor_change: true,
        topics: vec![ReassignableTopic { name: name.to_owned(), partitions }],
    }
}

fn moved(pair: &mut Pair) {
    for version in pair.versions::<AlterPartitionReassignmentsRequest>() {
        pair.begin(version);
        let (name, _) = pair.topic("moved", 1, &[]);
        for (case, replicas) in [
            ("where it is", Some(&[NODE][..])),
            ("to nobody", Some(&[])),
            ("twice to one", Some(&[NODE, NODE])),
            ("to one that is not there", Some(&[NODE + 8])),
            ("to one below zero", Some(&[-2])),
            ("back from nowhere", None),
        ] {
            pair.ask(case, version, to(&name, 0, replicas));
        }
        pair.ask("unknown partition", version, to(&name, 7, Some(&[NODE])));
        pair.ask("unknown topic", version, to(&pair.name("nobody"), 0, Some(&[NODE])));
        let mut nothing = to(&name, 0, None);
        nothing.topics.clear();
        pair.ask("nothing", version, nothing);
    }
    let (name, _) = pair.topic("as-many", 1, &[]);
    let as_many = AlterPartitionReassignmentsRequest {
        allow_replication_factor_change: false,
        ..to(&name, 0, Some(&[NODE]))
    };
    pair.ask("as many as before", 1, as_many);
}

fn listed(pair: &mut Pair) {
    for version in pair.versions::<ListPartitionReassignmentsRequest>() {
        pair.begin(version);
        let (name, _) = pair.topic("listed", 1, &[]);
        let topics = |name: &str, index: i32| {
            let partition_indexes = vec![index];
            let name = name.to_owned();
            ListPartitionReassignmentsRequest {
                topics: Some(vec![ListPartitionReassignmentsTopics { name, partition_indexes }]),
                timeout_ms: 10_000,
            }
        };
        let all = ListPartitionReassignmentsRequest { topics: None, timeout_ms: 10_000 };
        pair.ask("all", version, all);
        pair.ask("one that stays", version, topics(&name, 0));
        pair.ask("unknown partition", version, topics(&name, 7));
        pair.ask("unknown topic", version, topics(&pair.name("nobody"), 0));
    }
}

fn marked(pair: &mut Pair) {
    for version in pair.versions::<WriteTxnMarkersRequest>() {
        pair.begin(version);
        let (name, _) = pair.topic("marked", 1, &[]);
        let marker = |name: &str, index: i32, epochs: (i16, i32)| {
            let (name, partition_indexes) = (name.to_owned(), vec![index]);
            let marker = WritableTxnMarker {
                producer_id: 4_000_000_000,
                producer_epoch: epochs.0,
                coordinator_epoch: epochs.1,
                topics: vec![WritableTxnMarkerTopic { name, partition_indexes }],
                ..WritableTxnMarker::default()
            };
            WriteTxnMarkersRequest { markers: vec![marker] }
        };
        for (case, epochs) in [
            ("of a stranger", (4, 7)),
            ("again", (4, 7)),
            ("of an older epoch", (3, 7)),
            ("of a former coordinator", (4, 6)),
            ("of a newer epoch", (5, 7)),
        ] {
            pair.ask(case, version, marker(&name, 0, epochs));
        }
        pair.ask("unknown partition", version, marker(&name, 7, (4, 7)));
        pair.ask("unknown topic", version, marker(&pair.name("nobody"), 0, (4, 7)));
        pair.ask("nothing", version, WriteTxnMarkersRequest::default());
    }
}

fn resources(pair: &mut Pair) {
    for version in pair.versions::<ListConfigResourcesRequest>() {
        pair.begin(version);
        let of = |resource_types: &[i8]| ListConfigResourcesRequest {
            resource_types: resource_types.to_vec(),
        };
        // Topics and groups of other tests come and go.
        for kind in [4, 8, 16, 1, 77] {
            pair.ask(&format!("resources of kind {kind}"), version, of(&[kind]));
        }
        pair.ask("resources of two kinds", version, of(&[4, 16]));
    }
}
