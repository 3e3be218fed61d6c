"""The template: what AWS would be told, read from its expansion; emulators ignore half of it."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse
from tests.benchmark.template import Stack

from prisjakt_relay import telemetry
from prisjakt_relay.local import project
from prisjakt_relay.local.aws import _let_unencrypted_in, expand
from prisjakt_relay.receiver import settings as receiver_settings
from prisjakt_relay.reconciler import settings as reconciler_settings
from prisjakt_relay.reconciler.hourly import ENOUGH_TIME
from prisjakt_relay.sender import settings as sender_settings
from prisjakt_relay.sender.sending import BATCH

AGES = {telemetry.WAITING_AGE, *telemetry.AGES.values()}
TEXT = (project.root() / "template.yaml").read_text("utf-8")

FUNCTIONS = ("ReceiverFunction", "SenderFunction", "ReconcilerFunction")
SECRETS_OF = (":secret:${AWS::StackName}/shops/*", ":secret:${AWS::StackName}/platform-api/*")


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    document: dict[str, Any] = yaml_parse(TEXT)
    return document


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    expanded: dict[str, Any] = expand(TEXT)["Resources"]
    return expanded


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: r["Properties"] for name, r in resources.items() if r["Type"] == kind}


def statements(resources: dict[str, Any], role: str) -> list[dict[str, Any]]:
    (policy,) = resources[role]["Properties"]["Policies"]
    found: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return found


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_no_role_may_touch_everything(resources: dict[str, Any]) -> None:
    """No `*` resource, no `*` action, no managed policy; every statement says what it is for."""
    roles = of_type(resources, "AWS::IAM::Role")

    assert set(roles) == {"ReceiverRole", "SenderRole", "ReconcilerRole"}
    for role, properties in roles.items():
        assert "ManagedPolicyArns" not in properties
        for statement in statements(resources, role):
            assert statement["Sid"]
            assert all("*" not in action for action in as_list(statement["Action"]))
            for resource in as_list(statement["Resource"]):
                text = resource if isinstance(resource, str) else str(next(iter(resource.values())))
                assert text != "*"
                assert "*" not in text or text.endswith(SECRETS_OF)


def test_the_receiver_may_read_shops_send_and_log_and_nothing_else(
    resources: dict[str, Any],
) -> None:
    """Not the ledger, and not the secrets of the shop system's own API."""
    actions = {
        action
        for statement in statements(resources, "ReceiverRole")
        for action in as_list(statement["Action"])
    }

    assert actions == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "secretsmanager:GetSecretValue",
        "sqs:SendMessage",
    }


def test_the_sender_may_take_renew_and_settle(resources: dict[str, Any]) -> None:
    actions = {
        action
        for statement in statements(resources, "SenderRole")
        for action in as_list(statement["Action"])
    }

    assert actions == {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "secretsmanager:GetSecretValue",
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
        "sqs:SendMessage",
    }


def rights(resources: dict[str, Any], role: str) -> set[tuple[str, str]]:
    """Each action with the resource that it is for: a resource's name, or the end of an ARN."""
    found = set()
    for statement in statements(resources, role):
        for where in as_list(statement["Resource"]):
            ((kind, value),) = where.items()
            assert kind in ("Fn::GetAtt", "Fn::Sub")
            name = value[0] if kind == "Fn::GetAtt" else value.rpartition("${AWS::StackName}")[2]
            found |= {(action, name) for action in as_list(statement["Action"])}
    return found


def test_the_sender_lists_orders_by_the_two_indexes_only(resources: dict[str, Any]) -> None:
    """For a shop that is to be erased; it may neither list nor delete anything else."""
    lists = {what for action, what in rights(resources, "SenderRole") if action == "dynamodb:Query"}

    assert lists == {
        f"${{Ledger.Arn}}/index/{index['IndexName']}"
        for index in resources["Ledger"]["Properties"]["GlobalSecondaryIndexes"]
    }


