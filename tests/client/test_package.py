"""The client's package: its size, its language, its types, and what its lock says."""

import gzip
import json

from tests.client.node import PACKAGE, tool
from tests.client.service import CLIENT

MOST_BYTES = 6000


def test_the_client_has_at_most_six_kilobytes_once_minified_and_compressed() -> None:
    small = tool("terser", "session-relay.js", "--module", "--ecma", "2018", "--compress", "--mangle")
    assert len(gzip.compress(small.encode(), 9)) <= MOST_BYTES


def test_the_client_is_ecmascript_2018_so_that_hermes_runs_it() -> None:
    tool("acorn", "--ecma2018", "--module", "--silent", "session-relay.js")


def test_the_types_take_what_apps_write_and_refuse_what_they_must_not() -> None:
    tool("tsc", "--project", "types")


def test_the_types_name_every_method_of_the_client() -> None:
    source, types = CLIENT.read_text(), CLIENT.with_suffix(".d.ts").read_text()
    returned = source[source.rindex("  return {\n") :]
    methods = {
        line.strip().split(":")[0].rstrip(",")
        for line in returned.splitlines()
        if line.startswith("    ") and line[4] != " "
    }
    declared = types[types.index("interface SessionRelay") :]
    for method in methods - {"}", "})"}:
        assert f"  {method}(" in declared, method


def test_the_client_has_no_dependencies_and_its_lock_names_no_registry() -> None:
    package = json.loads((PACKAGE / "package.json").read_text())
    assert "dependencies" not in package
    lock = json.loads((PACKAGE / "package-lock.json").read_text())
    assert not any("resolved" in entry for entry in lock["packages"].values())
    assert all("integrity" in entry for name, entry in lock["packages"].items() if name)
    assert all(version[0].isdigit() for version in package["devDependencies"].values())


def test_what_is_published_is_there() -> None:
    package = json.loads((PACKAGE / "package.json").read_text())
    for name in [*package["files"], package["main"], package["types"]]:
        assert (PACKAGE / name).exists()
