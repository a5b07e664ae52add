//! Groups of the classic protocol: their members, their offsets, what is told of them.

use bytes::Bytes;
use ottla_protocol::Uuid;
use ottla_protocol::messages::delete_groups::DeleteGroupsRequest;
use ottla_protocol::messages::describe_groups::DescribeGroupsRequest;
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::heartbeat::HeartbeatRequest;
use ottla_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use ottla_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ottla_protocol::messages::list_groups::ListGroupsRequest;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::sasl_handshake::SaslHandshakeRequest;
use ottla_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use ottla_tests::needs;

use super::data::Topic;
use super::pair::{Both, Pair};

fn join(group: &str, member_id: &str) -> JoinGroupRequest {
    let protocol = |name: &str| JoinGroupRequestProtocol {
        name: name.to_owned(),
        metadata: Bytes::from_static(b"\0\0\0\0\0\0\0\0\0\0"),
    };
    JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 60_000,
        member_id: member_id.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol("range"), protocol("roundrobin")],
        ..JoinGroupRequest::default()
    }
}

fn sync(group: &str, generation_id: i32, member_id: &str) -> SyncGroupRequest {
    SyncGroupRequest {
        group_id: group.to_owned(),
        generation_id,
        member_id: member_id.to_owned(),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: member_id.to_owned(),
            assignment: Bytes::from_static(b"assigned"),
        }],
        ..SyncGroupRequest::default()
    }
}

fn beat(group: &str, generation_id: i32, member_id: &str) -> HeartbeatRequest {
    let (group_id, member_id) = (group.to_owned(), member_id.to_owned());
    HeartbeatRequest { group_id, generation_id, member_id, group_instance_id: None }
}

fn leave(version: i16, group: &str, member_id: &str) -> LeaveGroupRequest {
    let (group_id, member_id) = (group.to_owned(), member_id.to_owned());
    if version < 3 {
        return LeaveGroupRequest { group_id, member_id, members: Vec::new() };
    }
    let members = vec![MemberIdentity { member_id, ..MemberIdentity::default() }];
    LeaveGroupRequest { group_id, members, ..LeaveGroupRequest::default() }
}

#[test]
fn joining_is_answered_as_kafka_does() {
    let mut pair = needs!(Pair::new("join"));
    pair.find_coordinator("nobody", 0);
    for version in pair.versions::<JoinGroupRequest>() {
        pair.begin(version);
        let group = pair.name("joined");
        let bad = |change: &dyn Fn(&mut JoinGroupRequest)| {
            let mut request = join(&pair.name("bad"), "");
            change(&mut request);
            request
        };
        let bads = [
            ("no group", bad(&|it| it.group_id.clear())),
            ("short session", bad(&|it| it.session_timeout_ms = 1)),
            ("long session", bad(&|it| it.session_timeout_ms = i32::MAX)),
            ("negative session", bad(&|it| it.session_timeout_ms = -1)),
            ("unknown member", bad(&|it| "stranger".clone_into(&mut it.member_id))),
            ("no protocol type", bad(&|it| it.protocol_type.clear())),
            ("no protocols", bad(&|it| it.protocols.clear())),
            (
                "unknown static member",
                bad(&|it| {
                    "stranger".clone_into(&mut it.member_id);
                    it.group_instance_id = Some("one".to_owned());
                }),
            ),
        ];
        for (case, request) in bads {
            pair.ask(case, version, request);
        }
        let Some(first) = pair.ask("first", version, join(&group, "")) else { continue };
        let members = first.map(|first| first.member_id.clone());
        let joined = match first.kafka.error_code {
            79 => pair.ask("with its id", version, members.map(|id| join(&group, id))),
            _ => Some(first),
        };
        let Some(joined) = joined else { continue };
        pair.ask("joined again", version, members.map(|id| join(&group, id)));
        let mut other = join(&group, "");
        "connect".clone_into(&mut other.protocol_type);
        pair.ask("another protocol type", version, other);
        let mut other = join(&group, "");
        other.protocols.truncate(1);
        "sticky".clone_into(&mut other.protocols[0].name);
        pair.ask("no protocol in common", version, other);
        pair.ask("unknown member of a group", version, join(&group, "stranger"));
        member(
            &mut pair,
            version,
            &group,
            &joined.map(|it| (it.generation_id, it.member_id.clone())),
        );
    }
    pair.finish();
}

