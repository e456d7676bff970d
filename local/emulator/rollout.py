"""CodeDeploy in a template: taken and kept, though here a new version takes over at once.

A local cloud is deployed once, so there is no older version from which traffic could be moved bit by bit.
"""

from typing import Any

from ministack.services.cloudformation import provisioners

Json = dict[str, Any]


def install() -> None:
    """Gives templates CodeDeploy's two resources."""
    for kind in ("Application", "DeploymentGroup"):
        provisioners._RESOURCE_HANDLERS[f"AWS::CodeDeploy::{kind}"] = {  # noqa: SLF001 - there is no public way in
            "create": lambda logical_id, _properties, stack: (f"{stack}-{logical_id}", {}),
            "update": lambda physical_id, _old, _properties, _stack: (physical_id, {}),
            "delete": lambda _physical_id, _properties: None,
        }
