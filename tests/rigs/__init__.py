"""Rigs: the service is killed, loses its power, and meets a fault at each step that it writes by."""

import pytest

pytest.register_assert_rewrite("tests.rigs.checks", "tests.rigs.secondaries")
