"""Meta's libraries for Python: facebook-business posts an ordinary event, the parameter builder prints its digests."""

import json
import os
import sys
import time
from importlib.metadata import version
from typing import Any

from capi_param_builder import ParamBuilder
from facebook_business.adobjects.serverside.action_source import ActionSource
from facebook_business.adobjects.serverside.app_data import AppData
from facebook_business.adobjects.serverside.custom_data import CustomData
from facebook_business.adobjects.serverside.event import Event
from facebook_business.adobjects.serverside.event_request import EventRequest
from facebook_business.adobjects.serverside.extended_device_info import ExtendedDeviceInfo
from facebook_business.adobjects.serverside.user_data import UserData
from facebook_business.api import FacebookAdsApi
from facebook_business.session import FacebookSession


def say(finding: dict[str, Any]) -> None:
    """Prints what the runner reads."""
    sys.stdout.write(json.dumps(finding) + "\n")


PERSON = json.loads(os.environ["PERSON"])
FacebookSession.GRAPH = os.environ["SANDBOX"] + "/facebook"
FacebookAdsApi.init(access_token=os.environ["META_TOKEN"], crash_log=False)

builder = ParamBuilder(["example.com"])
builder.process_request("shop.example.com", {"fbclid": ["IwAR2F4aBcDeFgHiJk"]}, {})
user = UserData(
    emails=[PERSON["em"]],
    phones=[PERSON["ph"]],
    first_names=[PERSON["fn"]],
    last_names=[PERSON["ln"]],
    cities=[PERSON["ct"]],
    states=[PERSON["st"]],
    zip_codes=[PERSON["zp"]],
    country_codes=[PERSON["country"]],
    genders=[],
    external_ids=[PERSON["external_id"]],
    client_ip_address="203.0.113.24",
    client_user_agent="example/1.0",
    fbp=builder.get_fbp(),
    fbc=builder.get_fbc(),
)
app = AppData(
    advertiser_tracking_enabled=True,
    application_tracking_enabled=True,
    extinfo=ExtendedDeviceInfo(ext_info_version="a2", os_version="14", app_package_name="com.example.shop"),
)
common = {"event_name": "Login", "event_time": int(time.time()), "user_data": user}
events = [
    Event(**common, event_id="sdk-1", action_source=ActionSource.WEBSITE, event_source_url="https://shop.example.com/"),
    Event(
        **common,
        event_id="sdk-2",
        action_source=ActionSource.APP,
        app_data=app,
        custom_data=CustomData(value=1.5, currency="usd"),
    ),
]
taken = EventRequest(
    pixel_id=os.environ["META_DATASET"], events=events, access_token=os.environ["META_TOKEN"]
).execute()
sent = events[0].normalize()["user_data"]
say(
    {
        "library": f"facebook-business {version('facebook-business')} (Python)",
        "accepted": taken.to_dict()["events_received"] == len(events),
        "digests": {name: sent[name][0] for name in PERSON if name in sent},
    }
)
# Unlike the one for Node.js, it has no digests; its cookies stood in the events above.
say(
    {
        "library": f"capi-param-builder-python {version('capi-param-builder-python')} (cookies)",
        "accepted": builder.get_fbp().count(".") == 4 and builder.get_fbc().count(".") == 4,
        "digests": {},
    }
)
