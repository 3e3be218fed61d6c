"""The project's template as it is deployed: parameters filled in, conditions decided."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any, Final

from prisjakt_relay.local import project
from prisjakt_relay.local.aws import expand

Properties = Mapping[str, Any]

_NO_VALUE: Final = {"Ref": "AWS::NoValue"}


@functools.cache
def _document() -> Mapping[str, Any]:
    # SAM's translator complains that nobody collects what it counts of its own use.
    logging.getLogger("samtranslator.metrics.metrics").setLevel(logging.ERROR)
    return expand((project.root() / "template.yaml").read_text("utf-8"))


class Stack:
    """The resources that there are with these parameters, the others at their defaults."""

    def __init__(self, parameters: Mapping[str, object] | None = None) -> None:
        document = _document()
        defaults = {name: each["Default"] for name, each in document["Parameters"].items()}
        if unknown := (parameters or {}).keys() - defaults.keys():
            raise ValueError(f"the template has no parameter {', '.join(sorted(unknown))}")
        self.parameters = {**defaults, **(parameters or {})}
        self._conditions: Mapping[str, Any] = document["Conditions"]
        self.resources: dict[str, Mapping[str, Any]] = {
            name: self._resolved(resource)
            for name, resource in document["Resources"].items()
            if "Condition" not in resource or self._holds({"Condition": resource["Condition"]})
        }

    def properties(self, name: str) -> Properties:
        found: Properties = self.resources[name]["Properties"]
        return found

    def of_type(self, kind: str) -> list[Properties]:
        """Their properties."""
        return [each["Properties"] for each in self.resources.values() if each["Type"] == kind]

    def variables(self, function: str) -> dict[str, str]:
        """What Lambda and the template set for a function, but for what names other resources."""
        properties = self.properties(function)
        given = {
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": properties["MemorySize"],
            "AWS_LAMBDA_LOG_FORMAT": properties["LoggingConfig"]["LogFormat"],
            "AWS_LAMBDA_LOG_LEVEL": properties["LoggingConfig"]["ApplicationLogLevel"],
            **properties["Environment"]["Variables"],
        }
        return {name: str(value) for name, value in given.items() if isinstance(value, str | int)}

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, list):
            parts = (self._resolved(part) for part in value)
            return [part for part in parts if part != _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if value.keys() == {"Fn::If"}:
            condition, one, other = value["Fn::If"]
            return self._resolved(one if self._holds({"Condition": condition}) else other)
        if value.keys() == {"Ref"}:
            return self.parameters.get(value["Ref"], value)
        parts_by_name = {name: self._resolved(part) for name, part in value.items()}
        return {name: part for name, part in parts_by_name.items() if part != _NO_VALUE}

    def _holds(self, condition: Mapping[str, Any]) -> bool:
        ((kind, given),) = condition.items()
        if kind == "Condition":
            return self._holds(self._conditions[given])
        if kind == "Fn::Equals":
            one, other = self._resolved(given)
            return bool(one == other)
        if kind == "Fn::Not":
            return not self._holds(given[0])
        raise ValueError(f"a condition that the template did not have before: {kind}")


@functools.cache
def deployed() -> Stack:
    """With every parameter at its default."""
    return Stack()
