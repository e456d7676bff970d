"""DashX as the sandbox plays it: GraphQL mutations on accounts, visitors and contacts, in the order of arrival."""

import re
import uuid
from collections import deque
from dataclasses import dataclass, field

from local.sandbox import graphql
from local.sandbox.dashx_identity import read_identity_token
from local.sandbox.dashx_request import MUTATIONS, rule_faults, schema_faults, swallowed_faults
from local.sandbox.exchange import (
    KEPT,
    CheckResult,
    Findings,
    Json,
    Request,
    Settings,
    VendorResponse,
    not_found,
    transport_faults,
)

PATH = "/graphql"
PROFILE = ("email", "phone", "name", "firstName", "lastName")
PUSH_KINDS = {"ANDROID", "IOS", "WEB"}


_OPERATION = re.compile(r"{\s*(\w+)")


@dataclass
class Contact:
    """One address and the accounts that are subscribed to it, the last one last."""

    kind: str
    subscribers: list[str] = field(default_factory=list)


class DashX:
    """Keeps accounts, visitors and contacts; nothing protects it from a subscribe that comes too late."""

    name = "dashx"
    title = "DashX"

    def __init__(self, settings: Settings) -> None:
        """Begin with no accounts."""
        self.settings = settings
        self._accounts: dict[str, dict[str, Json]] = {}
        self._visitors: dict[str, list[str]] = {}
        self._contacts: dict[str, Contact] = {}
        self._events: deque[dict[str, Json]] = deque(maxlen=KEPT)

    def check(self, request: Request, now: float) -> CheckResult:
        """Check one mutation."""
        if request.path != PATH or request.method != "POST":
            return not_found(request)
        findings = Findings()
        findings.note(*transport_faults(request))
        if not request.headers.get("user-agent"):
            findings.note("user-agent is missing")
        operation, values = _parse(request, findings)
        self._check_caller(request, values, now, findings)
        if operation is not None and findings.refusal is None:
            for fault in rule_faults(operation.root, values):
                findings.refuse(fault, failure("Validation failed", "UNPROCESSABLE_ENTITY"))
            findings.note(*swallowed_faults(operation.root, values))
            environment = values.get("targetEnvironment", self.settings.get("target_environment"))
            if self.settings and environment != self.settings.get("target_environment"):
                findings.note(f"input.targetEnvironment is {environment!r}, not the configured one")
        return findings.result(lambda: self._run(operation, values))

    def state(self) -> dict[str, Json]:
        """Show accounts, visitors and contacts, and whose pushes each push token gets."""
        owners = {value: self._owners(contact) for value, contact in self._contacts.items()}
        contacts = {
            value: {"kind": contact.kind, "accounts": owners[value]} for value, contact in self._contacts.items()
        }
        devices = {
            value: {
                "customer": owners[value][-1] if owners[value] else None,
                "pushToken": value if owners[value] else None,
                "pushesGoTo": _one_or_all(owners[value]),
            }
            for value, contact in self._contacts.items()
            if contact.kind in PUSH_KINDS
        }
        return {
            "devicesBy": "pushToken",
            "accounts": self._accounts,
            "visitors": self._visitors,
            "contacts": contacts,
            "devices": devices,
            "events": list(self._events),
        }

    def reset(self) -> None:
        """Lose accounts, visitors, contacts and events."""
        self._accounts.clear()
        self._visitors.clear()
        self._contacts.clear()
        self._events.clear()

    def subject(self, request: Request) -> str:
        """Name the request in the vendor's own word."""
        body = request.json()
        operation = _OPERATION.search(body["query"])
        names = [operation[1] if operation else "", body["variables"]["input"].get("event")]
        return ": ".join(str(name) for name in names if name)

    def _check_caller(self, request: Request, values: dict[str, Json], now: float, findings: Findings) -> None:
        headers = request.headers
        token = headers.get("x-identity-token")
        for name in ("x-public-key", "x-target-environment"):
            if not headers.get(name):
                findings.refuse(f"{name} is missing", failure("Permission denied", "FORBIDDEN"))
        if not token and not headers.get("x-private-key"):
            # A browser's SDK has neither; what it may do then, DashX alone can tell.
            findings.note("x-private-key is missing, as in a client's calls")
        if not self.settings:
            return
        if headers.get("x-public-key", "") != self.settings.get("public_key"):
            findings.refuse("x-public-key is wrong", failure("Incorrect Public Key.", "UNAUTHORIZED"))
        if headers.get("x-private-key") and headers["x-private-key"] != self.settings.get("private_key"):
            findings.refuse("x-private-key is wrong", failure("Your API Key Pair has expired.", "UNAUTHORIZED"))
        if headers.get("x-target-environment") != self.settings.get("target_environment"):
            findings.refuse("x-target-environment is wrong", failure("Permission denied", "FORBIDDEN"))
        if token is not None:
            self._check_identity(token, values, now, findings)

    def _check_identity(self, token: str, values: dict[str, Json], now: float, findings: Findings) -> None:
        claims, fault = read_identity_token(token, str(self.settings.get("private_key", "")), now)
        if fault:
            reason = {"reason": "IDENTITY_TOKEN_EXPIRED"} if fault == "Expired." else {}
            message = f"Incorrect Identity Token: {fault}"
            findings.refuse(f"x-identity-token: {fault}", failure(message, "UNAUTHORIZED", **reason))
        elif (values.get("uid") or values.get("accountUid") or claims["uid"]) != claims["uid"]:
            findings.refuse("x-identity-token is another account's", failure("Permission denied", "FORBIDDEN"))

    def _run(self, operation: graphql.Operation | None, values: dict[str, Json]) -> VendorResponse:
        name = operation.root if operation else ""
        work = {
            "identifyAccount": self._identify,
            "trackEvent": self._track,
            "subscribeContact": self._subscribe,
            "unsubscribeContact": self._unsubscribe,
            "saveStoredPreferences": self._save_preferences,
            "saveContacts": self._save_contacts,
        }[name]
        found = work(values) | {"__typename": MUTATIONS[name][1]}
        asked = operation.selection if operation else {}
        return VendorResponse.json(200, {"data": {name: {key: found[key] for key in asked}}})

    def _identify(self, values: dict[str, Json]) -> dict[str, Json]:
        uid, visitor = values.get("uid"), (values.get("anonymousUid") or "").lower()
        account = self._account(uid, visitor)
        account["profile"] |= {key: values[key] for key in PROFILE if values.get(key) is not None}
        if uid and visitor:
            joined = self._visitors.setdefault(visitor, [])
            joined.extend([uid] if uid not in joined else [])
            if visitor not in account["anonymousUids"]:
                account["anonymousUids"].append(visitor)
        return {"id": account["id"]}

    def _track(self, values: dict[str, Json]) -> dict[str, Json]:
        visitor = (values.get("accountAnonymousUid") or "").lower()
        self._account(values.get("accountUid"), visitor)
        data = values.get("data")
        self._events.append(
            {
                "event": values["event"],
                "accountUid": values.get("accountUid"),
                "accountAnonymousUid": values.get("accountAnonymousUid"),
                "timestamp": values.get("timestamp"),
                "eventId": data.get("event_id") if isinstance(data, dict) else None,
            }
        )
        return {"success": True}

    def _subscribe(self, values: dict[str, Json]) -> dict[str, Json]:
        uid, visitor = values.get("accountUid"), (values.get("accountAnonymousUid") or "").lower()
        self._account(uid, visitor)
        self._add(values["value"], values["kind"], uid or f"anonymous:{visitor}")
        return {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, values["value"])), "value": values["value"]}

    def _add(self, value: str, kind: str, subscriber: str) -> None:
        contact = self._contacts.setdefault(value, Contact(kind))
        contact.kind = kind
        if subscriber in contact.subscribers:
            contact.subscribers.remove(subscriber)
        contact.subscribers.append(subscriber)

    def _unsubscribe(self, values: dict[str, Json]) -> dict[str, Json]:
        uid, visitor = values.get("accountUid"), (values.get("accountAnonymousUid") or "").lower()
        contact = self._contacts.get(values["value"], Contact(""))
        named = {uid, f"anonymous:{visitor}"}
        gone = [
            one
            for one in contact.subscribers
            if one in named or uid in self._visitors.get(one.removeprefix("anonymous:"), ())
        ]
        contact.subscribers = [one for one in contact.subscribers if one not in gone]
        return {"success": bool(gone)}

    def _save_preferences(self, values: dict[str, Json]) -> dict[str, Json]:
        self._account(values["accountUid"], "")["preferences"] = values["preferenceData"]
        return {"success": True}

    def _save_contacts(self, values: dict[str, Json]) -> dict[str, Json]:
        self._account(values["uid"], "")
        given = values.get("contacts") or []
        for one in given if isinstance(given, list) else [given]:
            if one.get("shouldDestroy") or one.get("status", "SUBSCRIBED") != "SUBSCRIBED":
                self._unsubscribe({"value": one["value"], "accountUid": values["uid"]})
            else:
                self._add(one["value"], one["kind"], values["uid"])
        return {"contacts": [{"id": str(uuid.uuid4())} for _ in given]}

    def _account(self, uid: str | None, visitor: str) -> dict[str, Json]:
        key = uid or f"anonymous:{visitor}"
        return self._accounts.setdefault(
            key,
            {
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, key)),
                "anonymousUids": [visitor] if visitor and not uid else [],
                "profile": {},
            },
        )

    def _owners(self, contact: Contact) -> list[str]:
        """Name who gets what is sent to a contact: a visitor who was joined to users counts as those users."""
        owners: list[str] = []
        for one in contact.subscribers:
            joined = self._visitors.get(one.removeprefix("anonymous:"), []) if one.startswith("anonymous:") else []
            owners.extend(owner for owner in joined or [one] if owner not in owners)
        return owners


def failure(message: str, code: str = "", **extensions: str) -> VendorResponse:
    """A failure as DashX responds: HTTP 200, no data, one error."""
    error: dict[str, Json] = {"message": message}
    if code:
        error["extensions"] = {"code": code, **extensions}
    return VendorResponse.json(200, {"data": None, "errors": [error]})


def _parse(request: Request, findings: Findings) -> tuple[graphql.Operation | None, dict[str, Json]]:
    try:
        body = request.json()
        unknown = sorted(set(body) - {"query", "variables", "operationName"}) if isinstance(body, dict) else ["body"]
        findings.note(*(f"{name} is not part of a GraphQL request" for name in unknown))
        operation = graphql.parse(str(body["query"]))
        variables = body.get("variables") or {}
        values = variables.get(operation.variable)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        fault = str(error) if isinstance(error, ValueError) else "Must provide query string."
        findings.refuse(f"query: {fault}", failure(fault))
        return None, {}
    for fault in schema_faults(operation, values):
        findings.refuse(fault, failure(fault))
    return operation, values if isinstance(values, dict) else {}


def _one_or_all(owners: list[str]) -> Json:
    return owners if len(owners) > 1 else next(iter(owners), None)
