"""AWS's many ways to say no, each as one sentence with its remedy."""

from __future__ import annotations

from typing import Final

from botocore import exceptions as aws
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from prisjakt_relay.errors import AwsError, RelayError, SetupError, StorageError

SIGN_IN: Final = "run `aws sso login` or `aws configure`, or choose others with --profile"
NO_ANSWER: Final = "AWS does not answer"
LOOK: Final = "check the network, the region and any proxy, then try again"

_EXPIRED: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestExpiredException"}
)
_NOT_ACCEPTED: Final = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "NotAuthorized",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_FORBIDDEN: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
)

_NOT_THERE: Final = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "InvalidParameterException",
        "MalformedQueryException",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
        "ValidationException",
    }
)


def told(error: BotoCoreError | ClientError | ResponseParserError | StorageError) -> RelayError:
    """`SetupError` for what the caller can mend, `StorageError` for what may work later.

    A `StorageError` that is clear already is returned as it is.
    """
    if isinstance(error, AwsError):
        message = str(error.body.get("message") or error.body.get("Message") or "")
        operation = str(error).partition(":")[0]
        known = _answered(error.code, operation, message)
        return known or StorageError(f"AWS did not do it ({error}): try again")
    if isinstance(error, StorageError):
        unanswered = isinstance(error.__cause__, HTTPError)
        return StorageError(f"{NO_ANSWER} ({error}): {LOOK}") if unanswered else error
    if isinstance(error, ClientError):
        said = error.response.get("Error", {})
        known = _answered(
            str(said.get("Code", "")), error.operation_name, str(said.get("Message", ""))
        )
        refusal = f"{error.operation_name}: {said.get('Code')}"
        return known or StorageError(f"AWS did not do it ({refusal}): try again")
    if isinstance(error, ResponseParserError):
        return SetupError(
            "what answers is not AWS: is there a proxy or a sign-in page in between, or something "
            "else at that port?"
        )
    return _not_asked(error)


def _answered(code: str, operation: str, message: str) -> RelayError | None:
    if code in _EXPIRED:
        return SetupError(f"the AWS credentials have expired: {SIGN_IN}")
    if code in _NOT_ACCEPTED:
        return SetupError(
            f"AWS does not accept these credentials ({code}): {SIGN_IN}; "
            "is the region right, and this machine's clock?"
        )
    if code in _FORBIDDEN:
        action = _between(message, "to perform: ", " ") or operation
        return SetupError(
            f"these AWS credentials may not do this ({action}): ask for that permission, "
            "or choose others with --profile"
        )
    if code in _NOT_THERE:
        return SetupError(
            f"AWS refuses it ({operation}: {code}): if the stack is whole and of this version, "
            "what was given cannot be right; otherwise deploy it again"
        )
    return None


def _not_asked(error: BotoCoreError) -> RelayError:
    if isinstance(error, aws.NoRegionError):
        return SetupError("no AWS region: give --region, set AWS_REGION, or run `aws configure`")
    if isinstance(error, aws.ProfileNotFound):
        return SetupError(f"{error}: `aws configure list-profiles` shows those there are")
    if isinstance(error, aws.InvalidRegionError):
        return SetupError("that is no AWS region: give one like eu-north-1 with --region")
    if isinstance(error, aws.ConfigParseError | aws.ConfigNotFound | aws.InvalidConfigError):
        return SetupError(f"the AWS configuration cannot be read: {error}")
    if type(error).__name__.startswith("Login"):  # `aws login`, which older botocores do not know
        return SetupError(f"the AWS sign-in has ended: {SIGN_IN}")
    if isinstance(
        error,
        aws.SSOError
        | aws.SSOTokenLoadError
        | aws.TokenRetrievalError
        | aws.RefreshWithMFAUnsupportedError
        | aws.UnauthorizedSSOTokenError,
    ):
        return SetupError(f"the AWS sign-in has ended: {SIGN_IN}")
    if isinstance(
        error,
        aws.NoCredentialsError
        | aws.PartialCredentialsError
        | aws.CredentialRetrievalError
        | aws.NoAuthTokenError,
    ):
        return SetupError(f"no AWS credentials: {SIGN_IN}")
    if isinstance(error, aws.HTTPClientError | aws.ConnectionError):
        endpoint = getattr(error, "kwargs", {}).get("endpoint_url", "")
        where = f" at {endpoint}" if endpoint else ""
        return StorageError(f"{NO_ANSWER}{where}: {LOOK}")
    return StorageError(f"AWS could not be asked: {error}")


def _between(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].partition(end)[0]
