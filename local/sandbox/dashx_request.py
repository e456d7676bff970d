"""A request to DashX: its published schema, and the rules that the schema does not say."""

import re
from collections.abc import Iterator
from datetime import datetime

from local.sandbox import graphql
from local.sandbox.exchange import Json
from local.sandbox.formats import E164, ISO_UTC, UUID, ip_address, is_email

TEXT = "String"


def _fields(names: str, kind: str = TEXT) -> dict[str, str]:
    return dict.fromkeys(names.split(), kind)


INPUTS: dict[str, dict[str, str]] = {
    "IdentifyAccountInput": _fields("uid anonymousUid email phone name firstName lastName targetEnvironment")
    | {"systemContext": "SystemContextInput"},
    "TrackEventInput": _fields("accountUid accountAnonymousUid")
    | {"event": "String!", "data": "JSON", "timestamp": "Timestamp", "systemContext": "SystemContextInput"},
    "SubscribeContactInput": _fields(
        "accountUid accountAnonymousUid name tag userAgent osName osVersion deviceModel deviceManufacturer deviceUid "
        "deviceAdvertisingUid targetEnvironment"
    )
    | {
        "kind": "ContactKind!",
        "value": "String!",
        "isDeviceAdTrackingEnabled": "Boolean",
        "metadata": "JSON",
    },
    "UnsubscribeContactInput": _fields("accountUid accountAnonymousUid targetEnvironment") | {"value": "String!"},
    "SaveStoredPreferencesInput": {"accountUid": "String!", "preferenceData": "JSON!"},
    "SaveContactsInput": {"uid": "String!", "contacts": "[ContactInput!]"},
    "ContactInput": {
        "kind": "ContactKind!",
        "value": "String!",
        "tag": TEXT,
        "status": "ContactStatus",
        "shouldDestroy": "Boolean",
    },
    "SystemContextInput": _fields("ipV4 locale timeZone userAgent", "String!")
    | _fields("campaign location", "JSON")
    | {
        "ipV6": TEXT,
        "app": "SystemContextAppInput",
        "device": "SystemContextDeviceInput",
        "os": "SystemContextNamedInput",
        "library": "SystemContextNamedInput",
        "network": "SystemContextNetworkInput",
        "screen": "SystemContextScreenInput",
    },
    "SystemContextAppInput": _fields("name version build namespace"),
    "SystemContextDeviceInput": _fields("id advertisingId manufacturer model name kind")
    | {"adTrackingEnabled": "Boolean"},
    "SystemContextNamedInput": _fields("name version"),
    "SystemContextNetworkInput": _fields("bluetooth cellular wifi", "Boolean") | {"carrier": TEXT},
    "SystemContextScreenInput": _fields("width height density", "Int"),
}
ENUMS = {
    "ContactKind": {"ANDROID", "EMAIL", "IOS", "PHONE", "WEB", "WHATSAPP"},
    "ContactStatus": {"BLACKLISTED", "NOT_SUBSCRIBED", "REVOKED", "SUBSCRIBED", "UNSUBSCRIBED"},
}
OUTPUTS: dict[str, dict[str, str]] = {
    "Account": {"id": "UUID"},
    "TrackEventResponse": {"success": "Boolean"},
    "Contact": {"id": "UUID", "value": TEXT},
    # Until about April 2026 it was a Contact: old selections of id and value fail validation now.
    "UnsubscribeContactResponse": {"success": "Boolean"},
    "SaveStoredPreferencesResponse": {"success": "Boolean"},
    "SaveContactsResponse": {"contacts": "ContactReference"},
    "ContactReference": {"id": "UUID"},
}
SCHEMA = graphql.Schema(INPUTS, OUTPUTS, ENUMS)
MUTATIONS = {
    "identifyAccount": ("IdentifyAccountInput", "Account"),
    "trackEvent": ("TrackEventInput", "TrackEventResponse"),
    "subscribeContact": ("SubscribeContactInput", "Contact"),
    "unsubscribeContact": ("UnsubscribeContactInput", "UnsubscribeContactResponse"),
    "saveStoredPreferences": ("SaveStoredPreferencesInput", "SaveStoredPreferencesResponse"),
    "saveContacts": ("SaveContactsInput", "SaveContactsResponse"),
}


def schema_faults(operation: graphql.Operation, values: Json) -> Iterator[str]:
    """Yield what GraphQL's validation finds in an operation and its variable, in its own words."""
    known = MUTATIONS.get(operation.root)
    if known is None:
        yield f'Cannot query field "{operation.root}" on type "Mutation".'
        return
    input_type, output_type = known
    declared = operation.declared.get(operation.variable)
    if operation.argument != "input":
        yield f'Unknown argument "{operation.argument}" on field "Mutation.{operation.root}".'
    if declared is None:
        yield f'Variable "${operation.variable}" is not defined.'
    elif declared != f"{input_type}!":
        yield f'Variable "${operation.variable}" of type "{declared}" used in position expecting type "{input_type}!".'
    for name in operation.declared:
        if name != operation.variable:
            yield f'Variable "${name}" is never used.'
    if not operation.selection:
        yield f'Field "{operation.root}" of type "{output_type}" must have a selection of subfields.'
    yield from SCHEMA.selection_faults(operation.selection, output_type)
    yield from SCHEMA.input_faults(values, f"{input_type}!", operation.variable)


def rule_faults(mutation: str, values: dict[str, Json]) -> Iterator[str]:
    """Yield what the server refuses though the schema admits it."""
    for name in ("anonymousUid", "accountAnonymousUid"):
        if values.get(name) and not re.fullmatch(UUID, values[name]):
            yield f"input.{name} is not a UUID"
    if mutation == "identifyAccount" and not (values.get("uid") or values.get("anonymousUid")):
        yield "input: identifyAccount needs uid or anonymousUid"
    if mutation == "trackEvent":
        if not values["event"].strip():
            yield "input.event is blank"
        if values.get("timestamp") is not None and not _is_utc(values["timestamp"]):
            yield "input.timestamp is not ISO 8601 in UTC"
    if "value" in values and not values["value"].strip():
        yield "input.value is blank"


def swallowed_faults(mutation: str, values: dict[str, Json]) -> Iterator[str]:
    """Yield what the server takes without a word and should never have been sent."""
    if mutation == "trackEvent" and values.get("timestamp") is None:
        # The schema lets it be null and DashX' back-end SDKs send none; a comment in the iOS SDK says it is refused.
        yield "input.timestamp is missing: the event is stamped on arrival, or refused"
    who = {"accountUid", "accountAnonymousUid"}
    if mutation in {"trackEvent", "subscribeContact", "unsubscribeContact"} and not any(values.get(k) for k in who):
        yield f"input: {mutation} names nobody"
    for name, value in values.items():
        if value == "" or (name in {"uid", "accountUid"} and value in {"null", "undefined"}):
            yield f"input.{name} is {value!r}: leave it out"
    if values.get("email") and not is_email(values["email"]):
        yield "input.email is not an e-mail address"
    if values.get("phone") and not re.fullmatch(E164, values["phone"]):
        yield "input.phone is not an E.164 number"
    context = values.get("systemContext")
    if context is not None and ip_address(context["ipV4"]):
        # The server fills in the caller's address for "NA": that would be our own.
        yield "input.systemContext.ipV4 is not the client's address"


def _is_utc(value: Json) -> bool:
    if not isinstance(value, str) or not re.fullmatch(ISO_UTC, value, re.ASCII):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
