//! Groups of the consumer protocol (KIP-848): ConsumerGroupHeartbeat, ConsumerGroupDescribe.

use ottla_protocol::Uuid;
use ottla_protocol::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use ottla_protocol::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatRequestTopicPartitions,
    ConsumerGroupHeartbeatResponse,
};
use ottla_tests::needs;

use super::pair::{Both, Pair};

const LEAVES: i32 = -1;
const LEAVES_FOR_A_WHILE: i32 = -2;

/// A member that comes to a group.
fn join(group: &str, member: &str, topic: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: group.to_owned(),
        member_id: member.to_owned(),
        member_epoch: 0,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: 45_000,
        subscribed_topic_names: Some(vec![topic.to_owned()]),
        subscribed_topic_regex: None,
        server_assignor: None,
        topic_partitions: Some(Vec::new()),
    }
}

/// A member that has nothing to say.
fn beat(group: &str, member: &str, member_epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        member_epoch,
        rebalance_timeout_ms: -1,
        subscribed_topic_names: None,
        topic_partitions: None,
        ..join(group, member, "")
    }
}

type Answers = Both<ConsumerGroupHeartbeatResponse>;

/// A beat of each side's member, with its epoch and so much more.
fn next(group: &str, answers: &Answers, more: i32) -> Both<ConsumerGroupHeartbeatRequest> {
    answers.map(|told| {
        let id = told.member_id.clone().unwrap_or_default();
        beat(group, &id, told.member_epoch + more)
    })
}

/// The same, in full: the member has what it was told to.
fn whole(group: &str, topic: &str, answers: &Answers) -> Both<ConsumerGroupHeartbeatRequest> {
    answers.map(|told| {
        let id = told.member_id.clone().unwrap_or_default();
        let assigned = told.assignment.iter().flat_map(|it| &it.topic_partitions);
        let owned = assigned.map(|it| ConsumerGroupHeartbeatRequestTopicPartitions {
            topic_id: it.topic_id,
            partitions: it.partitions.clone(),
        });
        ConsumerGroupHeartbeatRequest {
            member_epoch: told.member_epoch,
            topic_partitions: Some(owned.collect()),
            ..join(group, &id, topic)
        }
    })
}

#[test]
fn groups_of_the_consumer_protocol_are_led_as_in_kafka() {
    let mut pair = needs!(Pair::new("consumer groups"));
    pair.find_coordinator("nobody", 0);
    for version in pair.versions::<ConsumerGroupHeartbeatRequest>() {
        pair.begin(version);
        let (topic, _) = pair.topic("watched", 3, &[]);
        refused(&mut pair, version, &topic);
        lived(&mut pair, version, &topic);
        shared(&mut pair, version, &topic);
        stayed(&mut pair, version, &topic);
    }
    pair.finish();
}

fn refused(pair: &mut Pair, version: i16, topic: &str) {
    let group = pair.name("refused");
    let bad = |change: &dyn Fn(&mut ConsumerGroupHeartbeatRequest)| {
        let mut request = join(&group, "AAAAAAAAAAAAAAAAAAAAAQ", topic);
        change(&mut request);
        request
    };
    let owned = vec![ConsumerGroupHeartbeatRequestTopicPartitions {
        topic_id: Uuid::from_halves(1, 1),
        partitions: vec![0],
    }];
    for (case, request) in [
        ("no group", bad(&|it| it.group_id.clear())),
        ("blank group", bad(&|it| " ".clone_into(&mut it.group_id))),
        ("no subscription", bad(&|it| it.subscribed_topic_names = None)),
        ("no rebalance timeout", bad(&|it| it.rebalance_timeout_ms = -1)),
        ("owned from the start", bad(&|it| it.topic_partitions = Some(owned.clone()))),
        ("nothing said of what is owned", bad(&|it| it.topic_partitions = None)),
        ("unknown assignor", bad(&|it| it.server_assignor = Some("none-such".to_owned()))),
        ("empty assignor", bad(&|it| it.server_assignor = Some(String::new()))),
        ("empty instance", bad(&|it| it.instance_id = Some(String::new()))),
        ("empty rack", bad(&|it| it.rack_id = Some(String::new()))),
        ("gone for a while and not static", bad(&|it| it.member_epoch = LEAVES_FOR_A_WHILE)),
        ("epoch -3", bad(&|it| it.member_epoch = -3)),
        ("no expression", bad(&|it| it.subscribed_topic_regex = Some("(".to_owned()))),
        ("unknown member", beat(&group, "AAAAAAAAAAAAAAAAAAAAAQ", 1)),
        ("unknown member leaves", beat(&group, "AAAAAAAAAAAAAAAAAAAAAQ", LEAVES)),
        ("nameless member", beat(&group, "", 1)),
        ("nameless member leaves", beat(&group, "", LEAVES)),
    ] {
        pair.ask(case, version, request);
    }
    for (case, group) in [("unknown group", group.as_str()), ("nameless group", "")] {
        pair.ask(case, version, described(group));
    }
}

