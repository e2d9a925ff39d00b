"""Methods of alignment, one module each, reached by name; :mod:`interlingua.aligners.base` has their contract."""

from interlingua.aligners.base import Aligner, Fit, OnStep, PairUse, Problem
from interlingua.aligners.registry import (
    ENTRY_POINTS,
    METHODS,
    Setting,
    available_methods,
    check_known_settings,
    check_method_name,
    constructor_settings,
    create_aligner,
    describe_settings,
    method_name,
    optional_use,
    pair_use,
    settings_of,
)
from interlingua.aligners.setting_files import read_settings

__all__ = [
    "ENTRY_POINTS",
    "METHODS",
    "Aligner",
    "Fit",
    "OnStep",
    "PairUse",
    "Problem",
    "Setting",
    "available_methods",
    "check_known_settings",
    "check_method_name",
    "constructor_settings",
    "create_aligner",
    "describe_settings",
    "method_name",
    "optional_use",
    "pair_use",
    "read_settings",
    "settings_of",
]
