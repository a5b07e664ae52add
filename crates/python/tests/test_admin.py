"""`AdminClient`, as far as producing programs use it, on the embedded broker and real Kafka."""

from __future__ import annotations

import pytest

import ottla
from ottla._model import TopicCollection
from ottla.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
)


@pytest.fixture
def admin(servers):
    return AdminClient({"bootstrap.servers": servers})


def configs(admin, resource):
    return admin.describe_configs([resource])[resource].result(timeout=60)


def test_a_topic_is_created_with_settings_which_are_described(admin, make_topic):
    name = make_topic() + "-set"
    admin.create_topics([NewTopic(name, 2, 1, config={"retention.ms": "1234567"})])[name].result(60)
    described = configs(admin, ConfigResource(ConfigResource.Type.TOPIC, name))
    retention = described["retention.ms"]
    assert (retention.value, retention.source) == ("1234567", ConfigSource.DYNAMIC_TOPIC_CONFIG)
    assert not retention.is_default
    assert described["max.message.bytes"].is_default
    assert str(retention) == 'retention.ms="1234567"'


def test_settings_are_changed_one_by_one_and_the_others_stay(admin, make_topic):
    resource = ConfigResource("topic", make_topic())
    change = ConfigResource("topic", resource.name)
    for name, value in [("retention.ms", "1000000"), ("max.message.bytes", "2000000")]:
        change.add_incremental_config(
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        )
    admin.incremental_alter_configs([change])[change].result(60)
    back = ConfigResource("topic", resource.name)
    back.add_incremental_config(
        ConfigEntry("retention.ms", None, incremental_operation=AlterConfigOpType.DELETE)
    )
    admin.incremental_alter_configs([back])[back].result(60)
    described = configs(admin, resource)
    assert described["max.message.bytes"].value == "2000000"
    assert described["retention.ms"].is_default


def test_alter_configs_replaces_all_settings_of_a_topic(admin, make_topic):
    name = make_topic()
    for wanted in [{"retention.ms": "1000000"}, {"max.message.bytes": "2000000"}]:
        resource = ConfigResource("topic", name, set_config=wanted)
        admin.alter_configs([resource])[resource].result(60)
    described = configs(admin, resource)
    assert described["max.message.bytes"].value == "2000000"
    assert described["retention.ms"].is_default


def test_what_is_only_validated_is_not_done(admin, make_topic):
    name = make_topic()
    other = name + "-not-made"
    admin.create_topics([NewTopic(other, 1, 1)], validate_only=True)[other].result(60)
    admin.create_partitions([NewPartitions(name, 5)], validate_only=True)[name].result(60)
    topics = admin.list_topics(timeout=60).topics
    assert other not in topics
    assert len(topics[name].partitions) == 1


def test_a_topic_is_given_more_partitions(admin, make_topic):
    name = make_topic()
    admin.create_partitions([NewPartitions(name, 3)])[name].result(60)
    # The answer comes from the controller; other parts of a broker hear of it a moment later.
    for _ in range(1000):
        described = admin.describe_topics(TopicCollection([name]))[name].result(60)
        if len(described.partitions) == 3:
            break
    assert [partition.id for partition in described.partitions] == [0, 1, 2]


def test_the_cluster_and_a_topic_are_described(admin, make_topic):
    name = make_topic(2)
    cluster = admin.describe_cluster().result(60)
    assert cluster.cluster_id
    assert [node.id for node in cluster.nodes] == [cluster.controller.id]
    topic = admin.describe_topics(TopicCollection([name]))[name].result(60)
    assert (topic.name, topic.is_internal) == (name, False)
    assert [partition.leader.id for partition in topic.partitions] == [cluster.controller.id] * 2
    broker = ConfigResource("broker", str(cluster.controller.id))
    assert configs(admin, broker)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda admin: admin.describe_configs([ConfigResource("topic", "no-such")]), "no-such"),
        (lambda admin: admin.create_partitions([NewPartitions("no-such", 3)]), "no-such"),
        (lambda admin: admin.describe_topics(TopicCollection(["no-such"])), "topic"),
        (lambda admin: admin.delete_topics(["no-such"]), "no-such"),
        (
            lambda admin: admin.alter_configs([ConfigResource("topic", "no-such", {"foo": "1"})]),
            "no-such",
        ),
    ],
)
def test_what_the_cluster_refuses_is_an_exception_of_the_future(admin, ask, words):
    (future,) = ask(admin).values()
    with pytest.raises(ottla.KafkaException, match=words) as raised:
        future.result(60)
    assert raised.value.args[0].code() == ottla.KafkaError.UNKNOWN_TOPIC_OR_PART


def test_what_cannot_be_asked_is_refused_at_once(servers):
    admin = AdminClient({"bootstrap.servers": servers})
    with pytest.raises(ValueError, match="non-empty"):
        admin.create_topics([])
    with pytest.raises(TypeError, match="new_topics must hold NewTopic"):
        admin.create_topics(["name"])
    with pytest.raises(ValueError, match="Unknown resource type"):
        ConfigResource("topik", "x")
    with pytest.raises(ValueError, match="a broker's resource name is its id"):
        resource = ConfigResource("broker", "x")
        admin.describe_configs([resource])[resource].result(60)


def test_throttle_cb_is_told_of_a_broker_that_asks_for_silence():
    told = []
    with ottla.Cluster(topics={"t": 1}) as cluster:
        cluster.inject("Produce", throttle_s=0.01)
        config = {"bootstrap.servers": cluster.bootstrap_servers, "throttle_cb": told.append}
        with ottla.Producer(config) as producer:
            producer.produce("t", b"x")
            while not told:
                producer.poll(1)
    (event,) = told
    assert (event.throttle_time, event.broker_id) == (0.01, 1)
    assert cluster.bootstrap_servers in event.broker_name
