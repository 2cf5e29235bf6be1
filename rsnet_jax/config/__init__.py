"""The configuration: frozen, typed data in sections; impossible values are refused at once."""

from rsnet_jax.config.graph_networks import (
    HOIF_STORED_BLOCKS,
    ExpertsMerge,
    GraphName,
    GraphWeights,
    HGCNConfig,
    HOIFConfig,
    ModulatedGCNConfig,
    ModulatedGCNDetectedConfig,
    SemGCNConfig,
    Sharing,
    WeightUnsharingConfig,
)
from rsnet_jax.config.model_section import HasRefinement, ModelConfig
from rsnet_jax.config.networks import SETTINGS, AnyModelConfig, RSNetConfig, settings_class
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
    "ExpertsMerge",
    "GraphName",
    "GraphWeights",
    "HGCNConfig",
    "HOIFConfig",
    "HOIF_STORED_BLOCKS",
    "HasRefinement",
    "LossName",
    "ModelConfig",
    "ModulatedGCNConfig",
    "ModulatedGCNDetectedConfig",
    "OptimConfig",
    "ParallelConfig",
    "Precision",
    "Residency",
    "RSNetConfig",
    "Seed",
    "SemGCNConfig",
    "Sharing",
    "TrainConfig",
    "WeightUnsharingConfig",
    "TrainingPrecision",
    "find_preset",
    "load_preset",
    "save_preset",
    "settings_class",
]
