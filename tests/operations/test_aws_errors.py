"""Every way in which AWS says no is told with its remedy."""

from __future__ import annotations

import pytest
from botocore import exceptions as aws
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError, ReadTimeoutError

from prisjakt_relay.errors import AwsError, SetupError, StorageError
from prisjakt_relay.operations.aws_errors import told
from prisjakt_relay.operations.stack import told_clearly

MAY_NOT = "User: arn:aws:iam::1:user/x is not authorized to perform: dynamodb:Query on resource: y"


def answered(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "GetSecretValue")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (aws.NoRegionError(), "no AWS region: give --region"),
        (aws.ProfileNotFound(profile="x"), "(x) could not be found: `aws configure list-profiles`"),
        (aws.InvalidRegionError(region_name="é"), "give one like eu-north-1 with --region"),
        (aws.ConfigParseError(path="/x"), "the AWS configuration cannot be read"),
        (aws.NoCredentialsError(), "no AWS credentials: run `aws sso login`"),
        (aws.PartialCredentialsError(provider="env", cred_var="x"), "no AWS credentials"),
        (aws.CredentialRetrievalError(provider="x", error_msg="y"), "no AWS credentials"),
        (aws.UnauthorizedSSOTokenError(), "the AWS sign-in has ended: run `aws sso login`"),
        (aws.SSOTokenLoadError(error_msg="x"), "the AWS sign-in has ended"),
        (aws.TokenRetrievalError(provider="sso", error_msg="x"), "the AWS sign-in has ended"),
        (aws.LoginRefreshRequired(), "the AWS sign-in has ended: run `aws sso login`"),
        (answered("ResourceNotFoundException"), "otherwise deploy it again"),
        (AwsError("GetItem", "ValidationException"), "what was given cannot be right"),
        (answered("ExpiredToken"), "the AWS credentials have expired"),
        (answered("ExpiredTokenException"), "the AWS credentials have expired"),
        (answered("InvalidClientTokenId"), "AWS does not accept these credentials"),
        (answered("SignatureDoesNotMatch"), "this machine's clock"),
        (answered("AccessDeniedException", MAY_NOT), "may not do this (dynamodb:Query): ask for"),
        (answered("AccessDenied"), "may not do this (GetSecretValue): ask for"),
        (AwsError("Query", "ExpiredTokenException"), "the AWS credentials have expired"),
        (
            AwsError("Query", "AccessDeniedException", {"Message": MAY_NOT}),
            "may not do this (dynamodb:Query): ask for",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_the_caller_can_mend_is_told_with_the_remedy(
    error: BotoCoreError | ClientError | AwsError, words: str
) -> None:
    clear = told(error)

    assert isinstance(clear, SetupError)
    assert words in str(clear)
    assert clear.exit_code == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (aws.EndpointConnectionError(endpoint_url="https://x"), "does not answer at https://x"),
        (aws.ConnectTimeoutError(endpoint_url="https://x"), "does not answer at https://x"),
        (aws.ReadTimeoutError(endpoint_url="https://x"), "check the network"),
        (aws.ProxyConnectionError(proxy_url="http://p"), "any proxy"),
        (aws.DataNotFoundError(data_path="x"), "AWS could not be asked"),
        (answered("ThrottlingException"), "GetSecretValue: ThrottlingException"),
        (AwsError("Query", "ProvisionedThroughputExceededException"), "try again"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_may_work_later_is_told_as_such(
    error: BotoCoreError | ClientError | AwsError, words: str
) -> None:
    clear = told(error)

    assert isinstance(clear, StorageError)
    assert words in str(clear)
    assert clear.exit_code == 3


def test_a_plain_call_that_nobody_answered_is_told_with_the_remedy() -> None:
    cause: HTTPError = ReadTimeoutError(None, "/", "")  # type: ignore[arg-type]  # no pool

    with pytest.raises(StorageError, match=r"AWS does not answer \(Query: .*network"):  # noqa: SIM117
        with told_clearly():
            raise StorageError("Query: ReadTimeoutError") from cause


def test_what_is_clear_already_is_left_as_it_is() -> None:
    clear = StorageError("the log query took too long: ask for a shorter interval")

    assert told(clear) is clear