/// What a member does, in the versions that go with a version of JoinGroup.
fn member(pair: &mut Pair, version: i16, group: &str, it: &Both<(i32, String)>) {
    let syncs = version.min(*pair.versions::<SyncGroupRequest>().end());
    let beats = version.min(*pair.versions::<HeartbeatRequest>().end());
    // It has joined once more, and so there was another generation.
    let generation = it.kafka.0 + 1;
    pair.ask("before all are in step", beats, it.map(|it| beat(group, generation, &it.1)));
    for (case, request) in [
        ("unknown group", it.map(|it| sync("nobody", generation, &it.1))),
        ("no group", it.map(|it| sync("", generation, &it.1))),
        ("unknown member", it.map(|_| sync(group, generation, "stranger"))),
        ("old generation", it.map(|it| sync(group, it.0, &it.1))),
        ("early generation", it.map(|it| sync(group, generation + 5, &it.1))),
    ] {
        let named = request.map(|request| SyncGroupRequest {
            protocol_type: (syncs >= 5).then(|| "consumer".to_owned()),
            protocol_name: (syncs >= 5).then(|| "range".to_owned()),
            ..request.clone()
        });
        pair.ask(case, syncs, named);
        if syncs >= 5 {
            pair.ask(&format!("{case}, no protocol"), syncs, request);
        }
    }
    let odd = it.map(|it| SyncGroupRequest {
        protocol_type: Some("connect".to_owned()),
        protocol_name: Some("range".to_owned()),
        ..sync(group, generation, &it.1)
    });
    pair.ask("another type", syncs, odd);
    let named = |name: &str| {
        it.map(|it| SyncGroupRequest {
            protocol_type: (syncs >= 5).then(|| "consumer".to_owned()),
            protocol_name: (syncs >= 5).then(|| name.to_owned()),
            ..sync(group, generation, &it.1)
        })
    };
    if syncs >= 5 {
        pair.ask("another protocol", syncs, named("sticky"));
    }
    pair.ask("good", syncs, named("range"));
    pair.ask("good again", syncs, named("range"));
    beats_and_leaves(pair, version, group, it);
}

/// What a member does once it is in step.
fn beats_and_leaves(pair: &mut Pair, version: i16, group: &str, it: &Both<(i32, String)>) {
    let beats = version.min(*pair.versions::<HeartbeatRequest>().end());
    let leaves = version.min(*pair.versions::<LeaveGroupRequest>().end());
    let generation = it.kafka.0 + 1;
    for (case, request) in [
        ("good", it.map(|it| beat(group, generation, &it.1))),
        ("unknown group", it.map(|it| beat("nobody", generation, &it.1))),
        ("no group", it.map(|it| beat("", generation, &it.1))),
        ("unknown member", it.map(|_| beat(group, generation, "stranger"))),
        ("no member", it.map(|_| beat(group, generation, ""))),
        ("old generation", it.map(|it| beat(group, it.0, &it.1))),
        ("no generation", it.map(|it| beat(group, -1, &it.1))),
    ] {
        pair.ask(case, beats, request);
    }
    let groups = vec![group.to_owned()];
    let describes = version.min(*pair.versions::<DescribeGroupsRequest>().end());
    let describe = DescribeGroupsRequest { groups, include_authorized_operations: false };
    pair.ask("stable", describes, describe.clone());
    let operations =
        DescribeGroupsRequest { include_authorized_operations: true, ..describe.clone() };
    pair.ask("with operations", describes, operations);
    let deletes = version.min(*pair.versions::<DeleteGroupsRequest>().end());
    let delete = DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
    pair.ask("stable", deletes, delete.clone());
    for (case, request) in [
        ("unknown member", it.map(|_| leave(leaves, group, "stranger"))),
        ("unknown group", it.map(|it| leave(leaves, "nobody", &it.1))),
        ("no group", it.map(|it| leave(leaves, "", &it.1))),
        ("good", it.map(|it| leave(leaves, group, &it.1))),
        ("good again", it.map(|it| leave(leaves, group, &it.1))),
    ] {
        pair.ask(case, leaves, request);
    }
    pair.ask("empty", describes, describe.clone());
    pair.ask("empty", deletes, delete.clone());
    pair.ask("gone", deletes, delete);
    pair.ask("gone", describes, describe);
}

