//! What tools are told of servers, and of what this client may do.

use std::time::Duration;

use ottla::Security;
use ottla::admin::{Admin, ConfigResource, Operation, probe};
use ottla_tests::{engine, run};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_broker_is_looked_at_step_by_step_and_has_all_that_a_producer_needs() {
    let engine = engine!();
    let server = engine.servers().split(',').next().expect("a server");
    let report = run(probe(server, &Security::default(), PATIENCE));
    assert!(report.failure.is_none(), "{report:?}");
    assert!(report.addresses.iter().any(|it| it.error.is_none()), "{report:?}");
    let versions = report.versions.expect("it has told");
    assert!(versions.missing.is_empty() && versions.is_idempotence_offered, "{versions:?}");
    assert!(versions.release.is_some(), "{versions:?}");
    let produce = versions.requests.iter().find(|(name, ..)| name == "Produce");
    assert!(produce.is_some_and(|(_, _, newest)| *newest >= 3), "{versions:?}");
}

#[test]
fn what_this_client_may_do_is_told_for_topics_that_are_named_and_for_the_cluster() {
    let engine = engine!();
    let topic = engine.topic("allowed", 2);
    let (described, cluster, settings) = run(async {
        let mut admin = Admin::connect(engine.servers(), PATIENCE).await?;
        let described = admin.describe_cluster(Some(&[&topic])).await?;
        let cluster = admin.cluster_operations().await?;
        let settings = admin.describe_configs(&ConfigResource::Topic(topic.clone())).await?;
        Ok::<_, ottla::admin::RequestError>((described, cluster, settings))
    })
    .expect("answered");
    assert!(described.cluster_id.is_some() && described.controller.is_some());
    let told = described.topics[0].operations.expect("it has told");
    assert!(told.contains(Operation::Write) && told.contains(Operation::Describe), "{told:?}");
    assert!(described.topics[0].partitions.iter().all(|it| it.offline_replicas.is_empty()));
    assert!(cluster.expect("it has told").contains(Operation::IdempotentWrite));
    for name in ["min.insync.replicas", "unclean.leader.election.enable", "max.message.bytes"] {
        assert!(settings.iter().any(|it| it.name == name && it.value.is_some()), "{name}");
    }
}
