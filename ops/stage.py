"""One deployment as an operator sees it: its stack, its agents' resources, its parameters in SSM."""

import json
import shlex
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from ops.errors import CommandError

_CONFIG = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 3})
_STANDARD_LENGTH = 4096
"""What a standard parameter takes; an account whose default tier is another takes more (SSM user guide, tiers)."""
_LONGER = f"A standard parameter has up to {_STANDARD_LENGTH}; the account's default tier may be Intelligent-Tiering."
_STACKS = ("session-relay-{stage}", "session-relay")


_clients: dict[str, Any] = {}
_making = Lock()


def adopt_region(environment: MutableMapping[str, str]) -> None:
    """Makes `AWS_REGION` count: AWS' own tools prefer it, botocore 1.44 reads `AWS_DEFAULT_REGION` alone."""
    if region := environment.get("AWS_REGION"):
        environment["AWS_DEFAULT_REGION"] = region


def client(service: str) -> Any:  # noqa: ANN401 - one function for every service
    """Returns the client of an AWS service, by the usual credentials, region and endpoints; for any thread."""
    with _making:
        if service not in _clients:
            _clients[service] = boto3.client(service, config=_CONFIG)  # type: ignore[call-overload]
        return _clients[service]


@dataclass(frozen=True)
class AgentStack:
    """The resources that are deployed for one agent; `prefix` is its name in the template, `code` its folder's name."""

    name: str
    prefix: str
    events: tuple[str, ...]
    resources: Mapping[str, str]
    code: str = ""

    def resource(self, kind: str) -> str:
        """Returns the physical id of one of the agent's resources, as in `resource("DeadLetterQueue")`."""
        return self.resources[self.prefix + kind]


