import jaxtyping
import pytest
import torch

from gan_env.native.library import instruction_sets

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


@pytest.fixture(params=["torch", "native"])
def engine(request):
    """Both engines, one after the other."""
    if request.param == "native" and not instruction_sets():
        pytest.skip("the compiled kernel is not installed")
    return request.param


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A small benchmark that ran through: two groups. Only to be read."""
    from tests.support.small_benchmark import (  # here, for what is imported before jaxtyping's hook is not checked
        config,
        ran,
    )

    return ran(tmp_path_factory.mktemp("bench") / "out", config())


@pytest.fixture
def copy(finished, tmp_path):
    """The finished benchmark in a folder that may be spoiled."""
    for name in ("config.json", "rows.jsonl"):
        (tmp_path / name).write_bytes((finished.path / name).read_bytes())
    return tmp_path
