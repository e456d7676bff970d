"""Says to which account and region AWS credentials lead: `python -m ops.credentials prod`, before a deployment."""

import os
import sys

from botocore.exceptions import BotoCoreError, ClientError

from ops.errors import NO_AWS, sentence
from ops.stage import adopt_region, client


def main(stage: str) -> int:
    """Prints the account and the region of a deployment; 3 if AWS does not accept the credentials."""
    adopt_region(os.environ)
    try:
        sts = client("sts")
        account = sts.get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:
        print(f"Nothing was built or deployed. {sentence(error)}", file=sys.stderr)  # noqa: T201 - for the terminal
        return NO_AWS
    print(f"Stage {stage} goes to the account {account} in {sts.meta.region_name}.")  # noqa: T201 - for the terminal
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