fn described(group: &str) -> ConsumerGroupDescribeRequest {
    ConsumerGroupDescribeRequest {
        group_ids: vec![group.to_owned()],
        include_authorized_operations: true,
    }
}

/// One member, from its coming to its going.
fn lived(pair: &mut Pair, version: i16, topic: &str) {
    let group = pair.name("lived");
    // From version 1 on members name themselves.
    let id = if version == 0 { "" } else { "AAAAAAAAAAAAAAAAAAAAAg" };
    let Some(joined) = pair.ask("joins", version, join(&group, id, topic)) else { return };
    pair.ask("described with one", version, described(&group));
    pair.ask("beats", version, next(&group, &joined, 0));
    pair.ask("says it all", version, whole(&group, topic, &joined));
    pair.ask("of the future", version, next(&group, &joined, 10));
    let unknown = joined.map(|_| beat(&group, "AAAAAAAAAAAAAAAAAAAAAQ", 1));
    pair.ask("stranger to a group", version, unknown);
    let other = next(&group, &joined, 0).map(|it| ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: Some(vec![topic.to_owned(), "nothing-of-the-kind".to_owned()]),
        ..it.clone()
    });
    let Some(changed) = pair.ask("wants more", version, other) else { return };
    let nothing = next(&group, &changed, 0).map(|it| ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: Some(Vec::new()),
        ..it.clone()
    });
    let Some(emptied) = pair.ask("wants nothing", version, nothing) else { return };
    pair.ask("described wanting nothing", version, described(&group));
    let again = joined.map(|told| {
        let id = told.member_id.clone().unwrap_or_default();
        join(&group, &id, topic)
    });
    let Some(again) = pair.ask("comes anew", version, again) else { return };
    pair.ask("described having come anew", version, described(&group));
    let gone = emptied.with(&again, |_, told| {
        beat(&group, told.member_id.as_deref().unwrap_or_default(), LEAVES)
    });
    pair.ask("leaves", version, gone);
    pair.ask("described with nobody", version, described(&group));
}

/// Two members: one gives up what the other gets.
fn shared(pair: &mut Pair, version: i16, topic: &str) {
    let group = pair.name("shared");
    let id = |id: &'static str| if version == 0 { "" } else { id };
    let first = join(&group, id("AAAAAAAAAAAAAAAAAAAAAw"), topic);
    let Some(first) = pair.ask("the first of two", version, first) else { return };
    pair.ask("the first has it", version, whole(&group, topic, &first));
    let second = join(&group, id("AAAAAAAAAAAAAAAAAAAABA"), topic);
    let Some(second) = pair.ask("the second of two", version, second) else { return };
    let Some(less) = pair.ask("the first is to give up", version, next(&group, &first, 0)) else {
        return;
    };
    pair.ask("the second waits", version, next(&group, &second, 0));
    let Some(kept) = pair.ask("the first has given up", version, whole(&group, topic, &less))
    else {
        return;
    };
    pair.ask("the second gets it", version, next(&group, &second, 0));
    pair.ask("the first goes on", version, next(&group, &kept, 0));
    let gone = kept.map(|told| beat(&group, told.member_id.as_deref().unwrap_or_default(), LEAVES));
    pair.ask("the first leaves", version, gone);
    pair.ask("the second gets all", version, next(&group, &second, 0));
}

/// A static member that goes for a while, and another one in its place.
fn stayed(pair: &mut Pair, version: i16, topic: &str) {
    let group = pair.name("stayed");
    let id = |id: &'static str| if version == 0 { "" } else { id };
    let named = |member: &str| ConsumerGroupHeartbeatRequest {
        instance_id: Some("one".to_owned()),
        ..join(&group, member, topic)
    };
    let first = named(id("AAAAAAAAAAAAAAAAAAAABQ"));
    let Some(first) = pair.ask("static", version, first) else { return };
    let usurper = named(id("AAAAAAAAAAAAAAAAAAAABg"));
    pair.ask("another of the same instance", version, usurper.clone());
    let with_instance = |request: &ConsumerGroupHeartbeatRequest| ConsumerGroupHeartbeatRequest {
        instance_id: Some("one".to_owned()),
        ..request.clone()
    };
    let away = first.map(|told| {
        let id = told.member_id.clone().unwrap_or_default();
        with_instance(&beat(&group, &id, LEAVES_FOR_A_WHILE))
    });
    pair.ask("static, gone for a while", version, away);
    let Some(second) = pair.ask("static, another in its place", version, usurper) else { return };
    let former = next(&group, &first, 0).map(with_instance);
    pair.ask("static, replaced", version, former);
    pair.ask("static, described", version, described(&group));
    let gone = second.map(|told| {
        let id = told.member_id.clone().unwrap_or_default();
        with_instance(&beat(&group, &id, LEAVES))
    });
    pair.ask("static, leaves", version, gone);
}
