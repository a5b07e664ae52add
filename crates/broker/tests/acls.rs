//! ACLs that tools make, as with Kafka's StandardAuthorizer: what nobody has an ACL for is free to
//! all, and the rest to those that are allowed.

mod common;

use common::Batch;
use common::client::Client;
use ottla_broker::{Acl, Cluster, ErrorCode, Listener, Mechanism, Operation, Sasl};
use ottla_protocol::messages::create_acls::{AclCreation, AclCreationResult, CreateAclsRequest};
use ottla_protocol::messages::delete_acls::{
    DeleteAclsFilter, DeleteAclsFilterResult, DeleteAclsRequest,
};
use ottla_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use ottla_protocol::messages::describe_acls::{DescribeAclsRequest, DescribeAclsResponse};

const VERSION: i16 = 3;
const ANY: i8 = 1;
const TOPIC: i8 = 2;
const CLUSTER: i8 = 4;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
const READ: i8 = 3;
const WRITE: i8 = 4;
const DENY: i8 = 2;
const ALLOW: i8 = 3;
const DENIED: i16 = ErrorCode::TOPIC_AUTHORIZATION_FAILED.0;
const INVALID: i16 = ErrorCode::INVALID_REQUEST.0;

fn acl(name: &str, principal: &str, operation: i8, permission_type: i8) -> AclCreation {
    AclCreation {
        resource_type: TOPIC,
        resource_name: name.to_owned(),
        resource_pattern_type: LITERAL,
        principal: principal.to_owned(),
        host: "*".to_owned(),
        operation,
        permission_type,
    }
}

fn create(client: &mut Client, creations: Vec<AclCreation>) -> Vec<AclCreationResult> {
    client.call(VERSION, &CreateAclsRequest { creations }).results
}

fn created(client: &mut Client, creations: Vec<AclCreation>) {
    let results = create(client, creations);
    assert!(results.iter().all(|result| result.error_code == 0), "{results:?}");
}

fn every_acl() -> DescribeAclsRequest {
    DescribeAclsRequest {
        resource_type_filter: ANY,
        resource_name_filter: None,
        pattern_type_filter: ANY,
        principal_filter: None,
        host_filter: None,
        operation: ANY,
        permission_type: ANY,
    }
}

fn describe(client: &mut Client, request: &DescribeAclsRequest) -> DescribeAclsResponse {
    client.call(VERSION, request)
}

/// Resource and principal of each ACL.
fn described(client: &mut Client, request: &DescribeAclsRequest) -> Vec<(String, String)> {
    let answer = describe(client, request);
    assert_eq!(answer.error_code, 0);
    let resources = answer.resources.into_iter();
    let pairs = resources.flat_map(|resource| {
        let name = resource.resource_name;
        resource.acls.into_iter().map(move |acl| (name.clone(), acl.principal))
    });
    pairs.collect()
}

fn delete(client: &mut Client, name: Option<&str>) -> DeleteAclsFilterResult {
    let filter = DeleteAclsFilter {
        resource_type_filter: ANY,
        resource_name_filter: name.map(str::to_owned),
        pattern_type_filter: ANY,
        principal_filter: None,
        host_filter: None,
        operation: ANY,
        permission_type: ANY,
    };
    let request = DeleteAclsRequest { filters: vec![filter] };
    client.call(VERSION, &request).filter_results.remove(0)
}

/// Two users who must say who they are, and a door for everybody.
fn cluster() -> Cluster {
    Cluster::builder()
        .topic("t", 1)
        .topic("pay-1", 1)
        .user("alice", "a")
        .user("bob", "b")
        .listener(Listener::new("KNOWN").sasl(Sasl::new([Mechanism::Plain])))
        .start()
        .unwrap()
}

fn logged_in(cluster: &Cluster, name: &str, password: &str) -> Client {
    let mut client = Client::connect_to(&cluster.servers_of("KNOWN").unwrap());
    assert_eq!(client.log_in(name, password).error_code, 0);
    client
}

fn write(client: &mut Client, topic: &str) -> i16 {
    client.produce(topic, 0, &Batch::numbered(1)).error_code
}

#[test]
fn a_topic_with_an_acl_is_for_those_that_it_allows_until_the_acl_is_gone() {
    let cluster = cluster();
    let mut admin = Client::connect(&cluster);
    let (mut alice, mut bob) = (logged_in(&cluster, "alice", "a"), logged_in(&cluster, "bob", "b"));
    assert_eq!((write(&mut alice, "t"), write(&mut bob, "t")), (0, 0));
    created(&mut admin, vec![acl("t", "User:alice", WRITE, ALLOW)]);
    assert_eq!((write(&mut alice, "t"), write(&mut bob, "t")), (0, DENIED));
    assert_eq!((write(&mut bob, "pay-1"), write(&mut admin, "t")), (0, DENIED));

    let deny =
        AclCreation { resource_pattern_type: PREFIXED, ..acl("pay-", "User:*", WRITE, DENY) };
    created(&mut admin, vec![deny]);
    assert_eq!(write(&mut alice, "pay-1"), DENIED);

    let gone = delete(&mut admin, None);
    let names: Vec<_> = gone.matching_acls.iter().map(|acl| acl.resource_name.as_str()).collect();
    assert_eq!((gone.error_code, names), (0, vec!["t", "pay-"]));
    assert_eq!((write(&mut bob, "t"), write(&mut alice, "pay-1")), (0, 0));
}

