"""Assertions of the contract tell what they compared."""

import pytest

pytest.register_assert_rewrite("tests.transports.contract")
