//! Users of SCRAM as tools see and change them (KIP-554).

mod common;

use common::client::Client;
use ottla_broker::{Acl, Cluster, ErrorCode, Operation};
use ottla_protocol::messages::alter_user_scram_credentials::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use ottla_protocol::messages::describe_user_scram_credentials::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse, UserName,
};

const SHA_256: i8 = 1;
const SHA_512: i8 = 2;

fn cluster() -> Cluster {
    Cluster::builder().user("alice", "secret").user("bob", "secret").start().expect("starts")
}

fn ask(client: &mut Client, names: Option<&[&str]>) -> DescribeUserScramCredentialsResponse {
    let users = names.map(|names| {
        let users = names.iter().map(|name| UserName { name: (*name).to_owned() });
        users.collect()
    });
    client.call(0, &DescribeUserScramCredentialsRequest { users })
}

/// A user with the code for it, and its mechanisms and iterations.
type Described = (String, ErrorCode, Vec<(i8, i32)>);

fn described(client: &mut Client, names: Option<&[&str]>) -> Vec<Described> {
    let answer = ask(client, names);
    assert_eq!((answer.error_code, answer.error_message), (0, None));
    let results = answer.results.into_iter().map(|it| {
        assert_eq!(it.error_message.is_some(), it.error_code != 0);
        let infos = it.credential_infos.iter().map(|info| (info.mechanism, info.iterations));
        (it.user, ErrorCode(it.error_code), infos.collect())
    });
    results.collect()
}

fn deletion(name: &str, mechanism: i8) -> ScramCredentialDeletion {
    ScramCredentialDeletion { name: name.to_owned(), mechanism }
}

fn upsertion(name: &str, mechanism: i8, iterations: i32) -> ScramCredentialUpsertion {
    let len = if mechanism == SHA_512 { 64 } else { 32 };
    ScramCredentialUpsertion {
        name: name.to_owned(),
        mechanism,
        iterations,
        salt: vec![7; 20].into(),
        salted_password: vec![9; len].into(),
    }
}

fn alter(
    client: &mut Client,
    deletions: Vec<ScramCredentialDeletion>,
    upsertions: Vec<ScramCredentialUpsertion>,
) -> Vec<(String, ErrorCode)> {
    let answer = client.call(0, &AlterUserScramCredentialsRequest { deletions, upsertions });
    let results = answer.results.into_iter().map(|it| (it.user, ErrorCode(it.error_code)));
    results.collect()
}

#[test]
fn users_are_told_with_their_mechanisms_and_iterations() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let both = vec![(SHA_256, 4096), (SHA_512, 4096)];
    let (ok, none) = (ErrorCode::NONE, Vec::new());
    let (alice, bob) = ("alice".to_owned(), "bob".to_owned());
    let all = vec![(alice.clone(), ok, both.clone()), (bob.clone(), ok, both.clone())];
    assert_eq!(described(&mut client, None), all);
    assert_eq!(described(&mut client, Some(&[])), all);
    let some = described(&mut client, Some(&["carol", "alice", "bob", "bob"]));
    let expected = [
        (alice, ok, both),
        (bob, ErrorCode::DUPLICATE_RESOURCE, none.clone()),
        ("carol".to_owned(), ErrorCode::RESOURCE_NOT_FOUND, none),
    ];
    assert_eq!(some, expected);
}

#[test]
fn users_are_added_changed_and_taken_away_by_mechanism() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let changed = alter(
        &mut client,
        vec![deletion("alice", SHA_256)],
        vec![upsertion("carol", SHA_512, 8192), upsertion("bob", SHA_256, 5000)],
    );
    let names = ["alice", "bob", "carol"].map(str::to_owned);
    assert_eq!(changed, names.clone().map(|name| (name, ErrorCode::NONE)));
    let infos = described(&mut client, None).into_iter().map(|(_, _, infos)| infos);
    let expected =
        [vec![(SHA_512, 4096)], vec![(SHA_256, 5000), (SHA_512, 4096)], vec![(SHA_512, 8192)]];
    assert_eq!(infos.collect::<Vec<_>>(), expected);
    assert_eq!(alter(&mut client, vec![deletion("carol", SHA_512)], vec![])[0].1, ErrorCode::NONE);
    assert_eq!(described(&mut client, None).len(), 2);
}

#[test]
fn what_is_no_credential_is_refused_and_changes_nothing() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let before = described(&mut client, None);
    let mut empty = upsertion("alice", SHA_256, 4096);
    empty.salted_password = Vec::new().into();
    let (unacceptable, unsupported) =
        (ErrorCode::UNACCEPTABLE_CREDENTIAL, ErrorCode::UNSUPPORTED_SASL_MECHANISM);
    let code = |client: &mut Client, it| alter(client, vec![], vec![it])[0].1;
    for it in [
        empty,
        upsertion("alice", SHA_256, 4095),
        upsertion("alice", SHA_256, 16_385),
        upsertion("alice", SHA_256, -1),
        upsertion("", SHA_256, 4096),
    ] {
        assert_eq!(code(&mut client, it.clone()), unacceptable, "{it:?}");
    }
    assert_eq!(code(&mut client, upsertion("alice", 3, 4096)), unsupported);
    let gone = alter(&mut client, vec![deletion("nobody", SHA_256)], vec![]);
    assert_eq!(gone[0].1, ErrorCode::RESOURCE_NOT_FOUND);
    let one = vec![deletion("alice", SHA_256)];
    let twice = alter(&mut client, one, vec![upsertion("alice", SHA_512, 4096)]);
    assert_eq!(twice, [("alice".to_owned(), ErrorCode::DUPLICATE_RESOURCE)]);
    // What is wrong with the first comes before that.
    let one = vec![deletion("nobody", SHA_256)];
    let twice = alter(&mut client, one, vec![upsertion("nobody", SHA_512, 4096)]);
    assert_eq!(twice, [("nobody".to_owned(), ErrorCode::RESOURCE_NOT_FOUND)]);
    assert_eq!(described(&mut client, None), before);
}

#[test]
fn credentials_are_for_those_who_may_describe_and_alter_the_cluster() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let denied = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
    cluster.deny(Acl::cluster().operation(Operation::Alter));
    assert_eq!(alter(&mut client, vec![deletion("alice", SHA_256)], vec![])[0].1, denied);
    assert_eq!(described(&mut client, None).len(), 2);
    cluster.deny(Acl::cluster().operation(Operation::Describe));
    assert_eq!(ask(&mut client, None).error_code, denied.0);
}

#[test]
fn what_tools_have_said_of_users_holds_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        let described = Cluster::builder().user("alice", "secret").user("bob", "secret");
        described.data_dir(dir.path()).start().expect("starts")
    };
    let before = {
        let cluster = start();
        let mut client = Client::connect(&cluster);
        let deletions = vec![deletion("alice", SHA_256)];
        let upsertions = vec![upsertion("bob", SHA_256, 5000), upsertion("carol", SHA_512, 8000)];
        alter(&mut client, deletions, upsertions);
        let told = described(&mut client, None);
        cluster.kill();
        told
    };
    assert_eq!(before.len(), 3);
    let cluster = start();
    assert_eq!(described(&mut Client::connect(&cluster), None), before);
}