#[test]
fn static_members_are_answered_as_in_kafka() {
    let mut pair = needs!(Pair::new("static members"));
    pair.find_coordinator("nobody", 0);
    for version in pair.versions::<JoinGroupRequest>().filter(|version| *version >= 5) {
        pair.begin(version);
        let group = pair.name("static");
        let fixed = |member: &str| JoinGroupRequest {
            group_instance_id: Some("one".to_owned()),
            ..join(&group, member)
        };
        let Some(first) = pair.ask("static", version, fixed("")) else { continue };
        let generation = first.kafka.generation_id;
        let first = first.map(|first| first.member_id.clone());
        pair.ask("static", 4, first.map(|id| sync(&group, generation, id)));
        let Some(second) = pair.ask("static again", version, fixed("")) else { continue };
        pair.ask("static, fenced", version, first.map(|id| fixed(id)));
        let second = second.map(|second| (second.generation_id, second.member_id.clone()));
        let fixed_beat = |id: &str| HeartbeatRequest {
            group_instance_id: Some("one".to_owned()),
            ..beat(&group, generation, id)
        };
        pair.ask("static", 4, second.map(|it| fixed_beat(&it.1)));
        pair.ask("static, fenced", 4, first.map(|id| fixed_beat(id)));
        let strange = first.map(|id| HeartbeatRequest {
            group_instance_id: Some("two".to_owned()),
            ..beat(&group, generation, id)
        });
        pair.ask("unknown static", 4, strange);
        let leave = |id: &str, instance: &str| LeaveGroupRequest {
            group_id: group.clone(),
            members: vec![MemberIdentity {
                member_id: id.to_owned(),
                group_instance_id: Some(instance.to_owned()),
                reason: None,
            }],
            ..LeaveGroupRequest::default()
        };
        pair.ask("static, fenced", 5, first.map(|id| leave(id, "one")));
        pair.ask("unknown static", 5, leave("", "two"));
        pair.ask("static", 5, leave("", "one"));
    }
    pair.finish();
}

fn commit(
    version: i16,
    group: &str,
    topic: &Topic,
    rows: &[(i32, i64)],
) -> Both<OffsetCommitRequest> {
    let row = |(partition_index, committed_offset): &(i32, i64)| OffsetCommitRequestPartition {
        partition_index: *partition_index,
        committed_offset: *committed_offset,
        committed_metadata: Some("noted".to_owned()),
        ..OffsetCommitRequestPartition::default()
    };
    topic.id.map(|id| OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: if version < 10 { topic.name.clone() } else { String::new() },
            topic_id: if version < 10 { Uuid::ZERO } else { *id },
            partitions: rows.iter().map(row).collect(),
        }],
        ..OffsetCommitRequest::default()
    })
}

/// OffsetFetch of one topic, or of all.
fn offsets(
    version: i16,
    group: &str,
    topic: Option<&Topic>,
    partitions: &[i32],
) -> Both<OffsetFetchRequest> {
    let group_id = group.to_owned();
    let id = topic.map_or(Both { kafka: Uuid::ZERO, ours: Uuid::ZERO }, |topic| topic.id.clone());
    let name = topic.map(|topic| topic.name.clone());
    id.map(|id| {
        let (group_id, name, partition_indexes) =
            (group_id.clone(), name.clone(), partitions.to_vec());
        if version < 8 {
            let topics = name.map(|name| vec![OffsetFetchRequestTopic { name, partition_indexes }]);
            return OffsetFetchRequest { group_id, topics, ..OffsetFetchRequest::default() };
        }
        let topics = name.map(|name| {
            vec![OffsetFetchRequestTopics {
                name: if version < 10 { name } else { String::new() },
                topic_id: if version < 10 { Uuid::ZERO } else { *id },
                partition_indexes,
            }]
        });
        let group =
            OffsetFetchRequestGroup { group_id, topics, member_epoch: -1, ..Default::default() };
        OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() }
    })
}

