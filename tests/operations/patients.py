"""Shops for `test` and `doctor`, each with a pixel of its own, in the shared local system."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.conftest import PATIENCE

from prisjakt_relay.local.prisjakt_model import Fault
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations.stack import Stack

SECRET = "demoSecretOf24BytesInBase64Signs"  # one that every platform takes


def put(system: LocalSystem, platform: str = "shopify", **changes: Any) -> str:
    """The name of a new shop; its document with these changes, None taking a field out."""
    name = f"patient-{uuid.uuid4()}"
    document = {
        "platform": platform,
        "pixel_id": str(uuid.uuid4()),
        "signing_secrets": [SECRET],
        "prisjakt_client_id": f"client-{name}",  # of its own, as is a pause of it
        "prisjakt_client_secret": "not-so-secret",
        **changes,
    }
    kept = {field: value for field, value in document.items() if value is not None}
    system.aws.put_shop(name, kept)
    return name


@contextmanager
def spoilt(system: LocalSystem, pixel_id: str, **fault: Any) -> Iterator[None]:
    """The simulated Prisjakt does not do what this pixel's next calls ask for."""
    assert system.model is not None
    spoiling = Fault(pixel_id=pixel_id, **fault)
    system.model.faults.append(spoiling)
    try:
        yield
    finally:
        if spoiling in system.model.faults:
            system.model.faults.remove(spoiling)


@contextmanager
def without_sender(stack: Stack) -> Iterator[None]:
    """The queue is not handed to the sender for a while."""
    mapping = switch(stack, enabled=False)
    try:
        yield
    finally:
        assert switch(stack, enabled=True) == mapping


def switch(stack: Stack, *, enabled: bool) -> str:
    (resource,) = stack.client("cloudformation").describe_stack_resources(
        StackName=stack.name, LogicalResourceId="SenderEvents"
    )["StackResources"]
    uuid_, client = str(resource["PhysicalResourceId"]), stack.client("lambda")
    client.update_event_source_mapping(UUID=uuid_, Enabled=enabled)
    end = time.monotonic() + PATIENCE
    wanted = "Enabled" if enabled else "Disabled"
    while client.get_event_source_mapping(UUID=uuid_)["State"] != wanted:
        assert time.monotonic() < end
        time.sleep(0.05)
    return uuid_
