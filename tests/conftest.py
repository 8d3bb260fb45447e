import jaxtyping
import pytest
import torch

torch.set_num_threads(1)  # two threads on a busy machine can be ten times slower


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def no_shape_checks():
    """Long runs go twice as fast without jaxtyping; shorter tests have checked the same shapes."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