#[test]
fn offsets_of_groups_are_kept_as_in_kafka() {
    let mut pair = needs!(Pair::new("offsets"));
    pair.find_coordinator("nobody", 0);
    let (name, id) = pair.topic("offsets", 3, &[]);
    let topic = Topic { name, id };
    for version in pair.versions::<OffsetCommitRequest>() {
        pair.begin(version);
        let group = pair.name("keeper");
        pair.ask("alone", version, commit(version, &group, &topic, &[(0, 5), (1, 7)]));
        pair.ask("again, less", version, commit(version, &group, &topic, &[(0, 3)]));
        pair.ask("negative", version, commit(version, &group, &topic, &[(2, -5)]));
        pair.ask("unknown partition", version, commit(version, &group, &topic, &[(9, 1), (2, 1)]));
        pair.ask("no group", version, commit(version, "", &topic, &[(0, 1)]));
        pair.ask("no partitions", version, commit(version, &group, &topic, &[]));
        let unknown = Topic::unknown(pair.name("unknown-topic"));
        pair.ask("unknown topic", version, commit(version, &group, &unknown, &[(0, 1)]));
        let change = |change: &dyn Fn(&mut OffsetCommitRequest)| {
            commit(version, &group, &topic, &[(0, 9)]).map(|request| {
                let mut request = request.clone();
                change(&mut request);
                request
            })
        };
        let with_member = change(&|it| "stranger".clone_into(&mut it.member_id));
        pair.ask("unknown member", version, with_member);
        let with_both = change(&|it| {
            "stranger".clone_into(&mut it.member_id);
            it.generation_id_or_member_epoch = 3;
        });
        pair.ask("unknown member of a generation", version, with_both);
        pair.ask("generation", version, change(&|it| it.generation_id_or_member_epoch = 3));
        let fixed = change(&|it| it.group_instance_id = Some("one".to_owned()));
        pair.ask("instance", version, fixed);
        pair.ask("retention", version, change(&|it| it.retention_time_ms = 1000));
        let long = change(&|it| {
            it.topics[0].partitions[0].committed_metadata = Some("x".repeat(5000));
        });
        pair.ask("long metadata", version, long);
        let null = change(&|it| it.topics[0].partitions[0].committed_metadata = None);
        pair.ask("no metadata", version, null);
        let new = change(&|it| {
            it.group_id = pair.name("new");
            it.generation_id_or_member_epoch = 1;
        });
        pair.ask("generation of an unknown group", version, new);
    }
    fetched(&mut pair, &topic);
    forget(&mut pair, &topic);
    pair.finish();
}

/// OffsetFetch.
fn fetched(pair: &mut Pair, topic: &Topic) {
    for version in pair.versions::<OffsetFetchRequest>() {
        let group = pair.name("keeper");
        pair.ask("some", version, offsets(version, &group, Some(topic), &[0, 1, 2, 9]));
        pair.ask("all", version, offsets(version, &group, None, &[]));
        pair.ask("unknown group", version, offsets(version, "nobody", Some(topic), &[0]));
        pair.ask("all of an unknown group", version, offsets(version, "nobody", None, &[]));
        pair.ask("no group", version, offsets(version, "", Some(topic), &[0]));
        pair.ask("no partitions", version, offsets(version, &group, Some(topic), &[]));
        let unknown = Topic::unknown(pair.name("unknown-topic"));
        pair.ask("unknown topic", version, offsets(version, &group, Some(&unknown), &[0]));
        let stable = offsets(version, &group, Some(topic), &[0])
            .map(|it| OffsetFetchRequest { require_stable: true, ..it.clone() });
        pair.ask("stable", version, stable);
        let member = offsets(version, &group, Some(topic), &[0]).map(|it| {
            let mut it = it.clone();
            for group in &mut it.groups {
                group.member_id = Some("stranger".to_owned());
                group.member_epoch = 4;
            }
            it
        });
        pair.ask("of a stranger", version, member);
    }
}

