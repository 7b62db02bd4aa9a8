"""MACs by prepared keys are those of the standard library."""

import hmac

import pytest

from app.transfer.mac import HASHES, LENGTHS, keyed
from tests.policy.scale import seeded


@pytest.mark.parametrize("algorithm", list(HASHES))
def test_mac_is_that_of_the_standard_library(algorithm: str) -> None:
    """Secrets shorter than a block of the hash, as long and longer; one prepared key signs many messages."""
    chance = seeded(algorithm)
    for length in (0, 1, 32, 63, 64, 65, 127, 128, 129, 200):
        secret = chance.randbytes(length)
        for size in (0, 1, 300, 16_384):
            message = chance.randbytes(size)
            made = keyed(secret, algorithm).mac(message)
            assert made == hmac.digest(secret, message, algorithm.removeprefix("hmac-"))
            assert len(made) == LENGTHS[algorithm]
