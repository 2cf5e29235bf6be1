import pytest

from rsnet_jax.data.h36m.actions import strange_actions, usual_name


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        ("Photo 1", "Photo 1"),
        ("TakingPhoto", "Photo"),
        ("TakingPhoto 1", "Photo 1"),
        ("WalkingDog 2", "WalkDog 2"),
        ("walktogether", "WalkTogether"),
        ("Photo_1", "Photo 1"),
        ("Photo1", "Photo 1"),
        ("sitting_down 2", "SittingDown 2"),
        ("WALKING", "Walking"),
        ("Run 2", "Run 2"),
        ("02_01", "02_01"),
        ("", ""),
    ],
)
def test_usual_names(name, usual):
    assert usual_name(name) == usual


def test_strange_actions():
    assert strange_actions(["Walking", "Run", "Eating", "Run"]) == ["Run"]
    assert strange_actions(["Run", "Jump"]) == strange_actions(["Walking"]) == []
