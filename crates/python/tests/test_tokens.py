"""OAUTHBEARER: tokens from the program's own function, as `confluent_kafka` asks for them."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time

import pytest

import ottla
from ottla import KafkaError, KafkaException, Producer
from ottla.admin import AdminClient
from ottla.aio import AIOProducer


def token(**claims) -> str:
    """A token without a signature, which the embedded broker takes."""

    def part(value: dict) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    now = int(time.time())
    claims = {"sub": "alice", "iat": now, "exp": now + 3600, **claims}
    return f"{part({'alg': 'none'})}.{part(claims)}."


def in_an_hour() -> float:
    return time.time() + 3600


@pytest.fixture
def by_token():
    with ottla.Cluster(topics={"t": 1}, sasl_mechanisms=["OAUTHBEARER"]) as cluster:
        yield {
            "bootstrap.servers": cluster.bootstrap_servers,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanisms": "OAUTHBEARER",
        }


def delivered(config: dict, **more) -> None:
    told = []
    with Producer({**config, **more}) as producer:
        producer.produce("t", b"x", on_delivery=lambda error, message: told.append(error))
    assert told == [None]


@pytest.mark.parametrize("config", [{"sasl.oauthbearer.config": "mine"}, {}])
def test_oauth_cb_is_called_on_another_thread_before_the_constructor_returns(by_token, config):
    calls = []

    def oauth_cb(text):
        calls.append((text, threading.get_ident() == main))
        return token(), in_an_hour()

    main = threading.get_ident()
    producer = Producer({**by_token, **config, "oauth_cb": oauth_cb})
    assert calls == [(config.get("sasl.oauthbearer.config"), False)]
    told = []
    producer.produce("t", b"x", on_delivery=lambda error, message: told.append(error))
    assert "t" in producer.list_topics(timeout=60).topics
    producer.close()
    # One token serves all connections.
    assert told == [None] and len(calls) == 1


@pytest.mark.parametrize(
    "given",
    [
        lambda: (token(), int(in_an_hour())),
        lambda: (token(), in_an_hour(), "alice"),
        lambda: (token(), in_an_hour(), "alice", {"traceId": "1"}),
        lambda: (token(), in_an_hour(), None, None),
    ],
)
def test_what_oauth_cb_may_give(by_token, given):
    delivered(by_token, oauth_cb=lambda _: given())


def failing(_):
    raise RuntimeError("the provider is away")


# Laws: L9. Scenarios: S8.
@pytest.mark.parametrize("make", [Producer, AdminClient])
@pytest.mark.parametrize(
    ("oauth_cb", "words"),
    [
        (failing, "RuntimeError: the provider is away"),
        (lambda _: "canary", "expected (token, expiry"),
        (lambda _: None, "not NoneType"),
        (lambda _: (b"canary", in_an_hour()), "the token must be a str, not bytes"),
        (lambda _: ("canary", "soon"), "the expiry is in seconds since 1970"),
        (lambda _: ("canary", time.time() - 5), "has expired already"),
        (lambda _: ("canary", in_an_hour(), 5), "the principal must be a str"),
        (lambda _: ("canary", in_an_hour(), "a", {"b": 1}), "a dict of str to str"),
        (lambda _: ("canary", in_an_hour(), "a", [("b", "c")]), "a dict of str to str"),
    ],
)
def test_a_constructor_without_a_first_token_raises_at_once(by_token, oauth_cb, words, make):
    with pytest.raises(KafkaException) as raised:
        make({**by_token, "oauth_cb": oauth_cb})
    error = raised.value.args[0]
    assert error == KafkaError.SASL_AUTHENTICATION_FAILED
    assert error.str().startswith("OAuth token not set") and words in error.str()
    assert raised.value.__cause__ is not None
    assert "canary" not in f"{error!r} {raised.value.__cause__!r}"


# Laws: L1. Scenarios: S8.
def test_a_token_that_is_refused_and_a_function_that_fails_later_are_told_to_error_cb(by_token):
    given = iter([("x.y.z", in_an_hour())])
    errors, told = [], []

    def oauth_cb(_):
        return next(given, None) or failing(_)

    config = {"message.timeout.ms": 2000, "error_cb": errors.append, "oauth_cb": oauth_cb}
    # For this long a token that was refused is shown again.
    config["sasl.login.retry.backoff.max.ms"] = 100
    producer = Producer({**by_token, **config})
    producer.produce("t", b"x", on_delivery=lambda error, message: told.append(error))
    assert producer.flush(60) == 0
    producer.close(0)
    assert told == [KafkaError._MSG_TIMED_OUT]
    words = [error.str() for error in errors if error == KafkaError._AUTHENTICATION]
    assert "invalid_token" in words[0] and "x.y.z" not in words[0]
    assert any("RuntimeError: the provider is away" in text for text in words), words


def test_oauth_cb_is_called_for_tokens_only():
    def oauth_cb(_):
        raise AssertionError("nobody needs a token")

    Producer({"bootstrap.servers": "127.0.0.1:1", "oauth_cb": oauth_cb}).close(0)


def test_without_a_source_of_tokens_the_settings_are_refused(by_token):
    with pytest.raises(KafkaException, match="sasl.oauthbearer.method"):
        Producer(by_token)


def test_a_token_without_a_signature_is_made_by_settings(by_token):
    made = {"enable.sasl.oauthbearer.unsecure.jwt": True, "sasl.oauthbearer.config": "principal=a"}
    delivered(by_token, **made)


@pytest.mark.parametrize("as_coroutine", [False, True])
def test_asyncio_takes_functions_and_coroutine_functions(by_token, as_coroutine):
    threads = []

    def give(*_):
        threads.append(threading.get_ident())
        return token(), in_an_hour()

    async def give_later(*_):
        return give()

    async def main():
        function = give_later if as_coroutine else give
        async with AIOProducer({**by_token, "oauth_cb": function}) as producer:
            await (await producer.produce("t", b"aio"))
        async with ottla.AsyncProducer(by_token, oauth_token=function) as producer:
            await producer.send("t", b"native")

    asyncio.run(main())
    assert [thread == threading.get_ident() for thread in threads] == [as_coroutine] * 2


def test_an_admin_client_shows_tokens_too(by_token):
    admin = AdminClient({**by_token, "oauth_cb": lambda _: (token(), in_an_hour())})
    assert "t" in admin.list_topics(timeout=60).topics
