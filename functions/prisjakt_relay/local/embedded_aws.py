"""Starts ministack with one thing as on AWS: an event source mapping hands over whole batches.

ministack's own receives ten messages at most, whatever `BatchSize` says; AWS gathers up to 10,000:
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""

from __future__ import annotations

from typing import Any

from ministack.app import main
from ministack.services import sqs

_receive = sqs._receive_messages_for_esm


def receive_whole_batch(queue_url: str, most: int) -> list[Any]:
    """As many of the visible messages as fit into the batch."""
    batch = list(_receive(queue_url, most))
    while len(batch) < most and (more := _receive(queue_url, most - len(batch))):
        batch += more
    return batch


if __name__ == "__main__":
    sqs._receive_messages_for_esm = receive_whole_batch
    main()
