from pathlib import Path

import pytest

from rsnet_jax.config import (
    Config,
    DataConfig,
    OptimConfig,
    ParallelConfig,
    RSNetConfig,
    SemGCNConfig,
    TrainConfig,
    find_preset,
    load_preset,
)
from rsnet_jax.errors import ConfigError

PRESETS = Path(__file__).parents[1] / "configs"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RSNetConfig(width=0), r"model\.width: .*greater than or equal to 1, got 0"),
        (
            lambda: RSNetConfig(widht=5),
            r"unknown setting model\.widht; known: name, width, dropout",
        ),
        (lambda: RSNetConfig(dropout=1.0), r"model\.dropout: .*less than 1, got 1\.0"),
        (lambda: RSNetConfig(double_gelu="maybe"), r"model\.double_gelu: .*boolean.*'maybe'"),
        (lambda: DataConfig(every=0), r"data\.every: .* got 0"),
        (
            lambda: DataConfig(dataset="coco"),
            r"data\.dataset: .*'synthetic', 'h36m', 'views' or 'mpi_inf_3dhp'.*'coco'",
        ),
        (lambda: Config(data=DataConfig(dataset="h36m")), "needs data.root"),
        (lambda: Config(data={"dataset": "synthetic", "root": "x"}), "takes no data.root"),
        (lambda: Config(data={"joint_set": "h36m17"}), r"data\.joint_set h36m17: .* no neck/nose"),
        (lambda: DataConfig(joint_set="coco"), r"data\.joint_set: .*'h36m16' or 'h36m17'.*'coco'"),
        (lambda: Config(train={"select": "refined"}), "select refined needs train.refine"),
        (lambda: Config(data={"root": 2024}), r"data\.root: a path was wanted, got 2024"),
        (lambda: Config(data={"root": b"x"}), r"data\.root: a path was wanted, got b'x'"),
        (lambda: RSNetConfig(width=1, hops=1), "at least 2 channels"),
        (lambda: RSNetConfig(dropout=0.001), "1/512"),
        (lambda: RSNetConfig(dropout=1 / 512), "1/512"),  # would keep all 256 of 256
        (lambda: RSNetConfig(dropout=511 / 512), "511/512"),  # would keep none
        (lambda: Config(seed=2**32), "seed: .*less than 4294967296, got 4294967296"),  # is seed 0
        (lambda: ParallelConfig(join_seconds=float("inf")), r"parallel\.join_seconds: .*604800"),
        (lambda: Config(model={"width": -1}), r"model\.width: .* got -1"),
        (lambda: OptimConfig(base_batch_size=0), r"optim\.base_batch_size: .*equal to 1, got 0"),
        (lambda: OptimConfig(base_batch_size=0.5), r"optim\.base_batch_size: .*integer.*got 0\.5"),
        (lambda: OptimConfig(warmup_epochs=-1), r"optim\.warmup_epochs: .*equal to 0, got -1"),
        (lambda: OptimConfig(warmup_epochs=float("nan")), r"optim\.warmup_epochs: .*got nan"),
        (lambda: OptimConfig(warmup_epochs=float("inf")), r"optim\.warmup_epochs: .*got inf"),
        (
            lambda: Config(train={"epochs": 3}, optim={"warmup_epochs": 3.5}),
            r"optim\.warmup_epochs: at most train\.epochs \(3\) was wanted, got 3\.5",
        ),
        (lambda: Config(precision="double"), r"precision: .*'highest'.*'double'"),
        (
            lambda: Config(model={"name": "resnet"}),
            r"model\.name: one of rsnet, semgcn.* was wanted, got 'resnet'",
        ),
        (lambda: Config(model={"name": ["rsnet"]}), r"model\.name: one of rsnet, .*, got \['rsnet"),
        (lambda: Config(model=3), r"model: .*dictionary.*got 3"),
        (
            lambda: Config(model={"name": "semgcn", "hops": 4}),
            r"unknown setting model\.hops; known: name, width, dropout, blocks, non_local",
        ),
        (lambda: SemGCNConfig(width=1, non_local=True), "model.width of at least 2"),
        (
            lambda: Config(model={"name": "semgcn"}, train={"refine": True}),
            "train.refine: SemGCN has no refinement",
        ),
        (lambda: RSNetConfig(width=4097), r"model\.width: .*less than or equal to 4096, got 4097"),
        (lambda: RSNetConfig(hops=33), r"model\.hops: .*less than or equal to 32, got 33"),
        (lambda: RSNetConfig(blocks=65), r"model\.blocks: .*less than or equal to 64, got 65"),
        (lambda: RSNetConfig(width=4096, hops=5), "at most 16384, got 20480"),
        (lambda: RSNetConfig(refine_hidden=2**16 + 1), r"model\.refine_hidden: .*65536, got 65537"),
        (lambda: SemGCNConfig(width=4097), r"model\.width: .*less than or equal to 4096, got 4097"),
        (lambda: SemGCNConfig(blocks=65), r"model\.blocks: .*less than or equal to 64, got 65"),
        (lambda: RSNetConfig(width=1e30), r"model\.width: .*integer, got 1e\+30"),
        (lambda: RSNetConfig(width=True), r"model\.width: .*integer, got True"),
        (lambda: RSNetConfig(width="96"), r"model\.width: .*integer, got '96'"),
        (lambda: RSNetConfig(width=96.0), r"model\.width: .*integer, got 96\.0"),
        (lambda: RSNetConfig(width=10**5000), r"model\.width: .*got an integer of 16610 bits"),
        (lambda: RSNetConfig(dropout=True), r"model\.dropout: .*number, got True"),
        (lambda: TrainConfig(mirror=1), r"train\.mirror: .*boolean, got 1"),
        (lambda: TrainConfig(epochs=2**31), r"train\.epochs: .*less than or equal to 100000"),
        (lambda: TrainConfig(batch_size=2**31), r"train\.batch_size: .*less than 2147483648"),
        (lambda: OptimConfig(learning_rate=float("inf")), r"optim\.learning_rate: .*got inf"),
        (lambda: DataConfig(subjects_train="S1"), r"data\.subjects_train: .*tuple, got 'S1'"),
        (lambda: DataConfig(subjects_train=[1]), r"data\.subjects_train\.0: .*string, got 1"),
        (lambda: Config(seed="\x1b[2J" * 99), r"seed: .*got '\\x1b\[2J.*\.\.\."),
        (lambda: OptimConfig(clip_norm=0), r"optim\.clip_norm: .*greater than 0, got 0"),
        (lambda: OptimConfig(decay_steps=0), r"optim\.decay_steps: .*equal to 1, got 0"),
        (lambda: OptimConfig(name="sgd"), r"optim\.name: .*'amsgrad' or 'adam'.*'sgd'"),
        (lambda: TrainConfig(loss="l2"), r"train\.loss: .*'mse_l1', 'mse' or 'mpjpe_l1'.*'l2'"),
    ],
)
def test_nonsense_is_one_line_that_names_the_field(make, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_of_many_problems_the_first_are_told():
    with pytest.raises(ConfigError) as caught:
        DataConfig(**{name: 1 for name in "abcde"})  # pyright: ignore[reportArgumentType]
    told = [part.split(";")[0] for part in str(caught.value).split("unknown setting ")]
    assert told[1:] == ["data.a", "data.b", "data.c"]
    assert str(caught.value).endswith("; and 2 more")


def test_settings_without_a_name_are_those_of_rsnet():
    """Presets and stored configurations from before there were other networks have no name."""
    assert Config(model={"width": 8}) == Config(model=RSNetConfig(width=8))
    stored = Config(model=RSNetConfig(width=8)).model_dump(mode="json")
    assert list(stored["model"])[0] == "name"  # the first that a resumed run compares
    del stored["model"]["name"]
    assert Config(**stored).model == RSNetConfig(width=8)


def test_the_name_decides_the_settings_of_the_network():
    config = Config(model={"name": "semgcn", "width": 8})
    assert config.model == SemGCNConfig(width=8)
    assert Config(**config.model_dump(mode="json")) == config


def test_samples_of_an_epoch():
    assert TrainConfig().samples(7) == 14
    assert TrainConfig(mirror=False).samples(7) == 7


def test_configuration_is_frozen_and_survives_storage():
    config = Config(model=RSNetConfig(width=8), data=DataConfig(root="somewhere", every=3))
    again = Config(**config.model_dump(mode="json"))
    assert again == config
    with pytest.raises(Exception, match="frozen"):
        config.seed = 1  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", ["h36m_gt", "h36m_hr"])
def test_the_published_recipes_neither_scale_nor_warm_up(name):
    optim = load_preset(find_preset(name)).optim
    assert (optim.base_batch_size, optim.warmup_epochs) == (None, 0)


def test_a_warmup_may_take_the_whole_run():
    assert Config(train={"epochs": 3}, optim={"warmup_epochs": 3}).optim.warmup_epochs == 3


def test_a_root_means_human36m_files():
    assert DataConfig().source == "synthetic"
    assert DataConfig(root="somewhere").source == "h36m"


@pytest.mark.parametrize("name", ["smoke", "smoke.yaml", "configs/smoke.yaml"])
def test_presets_that_come_along_are_found_anywhere(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert find_preset(name).name == "smoke.yaml"
    (tmp_path / "configs").mkdir()
    own = tmp_path / "configs" / "smoke.yaml"
    own.write_text("seed: 3")
    assert load_preset(find_preset("configs/smoke.yaml")).seed == 3


@pytest.mark.parametrize("name", ["nowhere/smoke.yaml", "smoke.txt", "smoke.v2", "smoke.yml"])
def test_a_mistyped_preset_is_not_another_one(name):
    with pytest.raises(ConfigError, match=f"no preset {name}; there are h36m_gt, h36m_hr, .*smoke"):
        find_preset(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {widht: 3}", "unknown setting model.widht"),
        ("- a", "wanted settings"),
        ("model: [", "not readable YAML"),
        ("speed: 3", "unknown setting speed"),
    ],
)
def test_a_bad_preset_is_one_line(tmp_path, text, message):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_preset(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_every_preset_is_sound(name):
    load_preset(find_preset(name))


def test_symmetry_is_signed_unless_asked_for():
    """As published: a longer left bone adds to the penalty, a longer right one subtracts."""
    assert not TrainConfig().absolute_symmetry
    assert not load_preset(find_preset("h36m_hr")).train.absolute_symmetry
