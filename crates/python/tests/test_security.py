"""TLS and SASL, under the settings and with the errors that `confluent_kafka` has."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import textwrap
import traceback

import pytest

import ottla
from ottla import KafkaError, KafkaException, Producer, SerializingProducer
from ottla.admin import AdminClient, NewTopic
from ottla.aio import AIOProducer
from ottla.serialization import StringSerializer
from pki import KEY_PASSWORD, STORE_PASSWORD, Pki, pki  # noqa: F401

NOWHERE = {"bootstrap.servers": "127.0.0.1:1"}
USER, PASSWORD = "alice", "password-canary"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def cluster(tls: Pki | None = None, sasl: bool = False, **more) -> ottla.Cluster:
    if tls is not None:
        more.update(tls_certificate=tls.text("server.pem"), tls_key=tls.text("server.key"))
    if sasl:
        more.update(sasl_mechanisms=MECHANISMS, users={USER: PASSWORD})
    return ottla.Cluster(topics={"t": 1}, **more)


def by_sasl(mechanism: str = "PLAIN", **more) -> dict:
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanisms": mechanism,
        "sasl.username": USER,
        "sasl.password": PASSWORD,
        **more,
    }


def delivered(config: dict) -> None:
    """One record goes through a producer with these settings."""
    told = []
    producer = Producer({"message.timeout.ms": 60_000, **config})
    producer.produce("t", b"x", on_delivery=lambda error, message: told.append(error))
    assert producer.flush(60) == 0
    producer.close()
    assert told == [None]


@pytest.fixture
def authenticating():
    with cluster(sasl=True) as running:
        yield running


# ---- what works ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("protocol", ["sasl_plaintext", "SASL_SSL"])
def test_a_producer_authenticates_by_each_mechanism_with_and_without_tls(pki, mechanism, protocol):
    tls = pki if protocol == "SASL_SSL" else None
    config = by_sasl(mechanism, **{"security.protocol": protocol})
    if tls is not None:
        config["ssl.ca.location"] = pki.path("ca.pem")
    with cluster(tls, sasl=True) as running:
        delivered({"bootstrap.servers": running.bootstrap_servers, **config})
        assert len(running.records("t")) == 1


CLIENTS = {
    "files": lambda pki: {
        "ssl.certificate.location": pki.path("client.pem"),
        "ssl.key.location": pki.path("client.key"),
    },
    "texts": lambda pki: {
        "ssl.certificate.pem": pki.text("client.pem"),
        "ssl.key.pem": pki.text("client.key"),
    },
    "bytes": lambda pki: {
        "ssl.certificate.pem": pki.text("client.pem").encode(),
        "ssl.key.pem": pki.text("client.key").encode(),
    },
    "encrypted key": lambda pki: {
        "ssl.certificate.location": pki.path("client.pem"),
        "ssl.key.location": pki.path("encrypted.key"),
        "ssl.key.password": KEY_PASSWORD,
    },
    "PKCS#12": lambda pki: {
        "ssl.keystore.location": pki.path("client.p12"),
        "ssl.keystore.password": STORE_PASSWORD,
    },
}


@pytest.mark.parametrize("form", CLIENTS)
def test_a_client_shows_its_certificate_in_whichever_form_it_has_it(pki, form):
    config = {"security.protocol": "ssl", "ssl.ca.pem": pki.text("ca.pem"), **CLIENTS[form](pki)}
    with cluster(pki, tls_client_ca=pki.text("ca.pem")) as running:
        delivered({"bootstrap.servers": running.bootstrap_servers, **config})


def test_a_certificate_without_extensions_is_taken_with_its_key_only(pki):
    config = {
        **NOWHERE,
        "security.protocol": "ssl",
        "ssl.certificate.location": pki.path("old-client.pem"),
        "ssl.key.location": pki.path("old-client.key"),
    }
    Producer(config).close(0)
    with pytest.raises(KafkaException, match="does not belong"):
        Producer({**config, "ssl.key.location": pki.path("client.key")})


@pytest.mark.parametrize("off", [False, "False", "false"])
def test_verification_is_on_until_it_is_turned_off(pki, off):
    with cluster(pki) as running:
        config = {
            "bootstrap.servers": running.bootstrap_servers,
            "security.protocol": "ssl",
            "ssl.ca.location": pki.path("other-ca.pem"),
        }
        errors = []
        producer = Producer({**config, "error_cb": errors.append})
        while not errors:
            producer.poll(1)
        producer.close(0)
        assert errors[0] == KafkaError._SSL
        delivered({**config, "enable.ssl.certificate.verification": off})


def test_servers_may_be_named_with_their_protocol(pki):
    with cluster(pki) as running:
        config = {"security.protocol": "ssl", "ssl.ca.location": pki.path("ca.pem")}
        delivered({"bootstrap.servers": f"SSL://{running.bootstrap_servers}", **config})


def test_all_that_takes_a_configuration_authenticates(authenticating):
    config = by_sasl(**{"bootstrap.servers": authenticating.bootstrap_servers})
    admin = AdminClient(config)
    admin.create_topics([NewTopic("made", 1, 1)])["made"].result(60)
    assert "made" in admin.list_topics(timeout=60).topics

    serializing = SerializingProducer({**config, "value.serializer": StringSerializer()})
    serializing.produce("made", value="of objects")
    assert "made" in serializing.list_topics(timeout=60).topics
    serializing.close()

    async def main():
        async with ottla.AsyncProducer({**config, "sasl.password": PASSWORD.encode()}) as producer:
            await producer.send("made", b"native")
        async with AIOProducer(config) as producer:
            await (await producer.produce("made", b"aio"))
            assert "made" in (await producer.list_topics(timeout=60)).topics

    asyncio.run(main())
    values = sorted(record.value() for record in authenticating.records("made"))
    assert values == [b"aio", b"native", b"of objects"]


def test_another_password_is_used_from_the_next_authentication_on(authenticating):
    errors, told = [], []
    producer = Producer(
        by_sasl(
            **{
                "bootstrap.servers": authenticating.bootstrap_servers,
                "sasl.password": "an old one",
                "error_cb": errors.append,
            }
        )
    )
    producer.produce("t", b"x", on_delivery=lambda error, message: told.append(error))
    while KafkaError._AUTHENTICATION not in errors:
        producer.poll(1)
    producer.set_sasl_credentials(USER, PASSWORD)
    assert producer.flush(60) == 0
    producer.close()
    assert told == [None]


def test_an_admin_client_takes_another_password_too(authenticating):
    servers = {"bootstrap.servers": authenticating.bootstrap_servers}
    admin = AdminClient(by_sasl(**servers, **{"sasl.password": "an old one"}))
    with pytest.raises(KafkaException):
        admin.list_topics(timeout=60)
    admin.set_sasl_credentials(USER, PASSWORD)
    assert "t" in admin.list_topics(timeout=60).topics
    with pytest.raises(TypeError):
        admin.set_sasl_credentials(USER, None)


# ---- what is refused ----------------------------------------------------------------------------


# Laws: L1, L9. Scenarios: S4.
def test_a_wrong_password_is_told_to_error_cb_and_records_wait_until_their_time_is_up(
    authenticating,
):
    errors, told = [], []
    producer = Producer(
        by_sasl(
            **{
                "bootstrap.servers": authenticating.bootstrap_servers,
                "sasl.password": "wrong",
                "message.timeout.ms": 1000,
                "error_cb": errors.append,
            }
        )
    )
    producer.produce("t", b"x", on_delivery=lambda error, message: told.append(error))
    assert producer.flush(60) == 0
    producer.close(0)
    assert [(error.code(), error.outcome) for error in told] == [
        (KafkaError._MSG_TIMED_OUT, "not_persisted")
    ]
    assert errors[:2] == [KafkaError._AUTHENTICATION, KafkaError._ALL_BROKERS_DOWN]
    words = errors[0].str()
    assert authenticating.bootstrap_servers in words and "sasl.password" in words
    assert KafkaError._TRANSPORT not in errors
    assert errors.count(KafkaError._ALL_BROKERS_DOWN) == 1
    assert errors.count(KafkaError._AUTHENTICATION) > 1


def test_an_aio_producer_waits_as_well_and_tells_its_error_cb(authenticating):
    errors = []

    async def error_cb(error):
        errors.append(error)

    async def main():
        config = by_sasl(
            **{
                "bootstrap.servers": authenticating.bootstrap_servers,
                "sasl.password": "wrong",
                "message.timeout.ms": 1000,
                "error_cb": error_cb,
            }
        )
        async with AIOProducer(config) as producer:
            sent = await producer.produce("t", b"x")
            with pytest.raises(KafkaException) as raised:
                await sent
            return raised.value.args[0]

    assert asyncio.run(main()) == KafkaError._MSG_TIMED_OUT
    assert errors[:2] == [KafkaError._AUTHENTICATION, KafkaError._ALL_BROKERS_DOWN]


def test_the_native_interface_does_not_wait_where_every_server_refuses_us(authenticating):
    async def main():
        config = by_sasl(
            **{"bootstrap.servers": authenticating.bootstrap_servers, "sasl.password": "wrong"}
        )
        async with ottla.AsyncProducer(config) as producer:
            with pytest.raises(ottla.DeliveryError) as raised:
                await producer.send("t", b"x")
            return raised.value

    error = asyncio.run(main())
    assert (error.kind, error.outcome) == ("authentication", "not_persisted")
    assert "sasl.password" in str(error)


def test_questions_fail_at_once_with_a_wrong_password_and_error_cb_hears_of_it(authenticating):
    errors = []
    config = by_sasl(
        **{"bootstrap.servers": authenticating.bootstrap_servers, "sasl.password": "wrong"}
    )
    admin = AdminClient({**config, "error_cb": errors.append})
    with pytest.raises(KafkaException) as raised:
        admin.list_topics(timeout=600)
    assert raised.value.args[0] == KafkaError._AUTHENTICATION
    with pytest.raises(KafkaException) as raised:
        admin.create_topics([NewTopic("made", 1, 1)], request_timeout=600)["made"].result(60)
    assert raised.value.args[0] == KafkaError._AUTHENTICATION
    assert admin.poll(0) == 2
    assert errors == [KafkaError._AUTHENTICATION] * 2
    producer = Producer(config)
    with pytest.raises(KafkaException) as raised:
        producer.list_topics(timeout=600)
    assert raised.value.args[0] == KafkaError._AUTHENTICATION
    producer.close(0)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"security.protocol": "TLS"}, '"security.protocol": TLS'),
        ({"security.protocol": "sasl_ssl"}, '"sasl.mechanism"'),
        (by_sasl(**{"sasl.password": None}), '"sasl.password"'),
        (by_sasl("FOO"), '"sasl.mechanisms": FOO'),
        ({"security.protocol": "ssl", "enable.ssl.certificate.verification": "x"}, "verification"),
        ({"security.protocol": "ssl", "ssl.ca.location": "/no/such"}, '"ssl.ca.location": /no/such'),
        ({"security.protocol": "ssl", "ssl.ca.pem": "no certificate"}, '"ssl.ca.pem"'),
        ({"security.protocol": "ssl", "ssl.ca.pem": b"\xff"}, '"ssl.ca.pem" is no text'),
        ({"security.protocol": "ssl", "ssl.key.pem": "alone"}, '"ssl.key.pem"'),
        ({"security.protocol": "ssl", "bootstrap.servers": "SASL_SSL://a:1"}, "SASL_SSL"),
        ({"bootstrap.servers": "SSL://a:1"}, "security.protocol is PLAINTEXT"),
        ({"sasl.oauthbearer.metadata.authentication.type": "azure_imds"}, "oauth_cb"),
        ({"ssl.certificate.verify_cb": print}, "ssl.certificate.verify_cb"),
    ],
)
@pytest.mark.parametrize("make", [Producer, AdminClient])
def test_a_setting_that_cannot_be_is_named_as_it_was_given(config, words, make):
    with pytest.raises(KafkaException) as raised:
        make({**NOWHERE, **config})
    error = raised.value.args[0]
    assert error == KafkaError._INVALID_ARG and words in error.str(), error


def test_an_aio_producer_refuses_in_the_same_words():
    async def main():
        AIOProducer({**NOWHERE, "security.protocol": "sasl_ssl", "sasl.mechanism": "PLAIN"})

    with pytest.raises(KafkaException, match='property "sasl.username"'):
        asyncio.run(main())


def test_what_the_protocol_makes_no_use_of_is_left_out_with_a_warning():
    config = {**NOWHERE, **by_sasl(), "security.protocol": "plaintext", "ssl.ca.location": "/none"}
    with pytest.warns(RuntimeWarning, match="sasl.mechanisms, .*PLAINTEXT") as told:
        Producer(config).close(0)
    assert told[0].filename == __file__
    assert "canary" not in str(told[0].message)


def test_a_password_that_everybody_on_the_way_can_read_is_warned_of():
    config = by_sasl(**{"bootstrap.servers": "broker.invalid:9092"})
    with pytest.warns(RuntimeWarning, match="SASL_SSL") as told:
        Producer(config).close(0)
    assert told[0].filename == __file__
    Producer({**config, "sasl.allow.plaintext.credentials": True}).close(0)


# ---- what is not shown --------------------------------------------------------------------------


def every_text_of(raised: BaseException) -> str:
    """What is printed of an exception that nobody caught, and what a log may make of it."""
    parts = ["".join(traceback.format_exception(type(raised), raised, raised.__traceback__))]
    while raised is not None:
        parts += [repr(raised), str(raised), repr(raised.args), repr(vars(raised))]
        raised = raised.__cause__ or raised.__context__
    return "\n".join(parts)


SECRETS = {
    "sasl.password": "canary",
    "ssl.key.password": "canary",
    "ssl.keystore.password": "canary",
    "ssl.truststore.password": "canary",
    "ssl.key.pem": "canary",
    "ssl.keystore.key": "canary",
    "ssl.certificate.pem": "canary",
    "ssl.ca.pem": "canary",
    "sasl.jaas.config": "canary",
    "sasl.oauthbearer.client.secret": "canary",
    "sasl.oauthbearer.config": "canary",
    "sasl.oauthbearer.token.endpoint.url": "http://user:canary@127.0.0.1:1/",
    "sasl.oauthbearer.assertion.private.key.pem": "canary",
    "sasl.oauthbearer.assertion.private.key.passphrase": "canary",
    "sasl.aws.secret.access.key": "canary",
    "sasl.aws.session.token": "canary",
    "https.ca.pem": "canary",
}


# Laws: none. Scenarios: S13.
@pytest.mark.parametrize("key", SECRETS)
def test_no_secret_is_in_what_is_said_of_a_setting(key):
    broken = {**NOWHERE, "security.protocol": "sasl_ssl", "linger.ms": "abc", key: SECRETS[key]}
    for config in (broken, {**broken, "linger.ms": 1}, {**broken, "sasl.mechanism": "OAUTHBEARER"}):
        for make in (Producer, AdminClient, ottla._config.read):
            try:
                made = make(dict(config))
            except KafkaException as raised:
                assert "canary" not in every_text_of(raised)
                assert "canary" not in repr(pickle.loads(pickle.dumps(raised.args[0])))
            else:
                assert "canary" not in repr(made)


# Laws: none. Scenarios: S13.
def test_no_secret_is_in_what_a_producer_says_of_itself(authenticating):
    lines = []

    class Logger:
        def log(self, level, form, *arguments):
            lines.append(form % arguments)

    said = []
    producer = Producer(
        by_sasl(
            **{
                "bootstrap.servers": authenticating.bootstrap_servers,
                "sasl.password": "wrong-canary",
                "debug": "all",
                "logger": Logger(),
                "error_cb": lambda error: said.append(f"{error} {error.str()} {error!r}"),
                "stats_cb": said.append,
                "statistics.interval.ms": 10,
                "message.timeout.ms": 500,
            }
        )
    )
    producer.produce("t", b"x", on_delivery=lambda error, message: said.append(repr(error)))
    producer.flush(60)
    producer.set_sasl_credentials(USER, "another-canary")
    said += [repr(producer), repr(producer._settings), repr(vars(producer)), str(producer)]
    said.append(repr(producer._settings.native))
    with pytest.raises(KafkaException) as raised:
        producer.list_topics(timeout=60)
    said.append(every_text_of(raised.value))
    producer.close(0)
    with pytest.raises(TypeError) as unpickled:
        pickle.dumps(producer)
    said.append(every_text_of(unpickled.value))
    assert any("_AUTHENTICATION" in text for text in said)
    assert any("initialized" in line and "sasl.password=[hidden]" in line for line in lines)
    assert not [text for text in lines + said if "canary" in text]


# ---- programs for confluent_kafka ---------------------------------------------------------------


def test_a_script_that_sets_sasl_ssl_runs_unchanged(pki, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from confluent_kafka import Producer

            producer = Producer({
                "bootstrap.servers": sys.argv[1],
                "security.protocol": "SASL_SSL",
                "sasl.mechanisms": "SCRAM-SHA-512",
                "sasl.username": sys.argv[3],
                "sasl.password": sys.argv[4],
                "ssl.ca.location": sys.argv[2],
                "ssl.endpoint.identification.algorithm": "https",
            })
            producer.produce("t", b"x", callback=lambda error, message: print(error, message.offset()))
            print(producer.flush(60), type(producer).__module__)
            """
        )
    )
    with cluster(pki, sasl=True) as running:
        arguments = [running.bootstrap_servers, pki.path("ca.pem"), USER, PASSWORD]
        command = [sys.executable, "-m", "ottla.compat", str(script), *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ran.stdout, ran.stderr) == ("None 0\n0 ottla.producer\n", "")