def test_the_reconciler_may_read_compare_and_queue_and_nothing_else(
    resources: dict[str, Any],
) -> None:
    """It takes no message off the queue, and writes to no secret."""
    assert rights(resources, "ReconcilerRole") == {
        ("dynamodb:BatchGetItem", "Ledger"),
        ("dynamodb:GetItem", "Ledger"),
        ("dynamodb:PutItem", "Ledger"),
        ("dynamodb:UpdateItem", "Ledger"),
        ("logs:CreateLogStream", "ReconcilerLog"),
        ("logs:PutLogEvents", "ReconcilerLog"),
        ("secretsmanager:GetSecretValue", "/platform-api/*"),
        ("secretsmanager:GetSecretValue", "/shops/*"),
        ("sqs:SendMessage", "ConversionQueue"),
    }


def test_the_reconciler_may_write_no_order_of_the_ledger(resources: dict[str, Any]) -> None:
    """Who can read the shops' orders cannot make up what was reported of them."""
    written = {
        statement["Action"]: statement["Condition"]["ForAllValues:StringLike"]
        for statement in statements(resources, "ReconcilerRole")
        if statement["Action"] in ("dynamodb:PutItem", "dynamodb:UpdateItem")
    }

    assert written == {
        "dynamodb:PutItem": {"dynamodb:LeadingKeys": ["reconciled#*"]},
        "dynamodb:UpdateItem": {"dynamodb:LeadingKeys": ["rate#*"]},
    }


def test_the_sender_may_write_nothing_of_the_reconcilers(resources: dict[str, Any]) -> None:
    """Its list of shops and how far it got; orders, shops and turns are the sender's to keep."""
    writing = [
        statement
        for statement in statements(resources, "SenderRole")
        if {"dynamodb:PutItem", "dynamodb:UpdateItem"} & set(as_list(statement["Action"]))
    ]

    (only,) = writing
    assert only["Action"] == ["dynamodb:PutItem", "dynamodb:UpdateItem"]
    assert only["Condition"] == {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["order#*", "shop#*", "rate#*"]}
    }


def test_only_the_reconciler_may_read_how_to_get_into_shop_systems(
    resources: dict[str, Any],
) -> None:
    secrets = {
        role: {what for action, what in rights(resources, role) if "secret" in action}
        for role in of_type(resources, "AWS::IAM::Role")
    }

    assert secrets == {
        "ReceiverRole": {"/shops/*"},
        "SenderRole": {"/shops/*"},
        "ReconcilerRole": {"/shops/*", "/platform-api/*"},
    }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_has_its_own_role_and_log(resources: dict[str, Any], function: str) -> None:
    properties = resources[function]["Properties"]
    part = function.removesuffix("Function")

    assert properties["Role"] == {"Fn::GetAtt": [f"{part}Role", "Arn"]}
    assert properties["LoggingConfig"]["LogGroup"] == {"Ref": f"{part}Log"}
    assert properties["LoggingConfig"]["LogFormat"] == "JSON"


def test_the_reconciler_runs_every_hour_and_is_not_started_again_after_a_failure(
    resources: dict[str, Any], template: dict[str, Any]
) -> None:
    """The next hour's run begins where it was; one in between would gain nothing."""
    properties = template["Resources"]["ReconcilerFunction"]["Properties"]
    (event,) = properties["Events"].values()
    (rule,) = of_type(resources, "AWS::Events::Rule").values()
    (target,) = rule["Targets"]
    (allowed,) = (
        each
        for each in of_type(resources, "AWS::Lambda::Permission").values()
        if each["Principal"] == "events.amazonaws.com"
    )

    assert (event["Type"], event["Properties"]["Schedule"]) == ("Schedule", "rate(1 hour)")
    assert event["Properties"].get("Enabled", True) is True
    assert properties["EventInvokeConfig"] == {"MaximumRetryAttempts": 0}
    assert target["Arn"] == {"Fn::GetAtt": ["ReconcilerFunction", "Arn"]}
    assert allowed["FunctionName"] == {"Ref": "ReconcilerFunction"}


def test_a_run_of_the_reconciler_ends_before_the_next_one_begins(
    resources: dict[str, Any],
) -> None:
    """And leaves enough for several shops."""
    time_out = resources["ReconcilerFunction"]["Properties"]["Timeout"]

    assert 10 * ENOUGH_TIME.total_seconds() <= time_out < 3600


def test_the_reconciler_looks_for_webhooks_at_the_address_that_people_are_told(
    resources: dict[str, Any], template: dict[str, Any]
) -> None:
    variables = resources["ReconcilerFunction"]["Properties"]["Environment"]["Variables"]

    assert variables["WEBHOOK_ADDRESS"] == template["Outputs"]["WebhookAddress"]["Value"]


