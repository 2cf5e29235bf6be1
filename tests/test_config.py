import pytest

from rsnet_jax.config import Config, DataConfig, ModelConfig
from rsnet_jax.errors import ConfigError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModelConfig(width=0), r"model\.width: .*greater than or equal to 1, got 0"),
        (lambda: ModelConfig(widht=5), r"unknown setting model\.widht; known: width, dropout"),
        (lambda: ModelConfig(dropout=1.0), r"model\.dropout: .*less than 1, got 1\.0"),
        (lambda: ModelConfig(double_gelu="maybe"), r"model\.double_gelu: .*boolean.*'maybe'"),
        (lambda: DataConfig(every=0), r"data\.every: .* got 0"),
        (lambda: DataConfig(dataset="coco"), r"data\.dataset: .*'synthetic' or 'h36m'.*'coco'"),
        (lambda: DataConfig(dataset="h36m"), "needs data.root"),
        (lambda: DataConfig(dataset="synthetic", root="x"), "takes no data.root"),
        (lambda: Config(model={"width": -1}), r"model\.width: .* got -1"),
        (lambda: Config(precision="double"), r"precision: .*'highest'.*'double'"),
    ],
)
def test_nonsense_is_one_line_that_names_the_field(make, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_configuration_is_frozen_and_survives_storage():
    config = Config(model=ModelConfig(width=8), data=DataConfig(root="somewhere", every=3))
    again = Config(**config.model_dump(mode="json"))
    assert again == config
    with pytest.raises(Exception, match="frozen"):
        config.seed = 1  # pyright: ignore[reportAttributeAccessIssue]


def test_a_root_means_human36m_files():
    assert DataConfig().source == "synthetic"
    assert DataConfig(root="somewhere").source == "h36m"
