import pytest

from modelfleet.cluster import errors


def status(code: int, message: str = "no", causes: list[dict[str, str]] | None = None):
    return {
        "kind": "Status",
        "code": code,
        "reason": "R",
        "message": message,
        "details": {"causes": causes or []},
    }


FIELD = [{"reason": "FieldManagerConflict", "field": ".spec.replicas"}]
UID = [{"reason": "FieldValueInvalid", "field": "metadata.uid"}]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(status(400), errors.Invalid, id="bad request"),
        pytest.param(status(401), errors.Unavailable, id="token expired on the way"),
        pytest.param(status(403), errors.Forbidden, id="RBAC"),
        pytest.param(
            status(403, 'pods "x" is forbidden: exceeded quota: gpus, requested: 8'),
            errors.QuotaExceeded,
            id="quota",
        ),
        pytest.param(status(404), errors.NotFound, id="gone"),
        pytest.param(status(405), errors.Rejected, id="not a verb of this kind"),
        pytest.param(status(408), errors.Unavailable, id="timeout"),
        pytest.param(status(409), errors.Conflict, id="another version"),
        pytest.param(status(409, causes=FIELD), errors.FieldConflict, id="another manager"),
        pytest.param(status(410), errors.Gone, id="history compacted"),
        pytest.param(status(413), errors.Rejected, id="too large"),
        pytest.param(status(422), errors.Invalid, id="validation"),
        pytest.param(status(422, causes=UID), errors.Conflict, id="a namesake"),
        pytest.param(status(429), errors.Unavailable, id="slow down"),
        pytest.param(status(500), errors.Unavailable, id="webhook failed"),
        pytest.param(status(504), errors.Unavailable, id="etcd slow"),
        pytest.param({}, errors.Unavailable, id="an empty Status"),
    ],
)
def test_a_status_means(answer, kind):
    assert type(errors.from_status(answer)) is kind


def test_what_is_worth_a_retry_and_what_needs_a_person():
    assert issubclass(errors.Conflict, errors.Unavailable)
    assert issubclass(errors.NotFound, errors.Unavailable)
    assert issubclass(errors.FieldConflict, errors.Rejected)
    assert issubclass(errors.QuotaExceeded, errors.Rejected)


def test_an_error_keeps_what_the_server_said():
    error = errors.from_status(status(403, "no, because") | {"reason": "Forbidden"})

    assert (str(error), error.code, error.reason) == ("no, because", 403, "Forbidden")


def test_a_wait_that_the_server_asks_for():
    asked = status(429) | {"details": {"retryAfterSeconds": 3}}

    assert errors.from_status(asked).retry_after == 3
    assert errors.from_response(503, b"busy", "7").retry_after == 7
    assert errors.from_response(503, b"busy", "Wed, 21 Oct 2026 07:28:00 GMT").retry_after is None


@pytest.mark.parametrize(
    "body", [b"<html>Bad gateway</html>", b"", b'{"a": 1}', b"[1]", b"\xff\xfe"]
)
def test_a_proxy_may_answer_anything(body):
    assert type(errors.from_response(502, body, None)) is errors.Unavailable


def test_the_code_of_the_answer_counts_and_not_that_of_its_body():
    assert (
        type(errors.from_response(404, b'{"kind": "Status", "code": 500}', None)) is errors.NotFound
    )


@pytest.mark.parametrize("text", ["x" * 5000, "ü" * 5000, "€" * 5000, "😀" * 5000])
def test_long_messages_are_cut_between_characters(text):
    short = str(errors.from_status(status(500, text)))

    assert 1000 < len(short.encode()) <= 1024
    assert short.endswith("…")


def test_short_messages_stay_as_they_are():
    assert errors.cut("ü" * 512) == "ü" * 512
