import pytest
from pydantic import ValidationError

from modelfleet.settings import Settings, from_environment


def test_defaults():
    assert from_environment({}) == Settings()


def test_the_environment_is_read():
    environment = {
        "MODELFLEET_WORKERS": "4",
        "MODELFLEET_NAMESPACES": "a, b,,",
        "MODELFLEET_LEADER_ELECTION": "false",
        "HOME": "/root",
    }
    settings = from_environment(environment)

    assert settings.workers == 4
    assert settings.namespaces == ("a", "b")
    assert settings.leader_election is False


def test_a_flag_wins_over_the_environment():
    settings = from_environment({"MODELFLEET_WORKERS": "4"}, workers=8, context=None)

    assert (settings.workers, settings.context) == (8, "")


@pytest.mark.parametrize(
    "wrong", [{"workers": 0}, {"lease_name": "No Name"}, {"resync_seconds": -1}, {"unknown": 1}]
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ValidationError):
        from_environment({}, **wrong)


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        Settings().workers = 3
