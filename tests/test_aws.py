"""AWS calls: what goes over the wire, what the answers mean, and that they end in time."""

from __future__ import annotations

import json
import socket
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import PATIENCE, patient_functions

from prisjakt_relay.aws import ATTEMPT, CONNECT_SECONDS, READ_SECONDS, Service, until
from prisjakt_relay.errors import AwsError, SetupError, StorageError
from prisjakt_relay.local.aws import EmbeddedAws
from prisjakt_relay.platforms import PLATFORMS

ENVIRONMENT: Final = {
    "AWS_REGION": "eu-north-1",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
    "AWS_SESSION_TOKEN": "session-token",
}


# On the wire


@dataclass(frozen=True)
class Sent:
    """One request as a server saw it."""

    client: tuple[str, int]
    path: str
    headers: Message
    body: bytes


class Endpoint(ThreadingHTTPServer):
    """Stands in for AWS: keeps the requests, and answers them as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sent: list[Sent] = []
        self.closing = threading.Event()
        self.respond: Callable[[Handler], None] = answer(200, b"{}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open
    server: Endpoint
    client_address: tuple[str, int]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.sent.append(Sent(self.client_address, self.path, self.headers, body))
        self.server.respond(self)

    def log_message(self, *_: object) -> None:
        pass


def answer(status: int, body: bytes, *, announced: int | None = None) -> Callable[[Handler], None]:
    def respond(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("content-length", str(announced or len(body)))
        handler.send_header("location", "/elsewhere")
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = announced is not None

    return respond


def say_nothing(handler: Handler) -> None:
    handler.server.closing.wait(PATIENCE)


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True).start()
        yield server
        server.closing.set()
        server.shutdown()


def service(
    name: str, endpoint: Endpoint, pool: urllib3.PoolManager | None = None, **changes: str
) -> Service:
    environment = ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint.url} | changes
    return Service(name, environment=environment, pool=pool)


@pytest.mark.parametrize(
    ("name", "operation", "target", "content_type"),
    [
        (
            "secretsmanager",
            "GetSecretValue",
            "secretsmanager.GetSecretValue",
            "application/x-amz-json-1.1",
        ),
        ("sqs", "SendMessage", "AmazonSQS.SendMessage", "application/x-amz-json-1.0"),
        ("dynamodb", "PutItem", "DynamoDB_20120810.PutItem", "application/x-amz-json-1.0"),
    ],
)
def test_a_call_is_one_json_request(
    name: str, operation: str, target: str, content_type: str, endpoint: Endpoint
) -> None:
    endpoint.respond = answer(200, '{"Größe": 1}'.encode())

    assert service(name, endpoint).call(operation, {"Name": "blå"}) == {"Größe": 1}

    (request,) = endpoint.sent
    assert request.path == "/"
    assert request.headers["x-amz-target"] == target
    assert request.headers["content-type"] == content_type
    assert json.loads(request.body) == {"Name": "blå"}


@pytest.mark.parametrize("name", ["secretsmanager", "sqs", "dynamodb"])
@pytest.mark.parametrize("token", ["session-token", None])
def test_what_arrives_is_signed_as_botocore_would_sign_it(
    name: str, token: str | None, endpoint: Endpoint
) -> None:
    """Computed anew from what the server got, with the time that the request itself names."""
    environment = ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint.url}
    if token is None:
        del environment["AWS_SESSION_TOKEN"]
    Service(name, environment=environment).call("Operation", {"key": "value"})
    (sent,) = endpoint.sent

    signer = SigV4Auth(Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI", token), name, "eu-north-1")
    signed = sent.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    request = AWSRequest(
        "POST", f"{endpoint.url}/", {key: sent.headers[key] for key in signed}, sent.body
    )
    request.context["timestamp"] = sent.headers["x-amz-date"]
    signature = signer.signature(
        signer.string_to_sign(request, signer.canonical_request(request)), request
    )

    assert sent.headers["x-amz-security-token"] == token
    assert {"content-type", "host", "x-amz-date", "x-amz-target"} <= set(signed)
    assert ("x-amz-security-token" in signed) == (token is not None)
    assert sent.headers["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, "
        f"SignedHeaders={';'.join(signed)}, Signature={signature}"
    )


def test_one_connection_serves_many_calls(endpoint: Endpoint) -> None:
    """A start costs a handshake; a delivery must not."""
    sqs = service("sqs", endpoint)

    for _ in range(3):
        sqs.call("SendMessage", {})

    assert len(endpoint.sent) == 3
    assert len({sent.client for sent in endpoint.sent}) == 1


class Pool(urllib3.PoolManager):
    """Notes the address of each request and answers nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def request(self, method: str, url: str, *_: Any, **__: Any) -> urllib3.HTTPResponse:
        self.urls.append(f"{method} {url}")
        return urllib3.HTTPResponse(b"{}", status=200)