def test_queues_are_encrypted_and_keep_messages_for_two_weeks(resources: dict[str, Any]) -> None:
    queues = of_type(resources, "AWS::SQS::Queue")

    assert set(queues) == {"ConversionQueue", "DeadLetters"}
    for queue in queues.values():
        assert queue["SqsManagedSseEnabled"] is True
        assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600
        assert "FifoQueue" not in queue


def test_a_message_is_hidden_for_six_function_time_outs(resources: dict[str, Any]) -> None:
    queue = resources["ConversionQueue"]["Properties"]

    assert queue["VisibilityTimeout"] == 6 * resources["SenderFunction"]["Properties"]["Timeout"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 1000


def test_the_sender_answers_for_parts_of_a_batch(resources: dict[str, Any]) -> None:
    (mapping,) = of_type(resources, "AWS::Lambda::EventSourceMapping").values()

    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["EventSourceArn"] == {"Fn::GetAtt": ["ConversionQueue", "Arn"]}
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 2}


def test_a_batch_of_messages_fills_a_batch_of_events(template: dict[str, Any]) -> None:
    """AWS gathers more than ten only if it may wait for them."""
    parameters = template["Parameters"]

    assert parameters["SenderBatchSize"]["Default"] == BATCH
    assert 1 <= parameters["SenderBatchWindow"]["Default"] <= 10


