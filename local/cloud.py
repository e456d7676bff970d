"""The local cloud: MiniStack with the real template deployed to it, and the sandbox that plays the agents."""

import fcntl
import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import requests

from local import deploy, settings
from local.processes import Child, free_port

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".local"
REGION = "us-east-1"
START_SECONDS = 60.0
STARTED_AT_ONCE = 4
REFUSING = "refusing"
"""In a local cloud's folder: the file that names the services which refuse every call."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Stack:
    """The addresses of a running local cloud and the keys of its app; `stack.json` holds them in camelCase."""

    api_url: str
    sandbox_url: str
    aws_endpoint: str
    region: str
    stack_name: str
    app_id: str
    public_key: str
    secret_key: str

    def document(self) -> dict[str, str]:
        """Returns the stack as JSON has it."""
        camel = {name.replace("_", " ").title().replace(" ", ""): value for name, value in asdict(self).items()}
        return {name[0].lower() + name[1:]: value for name, value in camel.items()}

    def write(self, path: Path) -> None:
        """Writes the stack as JSON, readable by its owner alone."""
        path.write_text(json.dumps(self.document(), indent=2) + "\n")
        path.chmod(0o600)


@contextmanager
def running(name: str, say: Say, parameters: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """Runs a local cloud for as long as the block lasts, with these parameters of the template.

    Its logs stay in `.local/<name>/`; what the emulator unpacks is deleted at the end.
    """
    home = HOME / name
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as children:
        # Entered first, so left last: no process writes there any more.
        children.enter_context(scratch(home))
        enabled = (parameters or {}).get("EnabledAgents", "").split(",")
        sandbox_url = _start_sandbox(children, home, enabled)
        endpoint = _start_ministack(children, home)
        say("MiniStack and the sandbox are up")
        tools = environment(endpoint, home)
        # The console's phone is a page that calls the API itself.
        chosen = {"AllowedOrigins": sandbox_url, **(parameters or {})}
        with _built(tools, say):
            api_id = deploy.deploy(tools, chosen, say)
        cloud = deploy.Cloud(endpoint, REGION)
        cloud.apply_gateway_responses(api_id, chosen)
        cloud.make_topic_fifo()
        cloud.limit_concurrency(2)
        cloud.shorten_visibility(32)
        keys = cloud.seed(settings.APP_ID, settings.enabled_agents(sandbox_url, enabled))
        stack = Stack(
            api_url=f"{endpoint}/restapis/{api_id}/v1/_user_request_",
            sandbox_url=sandbox_url,
            aws_endpoint=endpoint,
            region=REGION,
            stack_name=deploy.STACK_NAME,
            app_id=settings.APP_ID,
            public_key=keys["public"],
            secret_key=keys["secret"],
        )
        _connect_console(stack, cloud.table())
        yield stack


def warm(stack: Stack) -> None:
    """Starts the functions of a local cloud, so that the first event need not wait for them; leaves no trace.

    Agents get an empty batch, the API a login that it refuses and a request for unknown receipts.
    """
    cloud = deploy.Cloud(stack.aws_endpoint, stack.region)
    headers = {"authorization": f"Bearer {stack.secret_key}"}
    call = partial(requests.request, headers=headers, timeout=START_SECONDS)
    with ThreadPoolExecutor(STARTED_AT_ONCE) as pool:
        pool.submit(call, "POST", f"{stack.api_url}/login", json={})
        pool.submit(call, "GET", f"{stack.api_url}/events/none")
        for mapping in cloud.client("lambda").list_event_source_mappings()["EventSourceMappings"]:
            pool.submit(cloud.invoke, mapping["FunctionArn"], {"Records": []})


@contextmanager
def scratch(home: Path) -> Iterator[Path]:
    """Makes an empty folder for the emulator's temporary files, and deletes it at the end.

    A run that was killed leaves its files; the next one deletes them.
    """
    folder = home / "tmp"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _connect_console(stack: Stack, table: str) -> None:
    """Lets the sandbox's page send events to the API and read their receipts."""
    document = {**stack.document(), "table": table}
    requests.put(f"{stack.sandbox_url}/_console", json=document, timeout=START_SECONDS).raise_for_status()


def environment(endpoint: str, home: Path) -> dict[str, str]:
    """Returns the environment of the tools: without the caller's AWS account, telemetry and searches for updates."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_", "PYTHON"))}
    sam_home = home / "sam"
    sam_home.mkdir(exist_ok=True)
    (sam_home / "metadata.json").write_text(json.dumps({"telemetryEnabled": False, "lastVersionCheck": time.time()}))
    return {
        **own,
        "PATH": f"{ROOT / '.venv/dev/bin'}:{own.get('PATH', '')}",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(sam_home),
        "LAYER_MACHINE": "host",
    }


def _start_sandbox(children: ExitStack, home: Path, enabled: Collection[str]) -> str:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    credentials = home / "agents.json"
    credentials.write_text(json.dumps(settings.enabled_agents(url, enabled), indent=2))
    command = [sys.executable, "-m", "local.sandbox", "--port", str(port), "--settings", str(credentials)]
    child = Child.start("the sandbox", command, home / "sandbox.log", {**os.environ, "PYTHONPATH": str(ROOT)})
    children.callback(child.end)
    child.wait_until(lambda: _answers(f"{url}/_health"), START_SECONDS)
    return url


def _start_ministack(children: ExitStack, home: Path) -> str:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    own = {**environment(url, home), "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "TMPDIR": str(home / "tmp")}
    own["EMULATOR_REFUSING"] = str(home / REFUSING)
    (home / REFUSING).unlink(missing_ok=True)
    command = [str(ROOT / ".venv/cloud/bin/python"), str(ROOT / "local/emulator")]
    child = Child.start("MiniStack", command, home / "ministack.log", own)
    children.callback(child.end)
    child.wait_until(lambda: _answers(f"{url}/_ministack/health"), START_SECONDS)
    return url


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own http address
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@contextmanager
def _built(tools: Mapping[str, str], say: Say) -> Iterator[None]:
    """The build of today's sources, which no process changes while the block lasts; several may read it at once."""
    with (HOME / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        if deploy.is_built():
            say("sam build: nothing has changed")
        while not deploy.is_built():
            fcntl.flock(lock, fcntl.LOCK_EX)
            deploy.build(tools, say)
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@contextmanager
def only_one_at_a_time() -> Iterator[None]:
    """Keeps two local clouds from building into the same folder at the same time."""
    with (HOME / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
