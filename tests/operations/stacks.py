"""Stacks in the embedded AWS, as `sam deploy` makes them, to be taken away again."""

from __future__ import annotations

import functools
import io
import json
import time
import zipfile
from contextlib import suppress

import pytest
from botocore.exceptions import ClientError
from tests.conftest import PATIENCE

from prisjakt_relay.local import project
from prisjakt_relay.local.artifacts import FUNCTIONS
from prisjakt_relay.local.aws import REGION, EmbeddedAws, expand

BUCKET = "artifacts"  # where `expand` has the functions' code
PARTS = ("AlarmTopic", "ConversionQueue", "DeadLetters", "Ledger", "SenderLog")
DOCUMENT = {
    "platform": "shopify",
    "pixel_id": "36746cdf-cf62-4dff-bc5b-fb2df41ecb4d",
    "signing_secrets": ["aSecretOfTheShop"],
}


def use(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded AWS is the one that region and credentials lead to."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", REGION)


@functools.cache
def template() -> str:
    return json.dumps(expand((project.root() / "template.yaml").read_text("utf-8")))


def deploy(
    aws: EmbeddedAws,
    name: str,
    *,
    shops: tuple[str, ...] = (),
    whole: bool = False,
    stays: str | None = None,
    description: str | None = None,
) -> str:
    """The template's stack under this name, or those parts that matter here; returns its id.

    `stays` names a user of the stack's that IAM does not delete, until `let_go`.
    """
    body = json.loads(template())
    if whole:
        _put_code(aws)
    else:
        del body["Outputs"]
        body["Resources"] = {each: body["Resources"][each] for each in PARTS}
    if stays:
        body["Resources"]["User"] = {
            "Type": "AWS::IAM::User",
            "Properties": {"UserName": stays},
        }
    if description:
        body["Description"] = description
    cloudformation = aws.client("cloudformation")
    made = cloudformation.create_stack(
        StackName=name, TemplateBody=json.dumps(body), Capabilities=["CAPABILITY_NAMED_IAM"]
    )
    await_made(aws, name)
    for shop in shops:
        put_secret(aws, f"{name}/shops/{shop}")
    if stays:
        aws.client("iam").create_access_key(UserName=stays)
    return str(made["StackId"])


def await_made(aws: EmbeddedAws, name: str) -> None:
    """Stacks are made after `create_stack` has answered."""
    end = time.monotonic() + PATIENCE
    while (now := status(aws, name)) != "CREATE_COMPLETE":
        assert time.monotonic() < end, now
        time.sleep(0.05)


def let_go(aws: EmbeddedAws, user: str) -> None:
    iam = aws.client("iam")
    for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])


def put_secret(aws: EmbeddedAws, secret_id: str) -> None:
    secrets = aws.client("secretsmanager")
    secrets.create_secret(Name=secret_id, SecretString=json.dumps(DOCUMENT))


def status(aws: EmbeddedAws, name: str) -> str:
    try:
        (stack,) = aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except ClientError:
        return "gone"
    return str(stack["StackStatus"])


def resource(aws: EmbeddedAws, name: str, logical_id: str) -> str:
    answer = aws.client("cloudformation").describe_stack_resources(
        StackName=name, LogicalResourceId=logical_id
    )
    return str(answer["StackResources"][0]["PhysicalResourceId"])


def put_into_queue(aws: EmbeddedAws, name: str) -> None:
    """A message that no sender takes before the test is over."""
    aws.client("sqs").send_message(
        QueueUrl=resource(aws, name, "ConversionQueue"), MessageBody="{}", DelaySeconds=900
    )


def left(aws: EmbeddedAws, name: str) -> dict[str, int]:
    """How many tables, queues and secrets there still are by the stack's name."""
    tables = aws.client("dynamodb").list_tables()["TableNames"]
    queues = aws.client("sqs").list_queues(QueueNamePrefix=f"{name}-").get("QueueUrls", [])
    secrets = aws.client("secretsmanager").list_secrets(
        Filters=[{"Key": "name", "Values": [f"{name}/"]}]
    )
    return {
        "tables": sum(table.startswith(f"{name}-") for table in tables),
        "queues": len(queues),
        "secrets": len(secrets["SecretList"]),
    }


def _put_code(aws: EmbeddedAws) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("empty.py", "")
    s3 = aws.client("s3")
    with suppress(ClientError):  # an earlier test has made it
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    for function in FUNCTIONS:
        s3.put_object(Bucket=BUCKET, Key=f"{function}.zip", Body=buffer.getvalue())
