"""Builds and deploys the real template with the real SAM CLI, and stores an app and settings as an owner does."""

import compileall
import hashlib
import json
import os
import py_compile
import re
import secrets
import string
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
import yaml

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".local/build"
BUILT = ROOT / ".local/built.sha256"
"""The digest of the sources that the build was made from."""
SOURCES = [ROOT / name for name in ("functions", "layers", "template.yaml", "samconfig.toml", "locks/sam.txt")]
SAM = ROOT / ".venv/sam/bin/sam"
STACK_NAME = "session-relay"
STAGE = "local"

PARAMETERS = {
    "Stage": STAGE,
    "PythonRuntime": f"python{sys.version_info.major}.{sys.version_info.minor}",
    "Architecture": "x86_64",
    "AllowInsecureAgents": "true",
    # The clock runs faster here: the code is the same.
    "RetrySchedule": "1,2,2,4,8",
    "HoldSeconds": "2",
    "CircuitSeconds": "2",
    "ClaimSeconds": "31",
    "RetryHorizonSeconds": "40",
}

Say = Callable[[str], None]


class ToolFailedError(Exception):
    """A tool ended with an error; the message is what it printed last."""


def is_built() -> bool:
    """Whether the build is that of today's template, functions and layer."""
    return BUILT.is_file() and BUILT.read_text() == digest()


