"""Each bug that is planted in the interface is caught by the test that is there for it."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from fastapi import FastAPI
from schemathesis import GenerationMode

from app.auth import tokens
from app.auth.rates import Rates
from app.journal.actor import Role
from app.settings import RateSetting
from tests import test_described, test_problem_shape, test_secrets
from tests.auth import test_four_eyes, test_idempotency, test_rates, test_roles, test_tokens
from tests.conftest import Application
from tests.orders import test_decide
from tests.planted import planted
from tests.planted.api import PLANTS
from tests.policy.scale import seeded
from tests.service import HOST, NOW, Service

CAUGHT = (AssertionError, pytest.fail.Exception)


@dataclass
class Scene:
    """What tests of the interface need."""

    service: Service
    app: FastAPI
    said: io.StringIO
    told: dict[str, object] = field(default_factory=dict)

    def watch(self) -> test_rates.Stopwatch:
        """Limits that are reached soon, by a clock that stands."""
        watch = test_rates.Stopwatch()
        self.app.state.rates = Rates(RateSetting(10, 6, 3), watch, watch.refused.append)
        return watch

    def second_token(self) -> str:
        """Another token of the same approver."""
        with self.service.database.write() as session:
            text = tokens.create(session, HOST, role=Role.APPROVER, name="approver-1", expires_at=None, now=NOW)
        self.service.tokens = {**self.service.tokens, "approver-1 again": text}
        return "approver-1 again"


def roles(scene: Scene) -> None:
    test_roles.test_a_route_lets_its_roles_in_and_nobody_else(scene.service, "POST /api/v1/orders/{uid}/approve")


def declarations(_scene: Scene) -> None:
    test_roles.test_an_application_with_an_undeclared_route_does_not_start(test_roles.with_nested_router)


def four_eyes(scene: Scene) -> None:
    test_four_eyes.test_a_second_token_is_the_same_person(scene.service, scene.second_token(), "reject")


def guard(scene: Scene) -> None:
    test_decide.test_a_name_that_has_become_protected_is_not_approved(scene.service)


def limits(scene: Scene) -> None:
    test_rates.test_a_token_is_limited_and_no_other_token_is(scene.service, scene.watch())


def lifts(scene: Scene) -> None:
    test_rates.test_no_lift_is_ever_held_up(scene.service, scene.watch())


def failures(scene: Scene) -> None:
    test_rates.test_bad_tokens_are_limited_by_address_and_lock_nobody_out(scene.service, scene.watch())


def hashes(scene: Scene) -> None:
    test_tokens.test_no_file_of_the_service_holds_the_text_of_a_token(scene.service, scene.service.settings)


def idempotency(scene: Scene) -> None:
    test_idempotency.test_an_answer_and_its_effect_are_kept_together_or_not_at_all(scene.service)


def secrets(scene: Scene) -> None:
    test_secrets.test_no_secret_lies_or_is_told_in_clear(scene.service, scene.said, scene.told.__setitem__)


def versions(scene: Scene) -> None:
    test_problem_shape.test_a_code_is_answered_in_the_shape_of_all(scene.service, "stale_version")


def description(scene: Scene) -> None:
    world = test_described.World(scene.service, seeded("planted"))
    operation = next(each for each in test_described.operations(scene.service) if each.path == "/api/v1/clocks")
    test_described.try_out(world, operation, GenerationMode.POSITIVE, 1)
    assert world.wrong == []


def answers(scene: Scene) -> None:
    test_described.test_what_acts_answer_is_as_it_is_described(scene.service)


RIGS: dict[str, Callable[[Scene], None]] = {
    "role-ignored": roles,
    "route-undeclared": declarations,
    "four-eyes-by-token": four_eyes,
    "guard-in-proposals-alone": guard,
    "rate-not-counted": limits,
    "lifts-limited": lifts,
    "failures-lock-out": failures,
    "token-in-clear": hashes,
    "answer-after-its-effect": idempotency,
    "token-in-an-error": secrets,
    "version-not-checked": versions,
    "problem-not-as-described": description,
    "answer-not-as-described": answers,
}


@pytest.fixture
def scene(service: Service, application: Application) -> Scene:
    return Scene(service, application.app, io.StringIO())


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_bug_is_caught(scene: Scene, plant: str) -> None:
    with planted(plant), pytest.raises(CAUGHT):
        RIGS[plant](scene)
