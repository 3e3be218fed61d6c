"""What AWS charges in one region, each price with its source; free tiers are left out.

AWS prints its tables by script, so that stored copies of a page show its prices in worked examples
only. The figures therefore come from AWS' price list (the offer files behind the pages) where a
copy of it was found, and from the pages' examples otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

REGION: Final = "us-east-1"

ELSEWHERE: Final = (
    "Other regions differ by up to about 14 % (Ireland: logs +14 %, DynamoDB +13 %; Lambda, SQS, "
    "metrics and alarms the same). Of Stockholm only Lambda's prices were found: the same, too."
)


class Item(StrEnum):
    """What stands on a bill, one line each."""

    HTTP_REQUEST = "HTTP API request"
    LAMBDA_REQUEST = "Lambda request"
    LAMBDA_ARM = "Lambda GB-second, arm64"
    LAMBDA_X86 = "Lambda GB-second, x86_64"
    SNAPSTART_CACHED = "SnapStart GB-second cached"
    SNAPSTART_RESTORED = "SnapStart GB restored"
    SQS_REQUEST = "SQS request"
    SQS_FAIR = "SQS request with a message group"
    WRITE_UNIT = "DynamoDB write unit"
    READ_UNIT = "DynamoDB read unit"
    TABLE_STORAGE = "DynamoDB GB-month stored"
    TABLE_BACKUP = "DynamoDB GB-month recoverable"
    SECRET = "Secrets Manager secret-month"
    SECRET_READ = "Secrets Manager call"
    LOG_INGESTED = "CloudWatch GB logged"
    LOG_STORED = "CloudWatch GB-month of logs"
    METRIC = "CloudWatch metric-month"
    ALARM = "CloudWatch alarm-month"
    DASHBOARD = "CloudWatch dashboard-month"
    TRACE = "X-Ray trace"
    SCHEDULED = "EventBridge scheduled call"
    EMAIL = "SNS e-mail"
    DATA_OUT = "GB sent to the internet"


@dataclass(frozen=True, slots=True)
class Price:
    """`dollars` for so many (`per`) of the unit; `ireland` where eu-west-1 has another price."""

    service: str
    unit: str
    dollars: float
    per: int
    page: str
    source: str
    note: str = ""
    ireland: float | None = None

    @property
    def each(self) -> float:
        return self.dollars / self.per


_MILLION: Final = 1_000_000
_LAMBDA: Final = "https://aws.amazon.com/lambda/pricing/"
_SQS: Final = "https://aws.amazon.com/sqs/pricing/"
_DYNAMODB: Final = "https://aws.amazon.com/dynamodb/pricing/on-demand/"
_SECRETS: Final = "https://aws.amazon.com/secrets-manager/pricing/"
_CLOUDWATCH: Final = "https://aws.amazon.com/cloudwatch/pricing/"

PRICES: Final[Mapping[Item, Price]] = {
    Item.HTTP_REQUEST: Price(
        "API Gateway",
        "request, per 512 KB begun",
        1.00,
        _MILLION,
        "https://aws.amazon.com/api-gateway/pricing/",
        "price list AmazonApiGateway of 2026-09-11, usage type USE1-ApiGatewayHttpRequest",
    ),
    Item.LAMBDA_REQUEST: Price(
        "Lambda",
        "request",
        0.20,
        _MILLION,
        _LAMBDA,
        "price list AWSLambda of 2026-09-19, Request and Request-ARM",
    ),
    Item.LAMBDA_ARM: Price(
        "Lambda",
        "GB-second on arm64, by the millisecond",
        0.0000133334,
        1,
        _LAMBDA,
        "price list AWSLambda of 2026-09-19, Lambda-GB-Second-ARM, first tier",
    ),
    Item.LAMBDA_X86: Price(
        "Lambda",
        "GB-second on x86_64, by the millisecond",
        0.0000166667,
        1,
        _LAMBDA,
        "price list AWSLambda of 2026-09-19, Lambda-GB-Second, first tier",
    ),
    Item.SNAPSTART_CACHED: Price(
        "Lambda",
        "GB-second that a version's snapshot is kept, 3 hours at least",
        0.0000015046,
        1,
        _LAMBDA,
        "price list AWSLambda of 2026-09-19, Lambda-SnapStart-Cached-GB-S",
        "For each published version, also unused ones. Python from 3.12 on.",
    ),
    Item.SNAPSTART_RESTORED: Price(
        "Lambda",
        "GB restored",
        0.0001397998,
        1,
        _LAMBDA,
        "price list AWSLambda of 2026-09-19, Lambda-SnapStart-Restored-GB",
    ),
    Item.SQS_REQUEST: Price(
        "SQS",
        "request, per 64 KB begun",
        0.40,
        _MILLION,
        _SQS,
        "price list AWSQueueService of 2025-08-28, queue type Standard, first tier",
    ),
    Item.SQS_FAIR: Price(
        "SQS",
        "request with a message group, on top",
        0.10,
        _MILLION,
        _SQS,
        "price list AWSQueueService of 2025-08-28, queue type Fair, usage type Requests-Fair-RBP",
        "Which requests count could not be confirmed: taken for all that carry messages of a group,"
        " not for polls that find nothing.",
    ),
    Item.WRITE_UNIT: Price(
        "DynamoDB",
        "write request unit, 1 KB",
        0.625,
        _MILLION,
        _DYNAMODB,
        "price list AmazonDynamoDB of 2026-08-15, WriteRequestUnits",
        ireland=0.705,
    ),
    Item.READ_UNIT: Price(
        "DynamoDB",
        "read request unit, 4 KB",
        0.125,
        _MILLION,
        _DYNAMODB,
        "price list AmazonDynamoDB of 2026-08-15, ReadRequestUnits",
        ireland=0.1415,
    ),
    Item.TABLE_STORAGE: Price(
        "DynamoDB",
        "GB-month, table and indexes",
        0.25,
        1,
        _DYNAMODB,
        "price list AmazonDynamoDB of 2026-08-15, TimedStorage-ByteHrs",
        ireland=0.283,
    ),
    Item.TABLE_BACKUP: Price(
        "DynamoDB",
        "GB-month under point-in-time recovery, without indexes",
        0.20,
        1,
        _DYNAMODB,
        "price list AmazonDynamoDB of 2026-08-15, TimedPITRStorage-ByteHrs",
        ireland=0.22,
    ),
    Item.SECRET: Price(
        "Secrets Manager",
        "secret-month",
        0.40,
        1,
        _SECRETS,
        "the page's example, read 2026-09-20",
    ),
    Item.SECRET_READ: Price(
        "Secrets Manager",
        "call",
        0.05,
        10_000,
        _SECRETS,
        "the page's example, read 2026-09-20",
    ),
    Item.LOG_INGESTED: Price(
        "CloudWatch",
        "GB of log events taken in",
        0.50,
        1,
        _CLOUDWATCH,
        "price list AmazonCloudWatch of 2026-08-06, DataProcessing-Bytes",
        "Lambda's logs have tiers; the first, up to 10 TB a month, costs the same.",
        ireland=0.57,
    ),
    Item.LOG_STORED: Price(
        "CloudWatch",
        "GB-month of log events kept, compressed",
        0.03,
        1,
        _CLOUDWATCH,
        "price list AmazonCloudWatch of 2026-08-06, TimedStorage-ByteHrs",
    ),
    Item.METRIC: Price(
        "CloudWatch",
        "custom metric-month, by the hour in which it has data",
        0.30,
        1,
        _CLOUDWATCH,
        "price list AmazonCloudWatch of 2026-08-06, MetricMonitorUsage, first tier",
    ),
    Item.ALARM: Price(
        "CloudWatch",
        "alarm-month, of standard resolution with one metric",
        0.10,
        1,
        _CLOUDWATCH,
        "price list AmazonCloudWatch of 2026-08-06, AlarmMonitorUsage",
    ),
    Item.DASHBOARD: Price(
        "CloudWatch",
        "dashboard-month, beyond an account's first three",
        3.00,
        1,
        _CLOUDWATCH,
        "three are free by its page of prices; 3 USD as others quote it, not confirmed",
    ),
    Item.TRACE: Price(
        "X-Ray",
        "trace recorded",
        5.00,
        _MILLION,
        "https://aws.amazon.com/xray/pricing/",
        "the page's example",
    ),
    Item.SCHEDULED: Price(
        "EventBridge",
        "call by schedule",
        1.00,
        _MILLION,
        "https://aws.amazon.com/eventbridge/pricing/",
        "price list AWSEvents of 2026-05-29, custom events and Scheduler",
        "A rule's schedule itself could not be found priced; this is the most it can be.",
    ),
    Item.EMAIL: Price(
        "SNS",
        "e-mail sent",
        2.00,
        100_000,
        "https://aws.amazon.com/sns/pricing/",
        "not confirmed: no copy of the page with its prices was found",
        "Only when an alarm goes off.",
    ),
    Item.DATA_OUT: Price(
        "data transfer",
        "GB sent to the internet",
        0.09,
        1,
        "https://aws.amazon.com/ec2/pricing/on-demand/",
        "price list AWSDataTransfer of 2026-07-20, first 10 TB",
    ),
}

# What each resource of the template may put on the bill; nothing for what AWS does not charge.
RESOURCES: Final[Mapping[str, tuple[Item, ...]]] = {
    "AWS::ApiGatewayV2::Api": (Item.HTTP_REQUEST, Item.DATA_OUT),
    "AWS::ApiGatewayV2::Integration": (),
    "AWS::ApiGatewayV2::Route": (),
    "AWS::ApiGatewayV2::Stage": (Item.LOG_INGESTED,),
    "AWS::CloudWatch::Alarm": (Item.ALARM, Item.METRIC),
    "AWS::CloudWatch::Dashboard": (Item.DASHBOARD,),
    "AWS::DynamoDB::Table": (
        Item.WRITE_UNIT,
        Item.READ_UNIT,
        Item.TABLE_STORAGE,
        Item.TABLE_BACKUP,
    ),
    "AWS::Events::Rule": (Item.SCHEDULED,),
    "AWS::IAM::Role": (),
    "AWS::Lambda::EventInvokeConfig": (),
    "AWS::Lambda::EventSourceMapping": (Item.SQS_REQUEST, Item.SQS_FAIR),
    "AWS::Lambda::Function": (Item.LAMBDA_REQUEST, Item.LAMBDA_ARM, Item.DATA_OUT),
    "AWS::Lambda::Permission": (),
    "AWS::Logs::LogGroup": (Item.LOG_INGESTED, Item.LOG_STORED),
    "AWS::SNS::Subscription": (Item.EMAIL,),
    "AWS::SNS::Topic": (),
    "AWS::SNS::TopicPolicy": (),
    "AWS::SQS::Queue": (Item.SQS_REQUEST, Item.SQS_FAIR),
    "AWS::SQS::QueuePolicy": (),
}

# What each thing that a role allows is charged as.
ACTIONS: Final[Mapping[str, tuple[Item, ...]]] = {
    "dynamodb:BatchGetItem": (Item.READ_UNIT,),
    "dynamodb:GetItem": (Item.READ_UNIT,),
    "dynamodb:PutItem": (Item.WRITE_UNIT,),
    "dynamodb:Query": (Item.READ_UNIT,),
    "dynamodb:UpdateItem": (Item.WRITE_UNIT,),
    "logs:CreateLogStream": (),
    "logs:PutLogEvents": (Item.LOG_INGESTED, Item.LOG_STORED),
    "secretsmanager:GetSecretValue": (Item.SECRET_READ,),
    "sqs:ChangeMessageVisibility": (Item.SQS_REQUEST, Item.SQS_FAIR),
    "sqs:DeleteMessage": (Item.SQS_REQUEST, Item.SQS_FAIR),
    "sqs:GetQueueAttributes": (Item.SQS_REQUEST,),
    "sqs:ReceiveMessage": (Item.SQS_REQUEST, Item.SQS_FAIR),
    "sqs:SendMessage": (Item.SQS_REQUEST, Item.SQS_FAIR),
}
