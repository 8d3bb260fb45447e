"""Domain adaptation between two kinds of digits: the data fit each other, and a plain loop says what can be reached."""

import pytest
import torch

from gan_env import domains


def test_both_domains_are_digits_of_one_size_and_range():
    for domain in (domains.source(), domains.target("train"), domains.target("test")):
        assert domain.images.shape[1:] == (1, 16, 16) and domain.labels.unique().tolist() == list(range(10))
        assert domain.images.min() >= -1.001 and domain.images.max() <= 1.001
    assert len(domains.source().images) == 3572 and len(domains.target("test").images) == 400


def test_players_fit_and_an_unknown_way_is_refused():
    made = domains.Extractor()(domains.target("test").images[:3])
    assert made.shape == (3, 42) and domains.domain_classifier()(made[:, :32]).shape == (3, 1)
    with pytest.raises(ValueError, match="way='sauce'"):
        domains.train("sauce")


def test_training_repeats_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    a, b = (domains.train("adversarial", 3, updates=3) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.slow
def test_adaptation_lies_between_its_marks():
    found, test = domains.marks(), domains.target("test")
    adapted = domains.error(domains.train("adversarial"), test)
    assert found["target_trained"] < 0.1 and found["target_trained"] < adapted < found["source_only"] - 0.1