def test_the_ledger_outlives_everything(
    resources: dict[str, Any], template: dict[str, Any]
) -> None:
    """Retained, recoverable, paid by use, and cleaned up by the field that the code writes."""
    ledger = resources["Ledger"]["Properties"]

    assert template["Resources"]["Ledger"]["DeletionPolicy"] == "Retain"
    assert template["Resources"]["Ledger"]["UpdateReplacePolicy"] == "Retain"
    assert ledger["BillingMode"] == "PAY_PER_REQUEST"
    assert ledger["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert ledger["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    keys = {
        index["IndexName"]: [key["AttributeName"] for key in index["KeySchema"]]
        for index in ledger["GlobalSecondaryIndexes"]
    }
    assert keys == {
        "dead-orders": ["dead_shop", "dead_since"],
        "orders-by-day": ["shop_day", "event_time"],
    }


def test_the_api_throttles_and_its_log_names_no_caller_and_no_query(
    resources: dict[str, Any],
) -> None:
    (stage,) = of_type(resources, "AWS::ApiGatewayV2::Stage").values()
    condition, settings, otherwise = stage["AccessLogSettings"]["Fn::If"]
    log = settings["Format"]

    assert (condition, otherwise) == ("HasAccessLog", {"Ref": "AWS::NoValue"})
    assert set(stage["DefaultRouteSettings"]) == {"ThrottlingRateLimit", "ThrottlingBurstLimit"}
    for private in ("sourceIp", "caller", "userAgent", "query", "requestOverride", "authorizer"):
        assert private.lower() not in log.lower()


def test_the_only_route_takes_webhooks(resources: dict[str, Any]) -> None:
    (route,) = of_type(resources, "AWS::ApiGatewayV2::Route").values()

    assert route["RouteKey"] == "POST /webhooks/{platform}/{shop}"


def test_every_log_is_kept_only_as_long_as_was_asked(resources: dict[str, Any]) -> None:
    logs = of_type(resources, "AWS::Logs::LogGroup")

    assert {log["RetentionInDays"]["Ref"] for log in logs.values()} == {"LogRetentionDays"}
    for name in FUNCTIONS:
        assert resources[name]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"] in logs


def test_every_parameter_explains_itself(template: dict[str, Any]) -> None:
    for name, parameter in template["Parameters"].items():
        assert parameter["Description"].endswith("."), name
        assert "Default" in parameter, name
        bounds = {"AllowedPattern", "AllowedValues", "MinValue"}
        assert bounds & set(parameter), name


def test_every_output_explains_itself(template: dict[str, Any]) -> None:
    for name, output in template["Outputs"].items():
        assert output["Description"].endswith("."), name


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_makefile_builds_for_the_runtime_and_architecture_of_the_template(
    template: dict[str, Any], function: str
) -> None:
    """Python version and architecture stand in two files."""
    makefile = (project.root() / "functions" / "Makefile").read_text()
    version = re.search(r"^PYTHON_VERSION \?= (\S+)$", makefile, re.MULTILINE)
    machine = re.search(r"^PLATFORM \?= (\w+?)-manylinux", makefile, re.MULTILINE)
    settings = template["Globals"]["Function"]

    assert version
    assert machine
    assert settings["Runtime"] == f"python{version[1]}"
    assert {"aarch64": ["arm64"], "x86_64": ["x86_64"]}[machine[1]] == settings["Architectures"]
    assert template["Resources"][function]["Metadata"] == {"BuildMethod": "makefile"}
    assert f"build-{function}:" in makefile


def test_the_functions_get_exactly_the_settings_that_they_read(
    resources: dict[str, Any],
) -> None:
    """`TIME_SCALE` is the local system's own, and is never set on AWS."""

    class Recorder(dict[str, str]):
        def get(self, name: str, _: Any = None) -> Any:
            asked.add(name)
            return {
                "PRISJAKT_URL": "https://x",
                "PRISJAKT_TOKEN_URL": "https://x",
                "HOURLY_ALLOWANCE": "1",
                "TIME_SCALE": "1",
            }.get(name, "x")

    for function, read in (
        ("ReceiverFunction", receiver_settings.from_environment),
        ("SenderFunction", sender_settings.from_environment),
        ("ReconcilerFunction", reconciler_settings.from_environment),
    ):
        asked: set[str] = set()
        read(Recorder())
        given = set(resources[function]["Properties"]["Environment"]["Variables"])
        assert given - {"MALLOC_MMAP_THRESHOLD_"} == asked | {"POWERTOOLS_LOG_LEVEL"}
    assert "TIME_SCALE" not in TEXT


def test_handlers_are_where_the_template_says(resources: dict[str, Any]) -> None:
    package = project.root() / "functions"
    for name in FUNCTIONS:
        module, _, function = resources[name]["Properties"]["Handler"].rpartition(".")
        source = (package / f"{module.replace('.', '/')}.py").read_text()
        assert f"def {function}(" in source


def test_alarms_watch_metrics_that_are_emitted(resources: dict[str, Any]) -> None:
    """Namespace, name and dimension as the functions write them; each tells somebody."""
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    own = {n: a for n, a in alarms.items() if a["Namespace"] == telemetry.NAMESPACE}

    assert own
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}], name
        assert alarm["AlarmDescription"]["Fn::Sub"].endswith("."), name
    for name, alarm in own.items():
        assert alarm["MetricName"] in {*telemetry.METRICS.values(), *AGES}, name
        assert alarm["Dimensions"] == [{"Name": "stack", "Value": {"Ref": "AWS::StackName"}}], name
        of_ages = alarm["MetricName"] in AGES
        assert alarm["Statistic"] == ("Maximum" if of_ages else "Sum"), name
        assert alarm["TreatMissingData"] == "notBreaching", name
        assert alarm["Period"] * alarm["EvaluationPeriods"] <= 86_400, name
    dead_letters = alarms["DeadLettersAlarm"]
    assert dead_letters["MetricName"] == "ApproximateNumberOfMessagesVisible"


def test_a_sender_that_is_not_called_is_an_alarm_of_the_queues(resources: dict[str, Any]) -> None:
    """By its own metrics it is as silent as one that has nothing to do."""
    alarm = resources["SenderIdleAlarm"]["Properties"]

    assert (alarm["Namespace"], alarm["MetricName"]) == (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
    )
    assert alarm["Dimensions"] == [
        {"Name": "QueueName", "Value": {"Fn::GetAtt": ["ConversionQueue", "QueueName"]}}
    ]
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Minimum", 1)
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 3 * 3600
    assert "DatapointsToAlarm" not in alarm  # every hour of them


@pytest.mark.parametrize(
    ("event", "description"),
    [
        ("recovered", "webhooks"),
        ("webhook_broken", "webhooks repair"),
        ("not_at_prisjakt", "reconcile"),
        ("differs_at_prisjakt", "reconcile"),
        ("twice_at_prisjakt", "reconcile"),
        ("reconcile_failed", "shop api set"),
        ("reconcile_gap", "log"),
        ("order_silence", "shop"),
        ("click_silence", "snippet"),
    ],
)
def test_everything_that_the_reconciler_finds_amiss_has_one_alarm_that_says_what_to_do(
    resources: dict[str, Any], event: str, description: str
) -> None:
    metric = {**telemetry.METRICS, **telemetry.AGES}[event]

    (alarm,) = (
        each
        for each in of_type(resources, "AWS::CloudWatch::Alarm").values()
        if each["MetricName"] == metric
    )

    assert description in alarm["AlarmDescription"]["Fn::Sub"]