@pytest.mark.parametrize(
    ("name", "changes", "url"),
    [
        ("sqs", {}, "https://sqs.eu-north-1.amazonaws.com/"),
        ("dynamodb", {"AWS_REGION": "us-east-1"}, "https://dynamodb.us-east-1.amazonaws.com/"),
        (
            "secretsmanager",
            {"AWS_REGION": "cn-north-1"},
            "https://secretsmanager.cn-north-1.amazonaws.com.cn/",
        ),
        ("sqs", {"AWS_REGION": "eusc-de-east-1"}, "https://sqs.eusc-de-east-1.amazonaws.eu/"),
        ("sqs", {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}, "http://127.0.0.1:4566/"),
        ("sqs", {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566/"}, "http://127.0.0.1:4566/"),
    ],
)
def test_the_endpoint_is_the_region_s_unless_the_environment_names_one(
    name: str, changes: dict[str, str], url: str
) -> None:
    pool = Pool()

    Service(name, environment=ENVIRONMENT | changes, pool=pool).call("Operation", {})

    assert pool.urls == [f"POST {url}"]


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_missing_variable_is_named(name: str) -> None:
    environment = {key: value for key, value in ENVIRONMENT.items() if key != name}

    with pytest.raises(SetupError, match=f"^{name} is not set; Lambda sets it$") as raised:
        Service("sqs", environment=environment)
    assert "wJalrXUtnFEMI" not in shown(raised.value)


def test_the_process_s_own_environment_is_read_by_default(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint.url}).items():
        monkeypatch.setenv(key, value)

    Service("sqs").call("SendMessage", {})

    assert "Credential=AKIDEXAMPLE/" in endpoint.sent[0].headers["authorization"]


def test_time_outs_are_as_documented_and_the_client_tries_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Trying again is `until`'s matter alone, which knows the deadline."""
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(urllib3, "PoolManager", lambda **options: made.append(options))

    Service("sqs", environment=ENVIRONMENT)

    ((timeout, retries),) = ((options["timeout"], options["retries"]) for options in made)
    assert (timeout.connect_timeout, timeout.read_timeout) == (CONNECT_SECONDS, READ_SECONDS)
    assert timedelta(seconds=CONNECT_SECONDS + READ_SECONDS) == ATTEMPT
    assert retries is False


# Answers


@pytest.mark.parametrize("body", [b"{}", b"", b"[]", b'"text"'])
def test_a_success_without_an_object_is_an_empty_answer(body: bytes, endpoint: Endpoint) -> None:
    endpoint.respond = answer(200, body)

    assert service("sqs", endpoint).call("ChangeMessageVisibility", {}) == {}


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (
            400,
            b'{"__type":"ResourceNotFoundException","Message":"no"}',
            "ResourceNotFoundException",
        ),
        (
            400,
            b'{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}',
            "ConditionalCheckFailedException",
        ),
        (400, b'{"__type":"com.amazonaws.sqs#QueueDoesNotExist"}', "QueueDoesNotExist"),
        (
            400,
            b'{"__type":"ThrottlingException:http://internal.amazon.com/"}',
            "ThrottlingException",
        ),
        (500, b'{"__type":"InternalServerError"}', "InternalServerError"),
        (503, b"<html>Service Unavailable</html>", "503"),
        (502, b"", "502"),
        (400, b'{"message":"no type"}', "400"),
        (400, b'["not an object"]', "400"),
        (403, b"\xff\xfe", "403"),
        (413, b"[" * 100_000, "413"),
        (302, b"{}", "302"),
        (202, b"{}", "202"),
    ],
)
def test_an_error_is_told_by_its_code(
    status: int, body: bytes, code: str, endpoint: Endpoint
) -> None:
    """Whatever is not a plain 200 did not happen; a redirect is not followed with our signature."""
    endpoint.respond = answer(status, body)

    with pytest.raises(AwsError) as raised:
        service("sqs", endpoint).call("SendMessage", {})

    assert raised.value.code == code
    assert str(raised.value) == f"SendMessage: {code}"
    assert len(endpoint.sent) == 1


def waiting(seconds: float) -> urllib3.PoolManager:
    return urllib3.PoolManager(timeout=seconds, retries=False)


