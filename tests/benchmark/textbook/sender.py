"""The same sender as the samples of AWS and the documentation of Powertools would write it.

https://docs.aws.amazon.com/powertools/python/latest/utilities/batch/
https://docs.aws.amazon.com/powertools/python/latest/utilities/idempotency/
"""

import os
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import requests
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.parser import BaseModel
from aws_lambda_powertools.utilities.typing import LambdaContext

STACK_NAME = os.environ["STACK_NAME"]
PRISJAKT_URL = os.environ["PRISJAKT_URL"]
THIRTY_DAYS = 30 * 24 * 60 * 60

logger = Logger()
tracer = Tracer()
metrics = Metrics()
processor = BatchProcessor(event_type=EventType.SQS)
persistence = DynamoDBPersistenceLayer(table_name=os.environ["TABLE_NAME"])
idempotency = IdempotencyConfig(
    event_key_jmespath="[shop, order_id]",
    raise_on_no_idempotency_key=True,
    expires_after_seconds=THIRTY_DAYS,
)
http = requests.Session()


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


@tracer.capture_method
def record_handler(record: SQSRecord) -> None:
    conversion = Conversion.model_validate_json(record.body)
    logger.append_keys(shop=conversion.shop, order_id=conversion.order_id)
    report(conversion=conversion)


@idempotent_function(  # type: ignore[untyped-decorator]  # has no types
    data_keyword_argument="conversion", config=idempotency, persistence_store=persistence
)
def report(conversion: Conversion) -> dict[str, str]:
    document = parameters.get_secret(
        f"{STACK_NAME}/shops/{conversion.shop}", transform="json", max_age=300
    )
    send(conversion, "test-purchase" if document.get("mode") == "test" else "purchase")
    logger.info("purchase reported")
    metrics.add_metric(name="PurchasesReported", unit=MetricUnit.Count, value=1)
    return {"outcome": "reported"}


@tracer.capture_method
def send(conversion: Conversion, event_name: str) -> None:
    response = http.post(
        f"{PRISJAKT_URL}/pixels/{conversion.pixel_id}/events",
        json={
            "event_name": event_name,
            "event_time": conversion.event_time.isoformat(),
            "external_event_id": conversion.order_id,
            "data": {
                "amount": float(conversion.amount),
                "currency": conversion.currency,
                "number_of_items": conversion.items,
            },
            "signed_click_id": conversion.click_id,
        },
        timeout=(2, 8),
    )
    if response.status_code == HTTPStatus.CONFLICT:
        logger.info("purchase was reported before")
        return
    response.raise_for_status()


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    idempotency.register_lambda_context(context)
    return process_partial_response(
        event=event, record_handler=record_handler, processor=processor, context=context
    )
