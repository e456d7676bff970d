"""The errors that end a command: each has an exit code, a sentence and the commands that help."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

FAILED, USAGE, NO_AWS, INTERRUPTED = 1, 2, 3, 130


class CommandError(Exception):
    """A command cannot do what it was called for; `commands` can be pasted as they are."""

    code = FAILED

    def __init__(self, message: str, *commands: str) -> None:
        super().__init__(message)
        self.commands = commands


class UsageError(CommandError):
    """The command was called with wrong arguments."""

    code = USAGE


class NoAnswerError(CommandError):
    """The API does not respond."""

    code = NO_AWS


_LOG_IN = "log in again (aws sso login), or set AWS_PROFILE"
_BAD_CREDENTIALS = {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
_BAD_CREDENTIALS |= {"InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure"}
_THROTTLED = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}
_LOGINS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)


def sentence(error: BotoCoreError | ClientError) -> str:
    """Explains an error of AWS or of its client in one sentence that says what to do."""
    if isinstance(error, ClientError):
        return _refusal(error.response["Error"]["Code"], error.operation_name)
    if isinstance(error, _LOGINS):
        return f"There are no usable AWS credentials: {_LOG_IN}."
    if isinstance(error, NoRegionError):
        return "No AWS region is set: set AWS_REGION, or a region in your profile."
    if isinstance(error, ProfileNotFound):
        return "Your AWS configuration does not have the profile that AWS_PROFILE names: correct it."
    if isinstance(error, HTTPClientError | ConnectionError):
        return "AWS does not respond: check the network, AWS_REGION and AWS_ENDPOINT_URL."
    return f"AWS cannot be called ({type(error).__name__}): check your AWS configuration."


def _refusal(code: str, operation: str) -> str:
    if code in _BAD_CREDENTIALS:
        return f"AWS does not accept these credentials ({code}): {_LOG_IN}."
    if code.startswith(("AccessDenied", "UnauthorizedOperation", "Forbidden")):
        return f"These AWS credentials may not call {operation}: ask for that permission."
    if code in _THROTTLED:
        return f"AWS throttles {operation}: try again in a minute."
    return f"AWS refused {operation} ({code}): check that --stage and the region are the ones you mean."
