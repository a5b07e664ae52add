//! DescribeQuorum, UpdateFeatures and UnregisterBroker, as far as Kafka stays as it is.

use ottla_protocol::messages::describe_cluster::DescribeClusterRequest;
use ottla_protocol::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumRequestPartitionData, DescribeQuorumRequestTopicData,
};
use ottla_protocol::messages::unregister_broker::UnregisterBrokerRequest;
use ottla_protocol::messages::update_features::{FeatureUpdateKey, UpdateFeaturesRequest};
use ottla_tests::needs;

use super::pair::Pair;

#[test]
fn what_tools_ask_of_the_cluster_is_answered_as_in_kafka() {
    let mut pair = needs!(Pair::new("cluster tools"));
    quorum(&mut pair);
    features(&mut pair);
    nodes(&mut pair);
    pair.finish();
}

fn quorum_of(topics: &[(&str, &[i32])]) -> DescribeQuorumRequest {
    let topics = topics.iter().map(|(name, partitions)| DescribeQuorumRequestTopicData {
        topic_name: (*name).to_owned(),
        partitions: partitions
            .iter()
            .map(|index| DescribeQuorumRequestPartitionData { partition_index: *index })
            .collect(),
    });
    DescribeQuorumRequest { topics: topics.collect() }
}

fn quorum(pair: &mut Pair) {
    const TOPIC: &str = "__cluster_metadata";
    for version in pair.versions::<DescribeQuorumRequest>() {
        pair.begin(version);
        let (name, _) = pair.topic("quorum", 1, &[]);
        pair.ask("the quorum", version, quorum_of(&[(TOPIC, &[0])]));
        for (case, of) in [
            ("another topic", &[(name.as_str(), &[0][..])][..]),
            ("another partition", &[(TOPIC, &[1])]),
            ("two partitions", &[(TOPIC, &[0, 1])]),
            ("two topics", &[(TOPIC, &[0]), (&name, &[0])]),
            ("no partition", &[(TOPIC, &[])]),
            ("nothing", &[]),
        ] {
            pair.ask(case, version, quorum_of(of));
        }
    }
}

fn features(pair: &mut Pair) {
    for version in pair.versions::<UpdateFeaturesRequest>() {
        pair.begin(version);
        let update = |levels: &[(&str, i16, i8)], validate_only| {
            let feature = |(feature, level, kind): &(&str, i16, i8)| FeatureUpdateKey {
                feature: (*feature).to_owned(),
                max_version_level: *level,
                // The oldest knows only whether it may go down.
                allow_downgrade: version == 0 && *kind > 1,
                upgrade_type: if version == 0 { 1 } else { *kind },
            };
            let feature_updates = levels.iter().map(feature).collect();
            UpdateFeaturesRequest { timeout_ms: 30_000, feature_updates, validate_only }
        };
        const FEATURE: &str = "transaction.version";
        for (case, levels) in [
            ("the same level", &[(FEATURE, 2, 1)][..]),
            ("the same level, down", &[(FEATURE, 2, 2)]),
            ("too high", &[(FEATURE, 3, 1)]),
            ("too low", &[(FEATURE, -1, 2)]),
            ("a downgrade that is not said to be one", &[(FEATURE, 1, 1)]),
            ("an unknown feature", &[("no.such", 1, 1)]),
            ("an unknown feature to be off", &[("no.such", 0, 1)]),
            ("good and bad", &[("group.version", 1, 1), (FEATURE, 9, 1)]),
            ("two", &[("group.version", 1, 1), (FEATURE, 2, 1)]),
            ("twice", &[(FEATURE, 2, 1), (FEATURE, 2, 1)]),
            ("nothing", &[]),
        ] {
            pair.ask(case, version, update(levels, false));
        }
        if version > 0 {
            for kind in [0, 1, 2, 3, 4, -1] {
                let checked = update(&[(FEATURE, 1, kind)], true);
                pair.ask(&format!("only to be checked, kind {kind}"), version, checked);
            }
        }
    }
}

fn nodes(pair: &mut Pair) {
    for version in pair.versions::<UnregisterBrokerRequest>() {
        pair.begin(version);
        pair.ask("an unknown node", version, UnregisterBrokerRequest { broker_id: 77 });
        pair.ask("no node", version, UnregisterBrokerRequest { broker_id: -1 });
    }
    for version in pair.versions::<DescribeClusterRequest>() {
        pair.begin(version);
        for endpoint_type in [1, 2, 9] {
            let request = DescribeClusterRequest {
                endpoint_type,
                include_fenced_brokers: version >= 2,
                ..DescribeClusterRequest::default()
            };
            pair.ask(&format!("endpoints {endpoint_type}"), version, request);
        }
    }
}
