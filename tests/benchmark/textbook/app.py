"""The same receiver as the samples of AWS and the documentation of Powertools would write it.

https://docs.aws.amazon.com/powertools/python/latest/core/event_handler/api_gateway/
"""

import base64
import hashlib
import hmac
import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError, UnauthorizedError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.parser import BaseModel, parse
from aws_lambda_powertools.utilities.typing import LambdaContext

STACK_NAME = os.environ["STACK_NAME"]
QUEUE_URL = os.environ["QUEUE_URL"]

logger = Logger()
tracer = Tracer()
metrics = Metrics()
app = APIGatewayHttpResolver()
sqs = boto3.client("sqs")


class NoteAttribute(BaseModel):
    name: str
    value: str | None = None


class LineItem(BaseModel):
    quantity: int
    current_quantity: int | None = None


class Order(BaseModel):
    id: int
    name: str
    created_at: datetime
    updated_at: datetime
    cancelled_at: datetime | None = None
    test: bool = False
    source_name: str | None = None
    financial_status: str | None = None
    currency: str
    current_total_price: Decimal
    note_attributes: list[NoteAttribute]
    line_items: list[LineItem]

    @property
    def click_id(self) -> str | None:
        return next((note.value for note in self.note_attributes if note.name == "pjclid"), None)


class Conversion(BaseModel):
    shop: str
    pixel_id: str
    order_id: str
    click_id: str
    event_time: datetime
    amount: Decimal
    currency: str
    items: int
    updated_at: datetime
    received_at: datetime


@app.post("/webhooks/<platform>/<shop>")
@tracer.capture_method
def receive(platform: str, shop: str) -> Response[str]:
    try:
        document = parameters.get_secret(
            f"{STACK_NAME}/shops/{shop}", transform="json", max_age=300
        )
    except parameters.exceptions.GetParameterError as error:
        raise NotFoundError("unknown shop") from error
    if document["platform"] != platform:
        raise NotFoundError("unknown shop")

    body = app.current_event.decoded_body or ""
    signature = app.current_event.headers.get("x-shopify-hmac-sha256", "")
    if not verify_signature(body, signature, document["signing_secrets"]):
        metrics.add_metric(name="WrongSignatures", unit=MetricUnit.Count, value=1)
        raise UnauthorizedError("wrong signature")

    order = parse(event=app.current_event.json_body, model=Order)
    logger.append_keys(shop=shop, order_id=order.id)
    if order.click_id is None:
        logger.info("order ignored: no click id")
        metrics.add_metric(name="OrdersIgnored", unit=MetricUnit.Count, value=1)
        return answer("ignored", order)

    send(to_conversion(order, order.click_id, shop, document["pixel_id"]))
    logger.info("order queued")
    metrics.add_metric(name="OrdersQueued", unit=MetricUnit.Count, value=1)
    return answer("queued", order)


@tracer.capture_method
def verify_signature(body: str, signature: str, secrets: list[str]) -> bool:
    return any(
        hmac.compare_digest(
            base64.b64encode(hmac.new(secret.encode(), body.encode(), hashlib.sha256).digest()),
            signature.encode(),
        )
        for secret in secrets
    )


def to_conversion(order: Order, click_id: str, shop: str, pixel_id: str) -> Conversion:
    return Conversion(
        shop=shop,
        pixel_id=pixel_id,
        order_id=str(order.id),
        click_id=click_id,
        event_time=order.created_at,
        amount=order.current_total_price,
        currency=order.currency,
        items=sum(
            item.quantity if item.current_quantity is None else item.current_quantity
            for item in order.line_items
        ),
        updated_at=order.updated_at,
        received_at=datetime.now(UTC),
    )


@tracer.capture_method
def send(conversion: Conversion) -> None:
    sqs.send_message(
        QueueUrl=QUEUE_URL,
        MessageBody=conversion.model_dump_json(),
        MessageGroupId=conversion.shop,
    )


def answer(outcome: str, order: Order) -> Response[str]:
    return Response(
        status_code=HTTPStatus.OK,
        content_type=content_types.APPLICATION_JSON,
        body=json.dumps({"outcome": outcome, "order_id": str(order.id)}),
    )


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
@tracer.capture_lambda_handler
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return app.resolve(event, context)