def build(environment: Mapping[str, str], say: Say) -> None:
    """Runs `sam build`, unless the build is that of today's sources."""
    if is_built():
        return
    made_from = digest()
    BUILT.unlink(missing_ok=True)
    # A build holds the code of the agents that it is named: every local cloud chooses its own among all of them.
    every = _overrides({"EnabledAgents": ",".join(mapped_agents())})
    _sam(environment, "build", "--build-dir", str(BUILD), "--cache-dir", str(ROOT / ".local/cache"), *every)
    # The layer's Makefile compiles the layer; the functions' own code is compiled here, for the same Python.
    for folder in BUILD.glob("*Function"):
        compileall.compile_dir(folder, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    BUILT.write_text(made_from)
    say("sam build: done")


def mapped_agents() -> list[str]:
    """Returns the names of all agents in the template's mapping, enabled or not."""
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    mappings = text.partition("\nMappings:\n")[2].partition("\nGlobals:\n")[0]
    return re.findall(r"^    (\w+):\n      Name: ", mappings, re.MULTILINE)


def added_agents() -> dict[str, str]:
    """The template's parameters where LOCAL_AGENTS names agents beside those that the template enables by itself."""
    named = os.environ.get("LOCAL_AGENTS", "").replace(",", " ").split()
    if unknown := ", ".join({*named} - {*mapped_agents()}):
        raise ToolFailedError(f"The template has no agent {unknown}; it has {', '.join(mapped_agents())}.")
    (usual,) = re.findall(
        r"EnabledAgents:\n.*\n    Default: (.+)", (ROOT / "template.yaml").read_text(encoding="utf-8")
    )
    return {"EnabledAgents": ",".join(dict.fromkeys([*usual.split(","), *named]))} if named else {}


def digest() -> str:
    """The SHA-256 of all that a build is made from, in hexadecimal digits."""
    content = hashlib.sha256(json.dumps([PARAMETERS, mapped_agents(), sys.version]).encode())
    for source in SOURCES:
        for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if file.is_file() and "__pycache__" not in file.parts:
                content.update(f"\n{file.relative_to(ROOT)} {file.stat().st_size}\n".encode() + file.read_bytes())
    return content.hexdigest()


def deploy(environment: Mapping[str, str], parameters: Mapping[str, str], say: Say) -> str:
    """Runs `sam deploy` with these parameters beside the local ones; the id of the REST API that it made."""
    template = ["--template-file", str(BUILD / "template.yaml")]
    named = {**parameters, "ReleaseDigest": _release_digest(environment, parameters)}
    _sam(environment, "deploy", *template, "--no-confirm-changeset", "--no-progressbar", *_overrides(named))
    say("sam deploy: done")
    client = boto3.client("cloudformation", **_local(environment["AWS_ENDPOINT_URL"]))
    outputs = client.describe_stacks(StackName=STACK_NAME)["Stacks"][0]["Outputs"]
    return next(output["OutputValue"] for output in outputs if output["OutputKey"] == "ApiId")


def _sam(environment: Mapping[str, str], *arguments: str) -> None:
    run = subprocess.run(
        [str(SAM), *arguments, "--config-file", str(ROOT / "samconfig.toml")],
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if run.returncode:
        tail = "\n".join(run.stdout.splitlines()[-30:])
        raise ToolFailedError(f"sam {arguments[0]} ended with {run.returncode}:\n{tail}")


def _release_digest(environment: Mapping[str, str], parameters: Mapping[str, str]) -> str:
    """The release's name, as `make deploy` makes it."""
    _, *own = _overrides(parameters)
    command = [sys.executable, "-m", "ops.digest", str(BUILD), *own]
    run = subprocess.run(command, cwd=ROOT, env=dict(environment), stdout=subprocess.PIPE, text=True, check=True)
    return run.stdout.strip()


def _overrides(parameters: Mapping[str, str]) -> list[str]:
    return ["--parameter-overrides", *(f"{name}={value}" for name, value in {**PARAMETERS, **parameters}.items())]


def _local(endpoint: str, region: str = "us-east-1") -> Any:  # noqa: ANN401 - keyword arguments of boto3.client
    return {
        "endpoint_url": endpoint,
        "region_name": region,
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }


class Cloud:
    """The AWS side of a local cloud, for what an owner does after deploying."""

    def __init__(self, endpoint: str, region: str) -> None:
        self._local = _local(endpoint, region)

    def client(self, service: str) -> Any:  # noqa: ANN401 - one method for every service
        """A boto3 client of the local cloud."""
        return boto3.client(service, **self._local)  # type: ignore[call-overload]

    def invoke(self, function: str, event: Mapping[str, Any]) -> None:
        """Invokes a function by its ARN, that of an alias included, and waits for its end."""
        self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))

    def apply_gateway_responses(self, api_id: str, parameters: Mapping[str, str]) -> None:
        """Gives the API the template's gateway responses, which MiniStack 1.5.33 does not read from the API's body."""
        pages_may_call = bool(parameters.get("AllowedOrigins"))
        template = yaml.safe_load((BUILD / "template.yaml").read_text())
        api = self.client("apigateway")
        for kind, response in template["Resources"]["Api"]["Properties"]["GatewayResponses"].items():
            headers = {
                name: value["Fn::If"][1] if isinstance(value, dict) else value
                for name, value in response["ResponseParameters"]["Headers"].items()
                if pages_may_call or not isinstance(value, dict)
            }
            api.put_gateway_response(
                restApiId=api_id,
                responseType=kind,
                **({"statusCode": response["StatusCode"]} if "StatusCode" in response else {}),
                responseParameters={f"gatewayresponse.header.{name}": value for name, value in headers.items()},
                responseTemplates=response["ResponseTemplates"],
            )
        api.create_deployment(restApiId=api_id, stageName="v1")

    def make_topic_fifo(self) -> None:
        """Makes the topic the FIFO topic of the template: MiniStack 1.5.33 keeps its name and forgets what it means."""
        topics = self.client("sns")
        for topic in topics.list_topics()["Topics"]:
            topics.set_topic_attributes(TopicArn=topic["TopicArn"], AttributeName="FifoTopic", AttributeValue="true")

    def shorten_visibility(self, seconds: int) -> None:
        """Lets the message of a function that died come back sooner than the template's three minutes."""
        queues = self.client("sqs")
        for url in queues.list_queues()["QueueUrls"]:
            queues.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})

    def limit_concurrency(self, batches: int) -> None:
        """Lets each agent have this many batches under way at once: here every one of them is a process."""
        functions = self.client("lambda")
        for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
            functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": batches})

    def seed(self, app_id: str, agents: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Stores the agents' settings, an app with two new keys and its identity key; returns the keys by kind."""
        keys = {kind: f"{kind[0]}k_{app_id}_{_random()}" for kind in ("public", "secret")}
        stored = [{"kind": kind, "sha256": hashlib.sha256(key.encode()).hexdigest()} for kind, key in keys.items()]
        self._store(f"apps/{app_id}", {"name": "The demo's shop", "identity": "optional", "keys": stored})
        # An app's identity key is its DashX private key: DashX itself checks the tokens that it signs.
        self._store(f"identity/{app_id}", {"keys": [agents["dashx"]["private_key"]]})
        for name, agent in agents.items():
            self._store(f"agents/{name}", agent)
        self.admit(app_id)
        return keys

    def admit(self, app_id: str) -> None:
        """Gives an app its key in the usage plan, by which API Gateway limits its rate; once and for all."""
        api, name = self.client("apigateway"), f"session-relay-{STAGE}-{app_id}"
        if any(key["name"] == name for key in api.get_api_keys(nameQuery=name)["items"]):
            return
        value = hashlib.sha256(f"session-relay/{STAGE}/{app_id}".encode()).hexdigest()
        made = api.create_api_key(name=name, value=value, enabled=True)
        (plan,) = api.get_usage_plans()["items"]
        api.create_usage_plan_key(usagePlanId=plan["id"], keyId=made["id"], keyType="API_KEY")

    def _store(self, name: str, value: object) -> None:
        self.client("ssm").put_parameter(
            Name=f"/session-relay/{STAGE}/{name}", Value=json.dumps(value), Type="SecureString", Overwrite=True
        )

    def table(self) -> str:
        """The name that CloudFormation gave the ledger's table."""
        resource = self.client("cloudformation").describe_stack_resource(
            StackName=STACK_NAME, LogicalResourceId="Receipts"
        )
        name: str = resource["StackResourceDetail"]["PhysicalResourceId"]
        return name

    def log_lines(self, since: float) -> list[dict[str, Any]]:
        """What the functions have logged as JSON since then (epoch seconds)."""
        logs, start = self.client("logs"), int(since * 1000)
        groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        events = [
            event
            for group in groups
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=start)
            for event in page["events"]
        ]
        return [json.loads(event["message"]) for event in events if event["message"].lstrip().startswith("{")]


def _random() -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(32))


def wait_for(found: Callable[[], bool], seconds: float) -> bool:
    """Asks again and again until found or out of time; whether it was found."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found():
            return True
        time.sleep(0.1)
    return False