class Stage:
    """A deployment by its stage; each call to AWS is made once."""

    def __init__(self, name: str, stack_name: str | None = None) -> None:
        self.name, self._stack_name = name, stack_name

    @cached_property
    def stack(self) -> dict[str, Any]:
        """The stack's description.

        Raises:
            CommandError: no stack of this stage is deployed here.
        """
        names = [self._stack_name] if self._stack_name else [name.format(stage=self.name) for name in _STACKS]
        for name in names:
            try:
                found: dict[str, Any] = client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
            except ClientError as fault:
                if fault.response["Error"]["Code"] != "ValidationError":
                    raise
                continue
            parameters = _pairs(found.get("Parameters", []), "Parameter")
            if self._stack_name or parameters.get("Stage", self.name) == self.name:
                return found
        raise CommandError(
            f"{self.region} has no stack {' or '.join(names)} of stage {self.name}: "
            "name another with --stage, --stack or AWS_REGION, or deploy it.",
            self.deploy,
        )

    @property
    def region(self) -> str:
        """The region that the commands act in."""
        return str(client("cloudformation").meta.region_name)

    @property
    def is_emulated(self) -> bool:
        """Whether AWS is played by an emulator."""
        return "amazonaws.com" not in str(client("cloudformation").meta.endpoint_url)

    def relay(self, *words: str) -> str:
        """Builds a command line that can be pasted: `relay` with these words, and with this stage and stack."""
        stack = ["--stack", self._stack_name] if self._stack_name else []
        return shlex.join(["relay", *words, "--stage", self.name, *stack])

    def aws(self, *words: str) -> str:
        """Builds a command line that can be pasted: `aws` with these words, in this region."""
        return shlex.join(["aws", *words, "--region", self.region])

    @property
    def deploy(self) -> str:
        """The command line that deploys the stage again."""
        return "make down up" if self.is_emulated else shlex.join(["make", "deploy", f"STAGE={self.name}"])

    @property
    def stack_name(self) -> str:
        """The stack's name."""
        return str(self.stack["StackName"])

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs."""
        return _pairs(self.stack.get("Outputs", []), "Output")

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters that the stack was deployed with."""
        return _pairs(self.stack.get("Parameters", []), "Parameter")

    @cached_property
    def resources(self) -> dict[str, str]:
        """Physical ids by logical ids."""
        pages = client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack_name)
        return {
            resource["LogicalResourceId"]: resource.get("PhysicalResourceId", "")
            for page in pages
            for resource in page["StackResourceSummaries"]
        }

    @cached_property
    def agents(self) -> dict[str, AgentStack]:
        """The deployed agents by name, as the stack's registry lists them."""
        logical = {physical: name for name, physical in self.resources.items()}
        found = {}
        for path, text in self.under("catalogue"):
            name = path.rsplit("/", 1)[1]
            prefix = logical.get(path, "").removesuffix("CatalogueEntry")
            entry = json.loads(text)
            code = str(entry.get("code") or name)
            found[name] = AgentStack(name, prefix, tuple(entry["events"].split(",")), self.resources, code)
        return dict(sorted(found.items()))

    def agent(self, name: str) -> AgentStack:
        """Returns one deployed agent.

        Raises:
            CommandError: no agent of that name is deployed.
        """
        if name not in self.agents:
            raise CommandError(
                f"No agent {name} is deployed at {self.name}; there are {', '.join(self.agents) or 'none'}."
            )
        return self.agents[name]

    def chosen(self, name: str | None) -> list[AgentStack]:
        """Returns the agent of this name, or all."""
        return [self.agent(name)] if name else list(self.agents.values())

    @property
    def insecure(self) -> bool:
        """Whether agents may have http URLs and private addresses."""
        return self.parameters.get("AllowInsecureAgents") == "true"

    @property
    def api(self) -> str:
        """The API's URL; at an emulator, which serves none of AWS' host names, its own path."""
        if not self.is_emulated:
            return self.outputs["ApiUrl"]
        endpoint = str(client("apigateway").meta.endpoint_url)
        return f"{endpoint}/restapis/{self.outputs['ApiId']}/v1/_user_request_"

    def path(self, *steps: str) -> str:
        """Builds the name of an SSM parameter of this stage."""
        return "/".join(("", "session-relay", self.name, *steps))

    def read(self, *steps: str) -> str | None:
        """Reads a parameter's text in clear; None if there is none."""
        try:
            found = client("ssm").get_parameter(Name=self.path(*steps), WithDecryption=True)
        except ClientError as fault:
            if fault.response["Error"]["Code"] == "ParameterNotFound":
                return None
            raise
        return str(found["Parameter"]["Value"])

    def under(self, *steps: str) -> Iterator[tuple[str, str]]:
        """Yields name and text in clear of each parameter under a path."""
        pages = client("ssm").get_paginator("get_parameters_by_path")
        for page in pages.paginate(Path=self.path(*steps), WithDecryption=True):
            for found in page["Parameters"]:
                yield found["Name"], found["Value"]

    def store(self, document: object, *steps: str, overwrite: bool = True) -> str:
        """Stores a document as a SecureString under the account's default key, and returns the parameter's name.

        Raises:
            CommandError: the parameter exists and must not be overwritten, or the document is too long for SSM.
        """
        name, text = self.path(*steps), json.dumps(document, ensure_ascii=False)
        try:
            client("ssm").put_parameter(Name=name, Value=text, Type="SecureString", Overwrite=overwrite)
        except ClientError as fault:
            code = fault.response["Error"]["Code"]
            if code == "ParameterAlreadyExists":
                raise CommandError(f"{name} exists already: choose another name.") from None
            if code == "ValidationException" and len(text) > _STANDARD_LENGTH:
                raise CommandError(f"{name} would have {len(text)} characters: SSM refuses it. {_LONGER}") from None
            raise
        return name


def _pairs(rows: list[dict[str, str]], kind: str) -> dict[str, str]:
    return {row[f"{kind}Key"]: row.get(f"{kind}Value", "") for row in rows}