/// OffsetDelete, ListGroups, DescribeGroups.
fn forget(pair: &mut Pair, topic: &Topic) {
    let group = pair.name("keeper");
    for version in pair.versions::<ListGroupsRequest>() {
        let of = |states: &[&str], types: &[&str]| ListGroupsRequest {
            states_filter: states.iter().map(|it| (*it).to_owned()).collect(),
            types_filter: types.iter().map(|it| (*it).to_owned()).collect(),
        };
        pair.ask("all", version, of(&[], &[]));
        for state in ["Empty", "empty", "Stable", "Nonsense"] {
            pair.ask(&format!("state {state}"), version, of(&[state], &[]));
        }
        for kind in ["classic", "Classic", "consumer", "Nonsense"] {
            pair.ask(&format!("type {kind}"), version, of(&[], &[kind]));
        }
    }
    for version in pair.versions::<DescribeGroupsRequest>() {
        let of = |groups: &[&str]| DescribeGroupsRequest {
            groups: groups.iter().map(|it| (*it).to_owned()).collect(),
            ..DescribeGroupsRequest::default()
        };
        pair.ask("with offsets alone", version, of(&[&group]));
        pair.ask("unknown", version, of(&["nobody"]));
        pair.ask("nameless", version, of(&[""]));
        pair.ask("none", version, of(&[]));
        pair.ask("twice", version, of(&[&group, &group]));
    }
    for version in pair.versions::<OffsetDeleteRequest>() {
        let of = |group: &str, name: &str, partitions: &[i32]| OffsetDeleteRequest {
            group_id: group.to_owned(),
            topics: vec![OffsetDeleteRequestTopic {
                name: name.to_owned(),
                partitions: partitions
                    .iter()
                    .map(|it| OffsetDeleteRequestPartition { partition_index: *it })
                    .collect(),
            }],
        };
        pair.ask("some", version, of(&group, &topic.name, &[0, 2, 9]));
        pair.ask("again", version, of(&group, &topic.name, &[0]));
        pair.ask("unknown group", version, of("nobody", &topic.name, &[0]));
        pair.ask("no group", version, of("", &topic.name, &[0]));
        pair.ask("unknown topic", version, of(&group, "nobody-knows", &[0]));
    }
    for version in pair.versions::<DeleteGroupsRequest>() {
        let of = |groups: &[&str]| DeleteGroupsRequest {
            groups_names: groups.iter().map(|it| (*it).to_owned()).collect(),
        };
        pair.ask("unknown", version, of(&["nobody"]));
        pair.ask("nameless", version, of(&[""]));
        pair.ask("none", version, of(&[]));
        pair.ask("with offsets", version, of(&[&group, "nobody"]));
    }
}

#[test]
fn coordinators_are_found_as_in_kafka() {
    let mut pair = needs!(Pair::new("coordinators"));
    pair.find_coordinator("nobody", 0);
    pair.find_coordinator("nobody", 1);
    for version in pair.versions::<FindCoordinatorRequest>() {
        pair.begin(version);
        for key_type in [0, 1, 2, 3, -1] {
            for key in ["one", ""] {
                let case = format!("type {key_type}, key {key:?}");
                let (key, keys) = match version {
                    ..4 => (key.to_owned(), Vec::new()),
                    _ => (String::new(), vec![key.to_owned()]),
                };
                let request = FindCoordinatorRequest { key, key_type, coordinator_keys: keys };
                pair.ask(&case, version, request);
            }
        }
        let keys = ["one", "two", "one"].map(str::to_owned).to_vec();
        let several =
            FindCoordinatorRequest { coordinator_keys: keys, ..FindCoordinatorRequest::default() };
        pair.ask("several", version, several);
        if version >= 4 {
            pair.ask("none", version, FindCoordinatorRequest::default());
        }
    }
    for version in pair.versions::<SaslHandshakeRequest>() {
        for mechanism in ["PLAIN", "", "NONSENSE"] {
            let case = format!("mechanism {mechanism:?}");
            pair.ask(&case, version, SaslHandshakeRequest { mechanism: mechanism.to_owned() });
        }
    }
    pair.finish();
}