@pytest.mark.parametrize(
    ("respond", "seconds", "cause"),
    [
        (say_nothing, 1, "ReadTimeoutError"),
        (hang_up, PATIENCE, "ProtocolError"),
        (answer(200, b'{"Name":', announced=100), PATIENCE, "ProtocolError"),
    ],
    ids=["silent", "cut", "cut-in-the-answer"],
)
def test_no_answer_is_an_error_that_names_the_operation(
    respond: Callable[[Handler], None], seconds: float, cause: str, endpoint: Endpoint
) -> None:
    endpoint.respond = respond

    with pytest.raises(StorageError, match=f"^SendMessage: {cause}$") as raised:
        service("sqs", endpoint, waiting(seconds)).call("SendMessage", {})

    assert not isinstance(raised.value, AwsError)
    assert len(endpoint.sent) == 1


def test_a_refused_connection_is_an_error_that_names_the_operation() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = ENVIRONMENT | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}

    with pytest.raises(StorageError, match=r"^SendMessage: NewConnectionError$") as raised:
        Service("sqs", environment=environment).call("SendMessage", {})

    assert not isinstance(raised.value, AwsError)


@pytest.mark.parametrize("respond", [answer(403, b'{"__type":"AccessDenied"}'), hang_up])
def test_credentials_and_messages_are_not_shown_in_errors(
    respond: Callable[[Handler], None], endpoint: Endpoint
) -> None:
    endpoint.respond = respond
    sqs = service("sqs", endpoint)
    private_body = {"MessageBody": "order 4711"}

    with pytest.raises(StorageError) as raised:
        sqs.call("SendMessage", private_body)

    for private in ("wJalrXUtnFEMI", "session-token", "Signature=", "order 4711"):
        assert private not in shown(raised.value)
        assert private not in repr(sqs)


def shown(error: BaseException) -> str:
    """All that a log could hold of an error, with its causes."""
    return repr(error) + str(error) + "".join(traceback.format_exception(error))


# In time


class Clock:
    """Moves when somebody sleeps or works."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.pauses: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += timedelta(seconds=seconds)


@dataclass
class Calls:
    """Each takes its time and fails, until one answers."""

    clock: Clock
    durations: Iterator[timedelta]
    error: StorageError
    answers_after: int | None = None
    made: int = 0

    def __call__(self) -> str:
        if self.answers_after == self.made:
            return "answer"
        self.made += 1
        self.clock.now += next(self.durations)
        raise self.error


def lasting(duration: timedelta) -> Iterator[timedelta]:
    while True:
        yield duration


THROTTLED = AwsError("GetItem", "ThrottlingException")
SILENT = StorageError("GetItem: ReadTimeoutError")


def test_an_answer_is_taken_at_once(now: datetime) -> None:
    clock = Clock(now)

    assert until(now, lambda: "answer", clock=clock, sleep=clock.sleep) == "answer"
    assert clock.now == now


@pytest.mark.parametrize("error", [THROTTLED, SILENT])
def test_a_call_that_failed_is_made_again_after_a_growing_pause(
    error: StorageError, now: datetime
) -> None:
    clock = Clock(now)
    calls = Calls(clock, lasting(timedelta(0)), error, answers_after=7)

    deadline = now + timedelta(minutes=1)
    assert until(deadline, calls, clock=clock, sleep=clock.sleep) == "answer"
    assert clock.pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 0.8, 0.8]


@pytest.mark.parametrize(("platform", "attempts"), [("shopify", 2), ("woocommerce", 6)])
def test_attempts_of_full_length_end_before_the_platform_stops_waiting(
    platform: str, attempts: int, now: datetime
) -> None:
    budget = PLATFORMS[platform].answer_within
    clock = Clock(now)
    calls = Calls(clock, lasting(ATTEMPT), SILENT)

    with pytest.raises(StorageError) as raised:
        until(now + budget, calls, clock=clock, sleep=clock.sleep)

    assert raised.value is SILENT
    assert calls.made == attempts
    assert clock.now <= now + budget


@given(
    seconds=st.floats(ATTEMPT.total_seconds(), 20),
    durations=st.lists(st.timedeltas(timedelta(0), ATTEMPT), min_size=1),
)
def test_no_attempt_can_outlast_the_deadline_and_none_that_fits_is_left_out(
    seconds: float, durations: list[timedelta]
) -> None:
    clock = Clock(datetime(2026, 11, 21))  # noqa: DTZ001  # any moment will do
    deadline = clock.now + timedelta(seconds=seconds)
    calls = Calls(clock, iter([*durations, *[ATTEMPT] * 20]), SILENT)

    with pytest.raises(StorageError):
        until(deadline, calls, clock=clock, sleep=clock.sleep)

    longest_pause = timedelta(seconds=0.8)
    assert clock.now <= deadline
    assert clock.now + longest_pause + ATTEMPT > deadline


def test_one_attempt_is_made_however_late_it_is(now: datetime) -> None:
    """Who comes late has time for this one; the callers' time limits leave room for it."""
    clock = Clock(now)
    calls = Calls(clock, lasting(ATTEMPT), SILENT)

    with pytest.raises(StorageError):
        until(now, calls, clock=clock, sleep=clock.sleep)

    assert calls.made == 1
    assert clock.pauses == []


