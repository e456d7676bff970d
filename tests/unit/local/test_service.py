"""What `make up` leaves behind: an environment for the shell, a call to paste, no temporary files."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from local.cloud import ROOT, Stack, scratch
from local.service import environment_file, welcome

STACK = Stack(
    api_url="http://127.0.0.1:4000/restapis/a1/v1/_user_request_",
    sandbox_url="http://127.0.0.1:4001",
    aws_endpoint="http://127.0.0.1:4000",
    region="us-east-1",
    stack_name="session-relay",
    app_id="demo",
    public_key="pk_demo_public",
    secret_key="sk_demo_secret",
).document()


def _sourced(tmp_path: Path, script: str, **environment: str) -> list[str]:
    """The lines that a shell prints which has read the file as the documents say, and is in another folder."""
    file = tmp_path / "env"
    file.write_text(environment_file(STACK))
    lines = f"set -eu; set -a; . {shlex.quote(str(file))}; set +a; cd /; {script}"
    own = {"PATH": os.environ["PATH"], **environment}
    run = subprocess.run(["sh", "-c", lines], env=own, capture_output=True, text=True, check=True)  # noqa: S603, S607
    return run.stdout.splitlines()


def test_the_environment_names_the_local_cloud_and_keeps_the_callers_own_account_out(tmp_path: Path) -> None:
    names = ("API", "PUBLIC_KEY", "SECRET_KEY", "SANDBOX", "AWS_ENDPOINT_URL", "AWS_REGION", "RELAY_STAGE", "RELAY_KEY")
    script = (
        "; ".join(f"sh -c 'echo \"${name}\"'" for name in names)
        + '; echo "${AWS_PROFILE-none} ${AWS_SESSION_TOKEN-none}"'
    )
    *values, unset = _sourced(tmp_path, script, AWS_PROFILE="work", AWS_SESSION_TOKEN="t", AWS_REGION="eu-west-1")
    expected = ("apiUrl", "publicKey", "secretKey", "sandboxUrl", "awsEndpoint", "region")
    assert values == [*(STACK[name] for name in expected), "local", "sk_demo_secret"]
    assert unset == "none none"


def test_relay_is_found_from_any_folder_and_named_once_in_the_path(tmp_path: Path) -> None:
    found, path = _sourced(tmp_path, f'. {shlex.quote(str(tmp_path / "env"))}; command -v relay; echo "$PATH"')
    assert found == str(ROOT / "ops/relay")
    assert path.split(":").count(str(ROOT / "ops")) == 1


def test_the_first_thing_after_up_is_a_call_that_can_be_pasted() -> None:
    text = welcome(STACK)
    first = text.index("curl -s http://127.0.0.1:4000/restapis/a1/v1/_user_request_/login")
    assert first < text.index(STACK["sandboxUrl"])
    assert "Bearer pk_demo_public" in text
    assert "sk_demo_secret" not in text
    assert "set -a; . .local/env; set +a" in text


def test_what_the_emulator_unpacks_is_deleted_at_the_end_and_what_a_killed_one_left_at_the_start(
    tmp_path: Path,
) -> None:
    left = tmp_path / "tmp/lambda/left"
    left.mkdir(parents=True)
    with scratch(tmp_path) as folder:
        assert list(folder.iterdir()) == []
        (folder / "layer").write_text("x")
    assert not folder.exists()


def test_temporary_files_are_deleted_after_an_error_as_well(tmp_path: Path) -> None:
    def fail() -> None:
        with scratch(tmp_path):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not (tmp_path / "tmp").exists()
