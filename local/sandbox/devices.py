"""The devices that the sandboxed agents know, put together: whose pushes each gets, by agent."""

from collections.abc import Mapping

from local.sandbox.exchange import Json

SHOWN = 50


class Devices:
    """Puts together what agents keep of devices; one that knows push tokens alone is joined by the token.

    The device of a token is the one on which another agent last saw it, also after that agent has lost it.
    """

    def __init__(self) -> None:
        """Begin with no tokens."""
        self._of_token: dict[str, str] = {}

    def display(self, states: Mapping[str, Mapping[str, Json]]) -> list[dict[str, Json]]:
        """Give the newest devices, each with its token and with what each agent keeps: `owners`, `customer`."""
        by_device = {name: state["devices"] for name, state in states.items() if not _is_by_token(state)}
        for devices in by_device.values():
            tokens = {one["pushToken"]: device for device, one in devices.items() if one.get("pushToken")}
            self._of_token.update(tokens)
        found: dict[str, dict[str, Json]] = {}
        for agent, state in states.items():
            for key, one in state["devices"].items():
                by_token = _is_by_token(state)
                device = self._of_token.get(key, "") if by_token else key
                token = key if by_token else one.get("pushToken") or ""
                entry = found.setdefault(device or token, {"device": device, "token": "", "agents": {}})
                entry["token"] = token or entry["token"]
                entry["agents"][agent] = {"owners": _owners(one), "customer": one.get("customer")}
        return list(found.values())[-SHOWN:][::-1]


def _is_by_token(state: Mapping[str, Json]) -> bool:
    """Whether an agent knows push tokens alone, as its state says."""
    return state.get("devicesBy") == "pushToken"


def _owners(one: Mapping[str, Json]) -> list[str]:
    owners = one.get("pushesGoTo")
    return [owner for owner in (owners if isinstance(owners, list) else [owners]) if owner]
