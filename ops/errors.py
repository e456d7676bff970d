"""What ends a command early, each with its exit code and a sentence that says what to do."""

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

WRONG, USAGE, NO_AWS, INTERRUPTED = 1, 2, 3, 130


class CommandError(Exception):
    """Something is not as the command needs it; the text says what to do."""

    code = WRONG


class UsageError(CommandError):
    """The command was called in a way that makes no sense."""

    code = USAGE


_LOG_IN = "log in again (aws sso login), or set AWS_PROFILE"
_NOT_KNOWN = {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
_NOT_KNOWN |= {"InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure"}
_SLOW = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}
_LOGINS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)


def sentence(fault: BotoCoreError | ClientError) -> str:
    """What AWS' refusal or silence means for the person at the terminal."""
    if isinstance(fault, ClientError):
        return _refusal(fault.response["Error"]["Code"], fault.operation_name)
    if isinstance(fault, _LOGINS):
        return f"There are no usable AWS credentials: {_LOG_IN}."
    if isinstance(fault, NoRegionError):
        return "No AWS region is named: set AWS_REGION, or a region in your profile."
    if isinstance(fault, ProfileNotFound):
        return "Your AWS configuration has no profile of the name in AWS_PROFILE: correct it."
    if isinstance(fault, HTTPClientError | ConnectionError):
        return "AWS does not answer: check the network, AWS_REGION and AWS_ENDPOINT_URL."
    return f"AWS cannot be asked ({type(fault).__name__}): check your AWS configuration."


def _refusal(code: str, operation: str) -> str:
    if code in _NOT_KNOWN:
        return f"AWS does not accept these credentials ({code}): {_LOG_IN}."
    if code.startswith(("AccessDenied", "UnauthorizedOperation", "Forbidden")):
        return f"These AWS credentials may not do {operation}: ask for that permission."
    if code in _SLOW:
        return f"AWS is asked too often just now ({operation}): try again in a minute."
    return f"AWS refused {operation} ({code}): see that --stage and the region are the ones you mean."