@pytest.mark.parametrize(
    ("final", "attempts"),
    [(frozenset({"ThrottlingException", "Other"}), 1), (frozenset({"Other"}), 3)],
)
def test_a_final_answer_is_not_asked_for_again(
    final: frozenset[str], attempts: int, now: datetime
) -> None:
    clock = Clock(now)
    calls = Calls(clock, lasting(timedelta(seconds=0.4)), THROTTLED)
    deadline = now + timedelta(seconds=3.1)

    with pytest.raises(AwsError) as raised:
        until(deadline, calls, clock=clock, sleep=clock.sleep, final=final)

    assert raised.value is THROTTLED
    assert calls.made == attempts


def test_a_mistake_of_ours_is_not_tried_again(now: datetime) -> None:
    with pytest.raises(ZeroDivisionError):
        until(now + timedelta(hours=1), lambda: 1 / 0, clock=lambda: now, sleep=lambda _: None)


# Against an AWS


@pytest.fixture
def embedded(embedded_aws: EmbeddedAws) -> Iterator[dict[str, str]]:
    """Not `patient_aws`, which would be so for the tests of the time-outs, too."""
    with patient_functions():
        yield ENVIRONMENT | {"AWS_ENDPOINT_URL": embedded_aws.endpoint}


@pytest.fixture
def name() -> str:
    """Nobody else's."""
    return f"test-{uuid.uuid4()}"


def test_a_secret_is_read(embedded: dict[str, str], name: str) -> None:
    secrets = Service("secretsmanager", environment=embedded)
    with pytest.raises(AwsError, match=r"^GetSecretValue: ResourceNotFoundException$"):
        secrets.call("GetSecretValue", {"SecretId": name})
    new = {"Name": name, "SecretString": '{"mode":"test"}', "ClientRequestToken": str(uuid.uuid4())}
    secrets.call("CreateSecret", new)

    answered = secrets.call("GetSecretValue", {"SecretId": name})

    assert answered["SecretString"] == '{"mode":"test"}'
    secrets.call("DeleteSecret", {"SecretId": name})
    with pytest.raises(AwsError, match=r"^GetSecretValue: InvalidRequestException$"):
        secrets.call("GetSecretValue", {"SecretId": name})


def test_a_message_is_sent_and_kept_waiting(embedded: dict[str, str], name: str) -> None:
    sqs = Service("sqs", environment=embedded)
    url = sqs.call("CreateQueue", {"QueueName": name})["QueueUrl"]
    receive = {"QueueUrl": url, "AttributeNames": ["All"]}

    sqs.call("SendMessage", {"QueueUrl": url, "MessageBody": "blå", "MessageGroupId": "demo"})
    (message,) = sqs.call("ReceiveMessage", receive)["Messages"]
    wait = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
    sqs.call("ChangeMessageVisibility", wait | {"VisibilityTimeout": 0})
    (again,) = sqs.call("ReceiveMessage", receive)["Messages"]

    assert message["Body"] == again["Body"] == "blå"
    assert message["Attributes"]["MessageGroupId"] == "demo"
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    with pytest.raises(AwsError, match=r"^SendMessage: QueueDoesNotExist$"):
        sqs.call("SendMessage", {"QueueUrl": f"{url}-x", "MessageBody": "blå"})


def test_an_item_is_written_once_and_read(embedded: dict[str, str], name: str) -> None:
    dynamodb = Service("dynamodb", environment=embedded)
    dynamodb.call(
        "CreateTable",
        {
            "TableName": name,
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    item = {"id": {"S": "demo#1"}, "tries": {"N": "1"}, "void": {"BOOL": False}}
    put = {"TableName": name, "Item": item, "ConditionExpression": "attribute_not_exists(id)"}

    dynamodb.call("PutItem", put)
    with pytest.raises(AwsError, match=r"^PutItem: ConditionalCheckFailedException$"):
        dynamodb.call("PutItem", put)
    key = {"TableName": name, "Key": {"id": item["id"]}, "ConsistentRead": True}

    assert dynamodb.call("GetItem", key)["Item"] == item
    assert "Item" not in dynamodb.call("GetItem", key | {"Key": {"id": {"S": "demo#2"}}})
