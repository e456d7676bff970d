"""Which release each function runs: the version that its alias points to, compared with what was deployed last."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from ops.findings import Finding, check_that
from ops.stage import Stage, client

ALIAS = "live"
COMPARED = (
    *("CodeSha256", "Runtime", "Architectures", "Handler", "MemorySize", "Timeout", "Role"),
    *("Layers", "Environment", "TracingConfig", "LoggingConfig"),
)
"""The parts of a function's configuration that a deployment sets."""

Configuration = Mapping[str, Any]


@dataclass(frozen=True)
class Release:
    """What a function's alias runs.

    `digest` is the release's name, "" where it was deployed without one; `shifting` the share of the calls that a newer
    version already has, by version; `stale` the parts of the configuration that were deployed and do not run.
    """

    function: str
    version: str
    digest: str
    published: str
    layer: str
    shifting: Mapping[str, float]
    stale: tuple[str, ...]

    @property
    def name(self) -> str:
        """The release's name: its digest, else its layer's."""
        return self.digest or f"without a digest ({self.layer or 'no layer'})"

    def document(self) -> dict[str, Any]:
        """The release as JSON."""
        known = {"function": self.function, "version": self.version, "release": self.digest or None}
        more = {"published": self.published, "layer": self.layer, "shifting": dict(self.shifting)}
        return {**known, **more, "stale": list(self.stale)}


def of(stage: Stage) -> list[Release]:
    """The release of each function of a stage, by the function's name in the template."""
    functions = {name: one for name, one in sorted(stage.resources.items()) if name.endswith("Function")}
    with ThreadPoolExecutor(max_workers=8) as side_by_side:
        return list(side_by_side.map(_release, functions, functions.values()))


def findings(stage: Stage) -> Iterator[Finding]:
    """Whether each function runs what was deployed last."""
    fix = f"make deploy STAGE={stage.name}"
    for one in of(stage):
        good = f"runs release {one.name}, version {one.version}"
        if not one.version:
            yield Finding(one.function, f"it has no alias {ALIAS}, so nothing calls it", "wrong", fix)
        elif one.shifting:
            shares = ", ".join(f"{share:.0%} of the calls go to version {name}" for name, share in one.shifting.items())
            yield Finding(one.function, f"{good}; {shares}", "note", "wait until the roll-out has ended")
        else:
            wrong = f"{good}, which differs from what was deployed last: {', '.join(one.stale)}"
            yield check_that(not one.stale, one.function, good, wrong, fix)


def sentence(releases: list[Release]) -> str:
    """Which releases run, in one sentence."""
    functions: defaultdict[str, list[str]] = defaultdict(list)
    for one in releases:
        functions[one.name].append(one.function)
    if len(functions) == 1:
        return f"All {len(releases)} functions run release {next(iter(functions))}."
    return " ".join(f"Release {name} runs in {', '.join(names)}." for name, names in functions.items())


def _release(function: str, physical: str) -> Release:
    name = physical.rsplit(":", 1)[-1]
    read = partial(client("lambda").get_function_configuration, FunctionName=name)
    try:
        alias = client("lambda").get_alias(FunctionName=name, Name=ALIAS)
        running, deployed = read(Qualifier=ALIAS), read()
    except ClientError as fault:
        if fault.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return Release(function, "", "", "", "", {}, ())
    return Release(
        function=function,
        version=str(alias["FunctionVersion"]),
        digest=_digest(running),
        published=str(running.get("LastModified", "")),
        layer=", ".join(_layers(running)),
        shifting=alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}),
        stale=stale(running, deployed),
    )


def stale(running: Configuration, deployed: Configuration) -> tuple[str, ...]:
    """The parts in which a version differs from what was deployed last, in their order."""
    return tuple(part for part in COMPARED if _part(running, part) != _part(deployed, part))


def _part(configuration: Configuration, part: str) -> object:
    return _layers(configuration) if part == "Layers" else configuration.get(part)


def _layers(configuration: Configuration) -> list[str]:
    """The function's layers, each as name and version."""
    return [":".join(str(layer["Arn"]).split(":")[-2:]) for layer in configuration.get("Layers", [])]


def _digest(configuration: Configuration) -> str:
    variable = configuration.get("Environment", {}).get("Variables", {}).get("RELEASE", "{}")
    return str(json.loads(variable).get("ReleaseDigest", ""))
