"""The usage plan, by which API Gateway limits each app's rate: each app has a key in it, which opens nothing."""

from dataclasses import dataclass

from ops.stage import Stage, client
from relay.api.keys import usage_key


@dataclass(frozen=True)
class Usage:
    """A stage's usage plan."""

    stage: Stage

    @property
    def plan(self) -> str:
        """The plan's id, "" where the stack has none."""
        return self.stage.outputs.get("UsagePlanId", "")

    def admit(self, app: str) -> None:
        """Adds an app to the plan, if it is missing there."""
        if not self.plan or app in self.apps():
            return
        api, name = client("apigateway"), self._name(app)
        # The query matches by prefix, so that the key may be on any page.
        pages = api.get_paginator("get_api_keys").paginate(nameQuery=name)
        key = next((one for page in pages for one in page["items"] if one["name"] == name), None)
        key = key or api.create_api_key(name=name, value=usage_key(self.stage.name, app), enabled=True)
        api.create_usage_plan_key(usagePlanId=self.plan, keyId=key["id"], keyType="API_KEY")

    def apps(self) -> set[str]:
        """Returns the apps in the plan."""
        if not self.plan:
            return set()
        pages = client("apigateway").get_paginator("get_usage_plan_keys").paginate(usagePlanId=self.plan)
        names = {key["name"] for page in pages for key in page["items"]}
        return {name.removeprefix(self._name("")) for name in names if name.startswith(self._name(""))}

    def _name(self, app: str) -> str:
        return f"session-relay-{self.stage.name}-{app}"