def test_only_the_reconcilers_alarms_are_optional(resources: dict[str, Any]) -> None:
    """A shop that has no reconciler need not pay for them; all others it has."""
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    optional = {name for name, alarm in resources.items() if "Condition" in alarm} & set(alarms)

    assert {resources[name]["Condition"] for name in optional} == {"HasReconcilerAlarms"}
    assert optional == {
        "RecoveredAlarm",
        "BrokenWebhooksAlarm",
        "MismatchesAlarm",
        "ReconcileFaultsAlarm",
        "ReconcileGapsAlarm",
        "ClickSilenceAlarm",
        "OrderSilenceAlarm",
        "ReconcilerErrorsAlarm",
    }


def test_every_metric_of_the_relays_has_its_alarm(resources: dict[str, Any]) -> None:
    """Each costs money: what nobody is woken for is not counted."""
    alarms = of_type(resources, "AWS::CloudWatch::Alarm").values()
    watched = {a["MetricName"] for a in alarms if a["Namespace"] == telemetry.NAMESPACE}

    assert watched == {*telemetry.METRICS.values(), *AGES}


def test_every_server_error_of_the_api_is_an_alarm(resources: dict[str, Any]) -> None:
    """Ours, and those that the HTTP API gives by itself when the receiver has crashed."""
    alarm = resources["ReceiverErrorsAlarm"]["Properties"]

    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/ApiGateway", "5xx")
    assert alarm["Dimensions"] == [{"Name": "ApiId", "Value": {"Ref": "WebhookApi"}}]
    assert (alarm["Statistic"], alarm["Period"], alarm["Threshold"]) == ("Sum", 300, 1)


def test_a_receiver_is_called_slow_before_shopify_hangs_up(resources: dict[str, Any]) -> None:
    """It waits for five seconds; one slow period, with a cold start say, is no evidence."""
    alarm = resources["ReceiverSlowAlarm"]["Properties"]

    assert alarm["MetricName"] == "Duration"
    assert alarm["ExtendedStatistic"] == "p99"
    assert alarm["Threshold"] < 5000
    assert alarm["DatapointsToAlarm"] == 3
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 3600


def test_a_week_of_silence_is_an_alarm(resources: dict[str, Any]) -> None:
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")

    for name in ("OrderSilenceAlarm", "ClickSilenceAlarm"):
        assert alarms[name]["Threshold"] == 7 * 24 * 3600