#[test]
fn acls_are_described_by_filter_and_each_is_there_once() {
    let cluster = cluster();
    let mut admin = Client::connect(&cluster);
    let both = vec![acl("t", "User:alice", READ, ALLOW), acl("t", "User:bob", READ, ALLOW)];
    created(&mut admin, both.clone());
    created(&mut admin, both);
    created(&mut admin, vec![acl("u", "User:alice", READ, ALLOW)]);
    let pair = |name: &str, principal: &str| (name.to_owned(), principal.to_owned());
    let all = [pair("t", "User:alice"), pair("t", "User:bob"), pair("u", "User:alice")];
    assert_eq!(described(&mut admin, &every_acl()), all);
    assert_eq!(describe(&mut admin, &every_acl()).resources.len(), 2);
    for version in 1..=VERSION {
        assert_eq!(admin.call(version, &every_acl()).resources.len(), 2, "version {version}");
    }
    let of_bob =
        DescribeAclsRequest { principal_filter: Some("User:bob".to_owned()), ..every_acl() };
    assert_eq!(described(&mut admin, &of_bob), all[1..2]);
    let of_u = DescribeAclsRequest { resource_name_filter: Some("u".to_owned()), ..every_acl() };
    assert_eq!(described(&mut admin, &of_u), all[2..]);
    let unknown = DescribeAclsRequest { operation: 77, ..every_acl() };
    let answer = describe(&mut admin, &unknown);
    assert_eq!(answer.error_code, INVALID);
    assert!(answer.error_message.unwrap().contains("operation 77"));
}

#[test]
fn what_is_no_acl_is_refused_by_itself_with_the_reason() {
    let cluster = cluster();
    let mut admin = Client::connect(&cluster);
    let good = || acl("t", "User:alice", READ, ALLOW);
    let bad = [
        (AclCreation { resource_type: ANY, ..good() }, "resource type 1"),
        (AclCreation { resource_pattern_type: 1, ..good() }, "pattern type 1"),
        (AclCreation { operation: ANY, ..good() }, "operation 1"),
        (AclCreation { permission_type: ANY, ..good() }, "permission type 1"),
        (AclCreation { resource_name: String::new(), ..good() }, "is empty"),
        (AclCreation { resource_type: CLUSTER, ..good() }, "kafka-cluster"),
        (AclCreation { principal: "alice".to_owned(), ..good() }, "User:alice"),
    ];
    for (bad, reason) in bad {
        let results = create(&mut admin, vec![bad, good()]);
        assert_eq!((results[0].error_code, results[1].error_code), (INVALID, 0));
        let message = results[0].error_message.clone().unwrap();
        assert!(message.contains(reason), "{message}");
    }
    assert_eq!(described(&mut admin, &every_acl()).len(), 1);
}

#[test]
fn who_may_not_alter_the_cluster_may_not_change_acls_but_a_super_user_may() {
    let cluster = Cluster::builder()
        .topic("t", 1)
        .user("admin", "x")
        .super_user("User:admin")
        .listener(Listener::new("KNOWN").sasl(Sasl::new([Mechanism::Plain])))
        .start()
        .unwrap();
    let mut nobody = Client::connect(&cluster);
    let mut admin = logged_in(&cluster, "admin", "x");
    let of_cluster =
        AclCreation { resource_type: CLUSTER, ..acl("kafka-cluster", "User:nobody", 2, ALLOW) };
    created(&mut nobody, vec![of_cluster]);
    let denied = ErrorCode::CLUSTER_AUTHORIZATION_FAILED.0;
    let one = vec![acl("t", "User:alice", READ, ALLOW)];
    assert_eq!(create(&mut nobody, one.clone())[0].error_code, denied);
    assert_eq!(describe(&mut nobody, &every_acl()).error_code, denied);
    assert_eq!(delete(&mut nobody, None).error_code, denied);
    created(&mut admin, one);
    assert_eq!(write(&mut admin, "t"), 0);
    assert_eq!(delete(&mut admin, None).matching_acls.len(), 2);
    assert_eq!(describe(&mut nobody, &every_acl()).error_code, 0);

    cluster.deny(Acl::cluster().operation(Operation::Describe));
    assert_eq!(describe(&mut admin, &every_acl()).error_code, denied);
}

#[test]
fn who_may_delete_on_the_cluster_may_delete_any_topic() {
    let cluster = cluster();
    let mut admin = Client::connect(&cluster);
    created(&mut admin, vec![acl("t", "User:alice", READ, ALLOW)]);
    let mut bob = logged_in(&cluster, "bob", "b");
    let request = || {
        let name = Some("t".to_owned());
        let topics = vec![DeleteTopicState { name, ..DeleteTopicState::default() }];
        DeleteTopicsRequest { topics, timeout_ms: 1000, ..DeleteTopicsRequest::default() }
    };
    // A rule about the topic is stronger.
    let rule = Acl::topic("t").operation(Operation::Delete);
    cluster.deny(rule.clone());
    assert_eq!(bob.call(6, &request()).responses[0].error_code, DENIED);
    cluster.allow(&rule);
    assert_eq!(bob.call(6, &request()).responses[0].error_code, 0);
}

#[test]
fn acls_hold_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Cluster::builder().topic("t", 1).data_dir(dir.path()).start().unwrap();
    let cluster = start();
    created(&mut Client::connect(&cluster), vec![acl("t", "User:alice", WRITE, ALLOW)]);
    cluster.stop();
    let cluster = start();
    let mut client = Client::connect(&cluster);
    assert_eq!(write(&mut client, "t"), DENIED);
    assert_eq!(described(&mut client, &every_acl()).len(), 1);
}
