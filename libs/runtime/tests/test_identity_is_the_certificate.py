"""A caller is who its certificate says, and nobody without one gets in (SE-5)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509

from holdfast_runtime.errors import AskPerson
from holdfast_runtime.identity import Authority, Identity, load_identity, peer_name

METHOD = "/holdfast.test.Whoami/Ask"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(now=NOW)


@pytest.fixture
async def port(authority: Authority) -> AsyncIterator[int]:
    """A server of the gate that answers with the caller's name."""

    async def ask(_request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        return repr(peer_name(context.auth_context())).encode()

    gate = authority.issue("gate")
    server = grpc.aio.server()
    handler = grpc.method_handlers_generic_handler(
        "holdfast.test.Whoami", {"Ask": grpc.unary_unary_rpc_method_handler(ask)}
    )
    server.add_generic_rpc_handlers((handler,))
    credentials = grpc.ssl_server_credentials([(gate.key, gate.certificate)], gate.authority, require_client_auth=True)
    bound = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    yield bound
    await server.stop(None)


async def asked(port: int, credentials: grpc.ChannelCredentials | None, *, target: str = "gate") -> str:
    address, options = f"127.0.0.1:{port}", (("grpc.ssl_target_name_override", target),)
    channel = (
        grpc.aio.insecure_channel(address)
        if credentials is None
        else grpc.aio.secure_channel(address, credentials, options=options)
    )
    async with channel:
        answer: bytes = await channel.unary_unary(METHOD)(b"", timeout=60)
        return answer.decode()


def credentials(identity: Identity) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(identity.authority, identity.key, identity.certificate)


async def test_the_caller_is_the_name_in_its_certificate(port: int, authority: Authority) -> None:
    assert await asked(port, credentials(authority.issue("scoring"))) == "'scoring'"
    assert await asked(port, credentials(authority.issue("admin")), target="localhost") == "'admin'"


async def test_a_certificate_of_another_authority_is_refused(port: int, authority: Authority) -> None:
    stranger = Authority(now=NOW).issue("scoring")
    mixed = grpc.ssl_channel_credentials(authority.certificate, stranger.key, stranger.certificate)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asked(port, mixed)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("kind", ["plaintext", "without a certificate"])
async def test_a_caller_without_a_certificate_is_refused(port: int, authority: Authority, kind: str) -> None:
    bare = None if kind == "plaintext" else grpc.ssl_channel_credentials(authority.certificate)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asked(port, bare)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_server_under_another_name_is_not_believed(port: int, authority: Authority) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asked(port, credentials(authority.issue("scoring")), target="execution")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_an_expired_certificate_is_refused(port: int) -> None:
    old = Authority(now=NOW - timedelta(days=10), validity=timedelta(days=1)).issue("scoring")
    with pytest.raises(grpc.aio.AioRpcError):
        await asked(port, credentials(old))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((b"gate", b"spiffe://holdfast/gate"), "gate"),
        ((), None),
        ((b"gate", b"localhost"), None),
        ((b"spiffe://elsewhere/gate",), None),
        ((b"spiffe://holdfast/gate", b"spiffe://holdfast/execution"), None),
        ((b"spiffe://holdfast/",), None),
    ],
)
def test_only_one_name_of_ours_is_an_identity(names: tuple[bytes, ...], expected: str | None) -> None:
    assert peer_name({"x509_subject_alternative_name": names}) == expected


def test_what_is_written_is_loaded_and_keys_are_the_owners_alone(tmp_path: Path, authority: Authority) -> None:
    folder = tmp_path / "certificates"
    authority.write(folder, ("gate", "execution"))
    gate = load_identity(folder, "gate")
    assert gate.service == "gate"
    assert gate.authority == authority.certificate
    assert b"PRIVATE KEY" in gate.key
    assert (folder / "gate.key").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o077 == 0
    assert b"PRIVATE" not in repr(gate).encode()
    authority.write(folder, ("gate",))
    assert load_identity(folder, "gate").key != gate.key
    assert sorted(path.name for path in folder.iterdir()) == [
        "ca.crt",
        "execution.crt",
        "execution.key",
        "gate.crt",
        "gate.key",
    ]


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(AskPerson, match=r"gate\.crt") as caught:
        load_identity(tmp_path, "gate")
    assert caught.value.steps


def test_a_certificate_carries_its_names_and_its_validity(authority: Authority) -> None:
    certificate = x509.load_pem_x509_certificate(authority.issue("gate", names=["gate.trading.svc"]).certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["gate", "localhost", "gate.trading.svc"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://holdfast/gate"]
    assert certificate.not_valid_before_utc < NOW
    assert certificate.not_valid_after_utc >= NOW + timedelta(days=1)
    assert certificate.public_key().curve.name == "secp256r1"  # type: ignore[union-attr]  # the key is elliptic


def test_a_validity_below_a_day_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter than"):
        Authority(now=NOW, validity=timedelta(hours=1))
