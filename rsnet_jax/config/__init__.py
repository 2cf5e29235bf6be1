"""The configuration: frozen, typed data in sections; impossible values are refused at once."""

from rsnet_jax.config.networks import (
    SETTINGS,
    AnyModelConfig,
    HasRefinement,
    HGCNConfig,
    ModelConfig,
    RSNetConfig,
    SemGCNConfig,
    settings_class,
)
from rsnet_jax.config.presets import find_preset, load_preset, save_preset
from rsnet_jax.config.section import PRECISIONS, Precision
from rsnet_jax.config.sections import (
    SUBJECTS_TEST,
    SUBJECTS_TRAIN,
    Config,
    DataConfig,
    LossName,
    OptimConfig,
    ParallelConfig,
    Residency,
    Seed,
    TrainConfig,
    TrainingPrecision,
)

__all__ = [
    "PRECISIONS",
    "SETTINGS",
    "SUBJECTS_TEST",
    "SUBJECTS_TRAIN",
    "AnyModelConfig",
    "Config",
    "DataConfig",
    "HGCNConfig",
    "HasRefinement",
    "LossName",
    "ModelConfig",
    "OptimConfig",
    "ParallelConfig",
    "Precision",
    "Residency",
    "RSNetConfig",
    "Seed",
    "SemGCNConfig",
    "TrainConfig",
    "TrainingPrecision",
    "find_preset",
    "load_preset",
    "save_preset",
    "settings_class",
]
