"""The hub's client gets time limits, unless it has its own."""

import threading

import huggingface_hub
import pytest

from sfal.io import hub_timeouts


@pytest.fixture(autouse=True)
def _a_fresh_client(monkeypatch):
    monkeypatch.setattr(hub_timeouts, "_bounded", threading.Event())
    usual = huggingface_hub.get_session()
    make, hooks, timeout = type(usual), usual.event_hooks, usual.timeout
    # As the library's own factory makes it; a test before may have bounded it.
    hooks = {"request": [h for h in hooks["request"] if h is not hub_timeouts._bound_reading]}
    huggingface_hub.set_client_factory(
        lambda: make(event_hooks=hooks, follow_redirects=True, timeout=None)
    )
    yield
    huggingface_hub.set_client_factory(
        lambda: make(event_hooks=hooks, follow_redirects=True, timeout=timeout)
    )


def test_a_client_without_limits_gets_some_and_keeps_its_hooks():
    before = huggingface_hub.get_session()
    hub_timeouts.bound_waiting()
    after = huggingface_hub.get_session()
    assert set(after.timeout.as_dict().values()) == {hub_timeouts.READ_SECONDS}
    assert after.event_hooks["request"][:-1] == before.event_hooks["request"]
    assert after.follow_redirects
    hub_timeouts.bound_waiting()
    assert huggingface_hub.get_session() is after


def test_a_client_that_is_replaced_after_a_failure_has_limits_too():
    hub_timeouts.bound_waiting()
    huggingface_hub.close_session()
    assert huggingface_hub.get_session().timeout.read == hub_timeouts.READ_SECONDS


def test_a_factory_with_its_own_limits_stays():
    make = type(huggingface_hub.get_session())
    huggingface_hub.set_client_factory(lambda: make(timeout=7.0))
    hub_timeouts.bound_waiting()
    assert huggingface_hub.get_session().timeout.read == 7.0
    assert huggingface_hub.get_session().event_hooks["response"] == []


def test_a_call_that_asks_for_no_limit_gets_one():
    hub_timeouts.bound_waiting()
    request = huggingface_hub.get_session().build_request("GET", "http://x", timeout=None)
    hub_timeouts._bound_reading(request)
    assert set(request.extensions["timeout"].values()) == {hub_timeouts.READ_SECONDS}
