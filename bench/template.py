"""What the template says that costs money: memory, batches, windows, alarms, dashboards."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bench import samples


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as what they hold."""


def _held(loader: yaml.SafeLoader, _tag: str, node: yaml.Node) -> Any:  # noqa: ANN401 - any YAML
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else None


_Loader.add_multi_constructor("!", _held)


@dataclass(frozen=True)
class Deployed:
    """A deployment of the template with the agents that it enables.

    Memories are in MB; `windows`, `batches` and the `events` that it receives by agent; `resources` counts them by
    type, and `alarm_metrics` the metrics that alarms watch, by which they are paid.
    """

    authorizer_memory: int
    ingest_memory: int
    agent_memory: int
    windows: Mapping[str, int]
    batches: Mapping[str, int]
    events: Mapping[str, frozenset[str]]
    resources: Mapping[str, int]
    alarm_metrics: int


@cache
def deployed(tree: Path = samples.ROOT) -> Deployed:
    """What the template in a tree deploys, this one unless another is given."""
    template = yaml.load((tree / "template.yaml").read_text(), _Loader)  # noqa: S506 - a safe loader
    enabled = template["Parameters"]["EnabledAgents"]["Default"].split(",")
    agents = {name: template["Mappings"]["Agents"][name] for name in enabled}
    resources = list(_deployed(template["Resources"], len(agents)))
    alarms = [one["Properties"] for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]
    loop = next(one for name, one in template["Resources"].items() if name.startswith("Fn::ForEach"))
    usual = template["Globals"]["Function"]
    defaults = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}

    def memory(function: Mapping[str, Any]) -> int:
        size = (usual | function["Properties"])["MemorySize"]
        return int(defaults.get(size, size))

    return Deployed(
        authorizer_memory=memory(template["Resources"]["AuthorizerFunction"]),
        ingest_memory=memory(template["Resources"]["IngestFunction"]),
        agent_memory=memory(loop[2]["${Agent}Function"]),
        windows={agent["Name"]: int(agent.get("Window", 0)) for agent in agents.values()},
        batches={agent["Name"]: int(agent["Batch"]) for agent in agents.values()},
        events={agent["Name"]: frozenset(agent["Events"]) for agent in agents.values()},
        resources=Counter(one["Type"] for one in resources),
        alarm_metrics=sum(sum("MetricStat" in one for one in alarm.get("Metrics", ())) or 1 for alarm in alarms),
    )


def _deployed(resources: Mapping[str, Any], agents: int) -> Iterator[Mapping[str, Any]]:
    for name, resource in resources.items():
        if name.startswith("Fn::ForEach"):
            for _ in range(agents):
                yield from _deployed(resource[2], agents)
        elif "Condition" not in resource:
            yield resource