def test_a_crash_of_what_runs_by_itself_is_an_alarm(resources: dict[str, Any]) -> None:
    """Nobody waits for an answer of the sender or of the reconciler."""
    alarms = of_type(resources, "AWS::CloudWatch::Alarm").values()

    watched = {
        dimension["Value"]["Ref"]
        for alarm in alarms
        if (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Errors")
        for dimension in alarm["Dimensions"]
        if dimension["Name"] == "FunctionName"
    }

    assert watched == {"SenderFunction", "ReconcilerFunction"}


# Security: no flood without a bound, nothing unencrypted

UNENCRYPTED = {"Bool": {"aws:SecureTransport": "false"}}


def test_every_route_is_throttled(resources: dict[str, Any]) -> None:
    """Default settings hold for each route by itself, and none has others."""
    (stage,) = of_type(resources, "AWS::ApiGatewayV2::Stage").values()
    throttle = {
        "ThrottlingRateLimit": {"Ref": "RequestsPerSecond"},
        "ThrottlingBurstLimit": {"Ref": "RequestBurst"},
    }

    assert stage["DefaultRouteSettings"] == throttle
    assert "RouteSettings" not in stage


def test_a_new_account_can_deploy_since_nothing_is_reserved_unless_asked_for(
    template: dict[str, Any],
) -> None:
    """An account that may run ten functions at once cannot reserve any of them."""
    usual, asked = Stack(), Stack({"ReceiverConcurrency": 20})

    for function in FUNCTIONS:
        assert "ReservedConcurrentExecutions" not in usual.properties(function)
        assert "ProvisionedConcurrencyConfig" not in template["Resources"][function]["Properties"]
    assert asked.properties("ReceiverFunction")["ReservedConcurrentExecutions"] == 20
    assert "ReservedConcurrentExecutions" not in asked.properties("SenderFunction")


def test_senders_are_bounded_by_their_event_source(resources: dict[str, Any]) -> None:
    """Which costs no reservation; the reconciler runs once an hour and never beside itself."""
    (mapping,) = of_type(resources, "AWS::Lambda::EventSourceMapping").values()

    assert mapping["ScalingConfig"]["MaximumConcurrency"] == Stack().parameters["SenderConcurrency"]


def test_every_queue_refuses_what_comes_unencrypted(resources: dict[str, Any]) -> None:
    """And its policy says no more than that: who may use a queue is for the roles to say."""
    queues = of_type(resources, "AWS::SQS::Queue")
    policies = of_type(resources, "AWS::SQS::QueuePolicy").values()

    assert sorted(queue["Ref"] for policy in policies for queue in policy["Queues"]) == sorted(
        queues
    )
    for policy in policies:
        (queue,) = policy["Queues"]
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert statement == {
            "Sid": "NothingUnencrypted",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": {"Fn::GetAtt": [queue["Ref"], "Arn"]},
            "Condition": UNENCRYPTED,
        }


def test_the_topic_takes_alarms_of_this_account_and_nothing_unencrypted(
    resources: dict[str, Any],
) -> None:
    """A policy of one's own replaces AWS's: without the first statement no alarm would be told."""
    topics = of_type(resources, "AWS::SNS::Topic")
    (policy,) = of_type(resources, "AWS::SNS::TopicPolicy").values()
    by_name = {each["Sid"]: each for each in policy["PolicyDocument"]["Statement"]}
    alarms, people, denied = (
        by_name[name] for name in ("AlarmsOfThisAccount", "ThisAccount", "NothingUnencrypted")
    )

    assert [topic["Ref"] for topic in policy["Topics"]] == list(topics)
    assert alarms["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert alarms["Action"] == "sns:Publish"
    assert alarms["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert people["Principal"]["AWS"]["Fn::Sub"].endswith("::${AWS::AccountId}:root")
    assert (denied["Effect"], denied["Principal"]) == ("Deny", "*")
    assert denied["Condition"] == UNENCRYPTED
    assert set(denied["Action"]) == set(people["Action"])  # nothing is allowed in the clear
    # AWS refuses a topic's policy with any other word, above all sns:*.
    assert set(people["Action"]) <= {
        "sns:AddPermission",
        "sns:DeleteTopic",
        "sns:GetTopicAttributes",
        "sns:ListSubscriptionsByTopic",
        "sns:Publish",
        "sns:RemovePermission",
        "sns:SetTopicAttributes",
        "sns:Subscribe",
    }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_environment_of_a_function_holds_a_secret(
    resources: dict[str, Any], function: str
) -> None:
    """Everybody who may look at a function's settings sees them: addresses and names only."""
    variables = resources[function]["Properties"]["Environment"]["Variables"]

    assert set(variables) <= {
        "DEAD_LETTERS_URL",
        "HOURLY_ALLOWANCE",
        "MALLOC_MMAP_THRESHOLD_",
        "POWERTOOLS_LOG_LEVEL",
        "PRISJAKT_TOKEN_URL",
        "PRISJAKT_URL",
        "QUEUE_URL",
        "STACK_NAME",
        "TABLE_NAME",
        "TIME_SCALE",
        "WEBHOOK_ADDRESS",
    }
    assert "{{resolve:" not in str(variables)  # which CloudFormation would write out


def test_the_local_system_does_without_encryption_and_keeps_the_rest(
    resources: dict[str, Any],
) -> None:
    """On loopback there is none; who may publish to the topic stays as it is."""
    local = copy.deepcopy(resources)

    _let_unencrypted_in(local)

    assert resources.keys() - local.keys() == {"ConversionQueuePolicy", "DeadLettersPolicy"}
    kept = local["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert [each["Sid"] for each in kept] == ["AlarmsOfThisAccount", "ThisAccount"]
