"""An embedded AWS in which the project's own template is created: ministack, on loopback only."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from prisjakt_relay.errors import SetupError

REGION: Final = "eu-north-1"
STACK: Final = "local"
_BUCKET: Final = "artifacts"
_SHORTEST_VISIBILITY: Final = 12  # as long as a try may take
_START_SECONDS: Final = 120  # on a machine with much else to do
_STOP_SECONDS: Final = 5

# What ministack does not know; nothing of the flow depends on it.
_LEFT_OUT: Final = frozenset(
    {"AWS::CloudWatch::CompositeAlarm", "AWS::CloudWatch::Dashboard", "AWS::SNS::Subscription"}
)


class EmbeddedAws:
    """A ministack process and everything in it; gone without a trace when closed."""

    def __init__(self, port: int, *, enforce_iam: bool = False) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
            os.environ.pop(name, None)  # a person's own set-up has no say in here
        self._given: dict[str, str] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="prisjakt-relay-"))
        self._log = (self._folder / "aws.log").open("wb")
        self._process = subprocess.Popen(  # our own interpreter
            [sys.executable, "-m", "prisjakt_relay.local.embedded_aws"],
            env=self._environment(port, enforce_iam=enforce_iam),
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def environment(self) -> dict[str, str]:
        """How a function would find it, as its root."""
        return {
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    def _environment(self, port: int, *, enforce_iam: bool) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "COV_"))}
        return inherited | {
            "AUTH": "true" if enforce_iam else "false",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "HOME": str(self._folder),
            "IOT_MTLS_ENABLED": "0",
            "LAMBDA_WARM_TTL_SECONDS": "3600",
            "LOG_LEVEL": "WARNING",
            "MINISTACK_REGION": REGION,
            # Functions call back into the same process while their callers wait there.
            "MINISTACK_WORKER_THREADS": "256",
            "S3_DATA_DIR": str(self._folder / "s3"),
            "SFTP_ENABLED": "0",
            "STATE_DIR": str(self._folder / "state"),
            "TMPDIR": str(self._folder),
        }

    def _wait_until_ready(self) -> None:
        direct = build_opener(ProxyHandler({}))
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            try:
                with direct.open(f"{self.endpoint}/_ministack/health", timeout=2):
                    return
            except (URLError, OSError):
                time.sleep(0.05)
        tail = (self._folder / "aws.log").read_text(errors="replace")[-600:]
        raise SetupError(f"the embedded AWS did not start: {tail.strip()}")

    def client(self, service: str, credentials: Mapping[str, str] | None = None) -> Any:
        """A client for anything in it, as its root or with a role's credentials."""
        keys = credentials or {}
        return botocore.session.get_session().create_client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=keys.get("AccessKeyId", "test"),
            aws_secret_access_key=keys.get("SecretAccessKey", "test"),
            aws_session_token=keys.get("SessionToken"),
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60, proxies={}),
        )

    def put_shop(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a shop document, as `aws secretsmanager` would."""
        secrets, secret_id = self.client("secretsmanager"), f"{STACK}/shops/{name}"
        text = json.dumps(document)
        try:
            secrets.create_secret(Name=secret_id, SecretString=text)
        except ClientError:
            secrets.put_secret_value(SecretId=secret_id, SecretString=text)

    def give_access(self, name: str, document: Mapping[str, str]) -> None:
        """Write a shop's second document, unless somebody has written another than we did."""
        secrets, secret_id = self.client("secretsmanager"), f"{STACK}/platform-api/{name}"
        text = json.dumps(document)
        try:
            secrets.create_secret(Name=secret_id, SecretString=text)
        except ClientError:
            try:
                written = secrets.get_secret_value(SecretId=secret_id)["SecretString"]
            except ClientError:
                return  # somebody is removing it
            if written != self._given.get(name):
                return
            secrets.put_secret_value(SecretId=secret_id, SecretString=text)
        self._given[name] = text

    def deploy(
        self,
        template: Path,
        artifacts: Mapping[str, Path],
        *,
        parameters: Mapping[str, str],
        time_scale: float,
        webhook_address: str,
    ) -> dict[str, str]:
        """Create the template's stack with these artifacts; returns its outputs."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        for function, folder in artifacts.items():
            s3.put_object(Bucket=_BUCKET, Key=f"{function}.zip", Body=_zip(folder))
        expanded = expand(
            template.read_text("utf-8"), time_scale=time_scale, webhook_address=webhook_address
        )
        _let_unencrypted_in(expanded["Resources"])
        cloudformation = self.client("cloudformation")
        try:
            cloudformation.create_stack(
                StackName=STACK,
                TemplateBody=json.dumps(expanded),
                Parameters=[
                    {"ParameterKey": key, "ParameterValue": value}
                    for key, value in parameters.items()
                ],
                Capabilities=["CAPABILITY_IAM"],
            )
        except ClientError as error:
            message = error.response["Error"].get("Message", "")
            raise SetupError(f"the template could not be created: {message}") from None
        stack = self._created(cloudformation)
        outputs = {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}
        self.client("dynamodb").update_time_to_live(
            TableName=outputs["LedgerTable"],
            TimeToLiveSpecification=expanded["Resources"]["Ledger"]["Properties"][
                "TimeToLiveSpecification"
            ],
        )
        return outputs

    def _created(self, cloudformation: Any) -> Any:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            (stack,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
            if stack["StackStatus"] == "CREATE_COMPLETE":
                return stack
            if not stack["StackStatus"].endswith("IN_PROGRESS"):
                break
            time.sleep(0.05)
        events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
        reasons = [
            f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason', '')}"
            for e in events
            if e["ResourceStatus"].endswith("FAILED")
        ]
        raise SetupError(f"the template could not be created: {'; '.join(reasons)}")

    def webhooks_path(self) -> str:
        """Where the HTTP API of the stack begins on `endpoint`."""
        (api,) = self.client("apigatewayv2").get_apis()["Items"]
        return f"/_aws/execute-api/{api['ApiId']}/$default"

    def close(self) -> None:
        """End the process, its functions and its files."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return


class _NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


def expand(
    template: str, *, time_scale: float = 1.0, webhook_address: str | None = None
) -> dict[str, Any]:
    """The SAM template as CloudFormation that ministack can create.

    Three things differ from AWS's own expansion: the routes, which SAM keeps in an OpenAPI body
    that ministack does not read, become resources; the waits are scaled, schedules to no less than
    a minute, below which there are none; and webhooks arrive at `webhook_address`, if it is given.
    """
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    document = yaml_parse(template)
    document["Globals"]["Function"].pop("CodeUri")
    for name, resource in document["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = {"Bucket": _BUCKET, "Key": f"{name}.zip"}
    expanded: dict[str, Any] = transform(document, {}, _NoManagedPolicies())
    resources: dict[str, Any] = expanded["Resources"]
    for name, resource in list(resources.items()):
        if resource["Type"] in _LEFT_OUT:
            del resources[name]
        elif resource["Type"] == "AWS::ApiGatewayV2::Api":
            resources |= _routes(name, resource["Properties"])
        elif resource["Type"] == "AWS::Lambda::EventSourceMapping":
            resource["Properties"] = _with_numbers(resource["Properties"], expanded["Parameters"])
        elif resource["Type"] == "AWS::Lambda::Function":
            variables = resource["Properties"]["Environment"]["Variables"]
            variables["TIME_SCALE"] = str(time_scale)
            if webhook_address is not None and "WEBHOOK_ADDRESS" in variables:
                variables["WEBHOOK_ADDRESS"] = webhook_address
        elif resource["Type"] == "AWS::Events::Rule":
            properties = resource["Properties"]
            properties["ScheduleExpression"] = _sooner(properties["ScheduleExpression"], time_scale)
        elif (
            resource["Type"] == "AWS::SQS::Queue" and "VisibilityTimeout" in resource["Properties"]
        ):
            properties = resource["Properties"]
            properties["VisibilityTimeout"] = max(
                _SHORTEST_VISIBILITY, round(properties["VisibilityTimeout"] * time_scale)
            )
    return expanded


def _let_unencrypted_in(resources: dict[str, Any]) -> None:
    """On loopback nothing is encrypted, and ministack heeds policies that ask for it."""
    for name, resource in list(resources.items()):
        if resource["Type"] not in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
            continue
        document = resource["Properties"]["PolicyDocument"]
        document["Statement"] = [
            each
            for each in document["Statement"]
            if "aws:SecureTransport" not in each.get("Condition", {}).get("Bool", {})
        ]
        if not document["Statement"]:
            del resources[name]


def _sooner(schedule: str, time_scale: float) -> str:
    """An hourly schedule in minutes."""
    if schedule != "rate(1 hour)":
        raise SetupError(f"the schedule {schedule} cannot be scaled: teach it the local system")
    minutes = max(1, round(60 * time_scale))
    return f"rate({minutes} minute{'' if minutes == 1 else 's'})"


def _with_numbers(value: Any, parameters: dict[str, Any]) -> Any:
    """References to parameters of type Number as numbers: ministack would hand on texts."""
    if isinstance(value, dict):
        parameter = parameters.get(value.get("Ref", ""), {})
        if parameter.get("Type") == "Number":
            return int(parameter["Default"])
        return {name: _with_numbers(part, parameters) for name, part in value.items()}
    return value


def _routes(api: str, properties: dict[str, Any]) -> dict[str, Any]:
    body = properties.pop("Body")
    properties |= {"Name": api, "ProtocolType": "HTTP"}
    made: dict[str, Any] = {}
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            integration = operation["x-amazon-apigateway-integration"]
            name = f"{api}Route{len(made) // 2}"
            made[f"{name}Integration"] = {
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {
                    "ApiId": {"Ref": api},
                    "IntegrationType": "AWS_PROXY",
                    "IntegrationUri": integration["uri"],
                    "PayloadFormatVersion": integration["payloadFormatVersion"],
                },
            }
            made[name] = {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": {"Ref": api},
                    "RouteKey": f"{method.upper()} {path}",
                    "Target": {"Fn::Sub": f"integrations/${{{name}Integration}}"},
                },
            }
    return made


def _zip(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return buffer.getvalue()
