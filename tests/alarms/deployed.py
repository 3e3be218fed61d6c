"""The alarms as they are deployed: the template's own resources, with what they refer to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from samtranslator.yaml_helper import yaml_parse
from tests.alarms.evaluation import Alarm, alarm_of
from tests.benchmark.template import Stack

from prisjakt_relay.local import project

TEMPLATE: Mapping[str, Any] = yaml_parse((project.root() / "template.yaml").read_text("utf-8"))
# With what may be switched on, as the local system has it.
WITH_ALL_ALARMS: Mapping[str, str] = {"ReconcilerAlarms": "on"}


class Resolver:
    """Fills in what a resource refers to: `names` are those that the resources have in AWS."""

    def __init__(self, names: Mapping[str, str], parameters: Mapping[str, object]) -> None:
        self._names = names
        self._parameters = parameters

    def of(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.of(part) for part in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((kind, given),) = value.items()
            if kind == "Ref":
                return self._named(given)
            if kind == "Fn::GetAtt":
                return self._named(".".join(given))
            if kind == "Fn::Sub":
                text, variables = given if isinstance(given, list) else (given, {})
                return re.sub(
                    r"\$\{([^}]+)\}",
                    lambda found: str(
                        self.of(variables[found[1]])
                        if found[1] in variables
                        else self._named(found[1])
                    ),
                    text,
                )
            if kind == "Fn::FindInMap":
                name, first, second = (self.of(part) for part in given)
                return TEMPLATE["Mappings"][name][str(first)][second]
        return {name: self.of(part) for name, part in value.items()}

    def _named(self, what: str) -> Any:
        if what in self._parameters:
            return self._parameters[what]
        resource, _, attribute = what.partition(".")
        name = self._names[resource]
        if attribute == "QueueName":
            return name.rpartition("/")[2]
        if attribute == "Arn" and resource in TEMPLATE["Resources"]:
            return f"arn:{resource}"
        if attribute:
            raise ValueError(f"an attribute that no alarm referred to before: {what}")
        return name


def alarms(stack: Stack, resolver: Resolver) -> list[Alarm]:
    """Those of a stack with its parameters."""
    return [
        alarm_of(name, resolver.of(resource["Properties"]))
        for name, resource in stack.resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    ]


class OwnNames(dict[str, str]):
    """Each resource is called as in the template, where there is no AWS to ask."""

    def __missing__(self, name: str) -> str:
        return name


def not_deployed(parameters: Mapping[str, object], **pseudo: str) -> tuple[Stack, Resolver]:
    """A stack of the template alone, and what resolves its references."""
    stack = Stack(parameters)
    names = OwnNames({"AWS::StackName": "relay", "AWS::Region": "eu-north-1", **pseudo})
    return stack, Resolver(names, stack.parameters)
