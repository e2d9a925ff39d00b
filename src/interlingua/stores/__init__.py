"""Vector stores: one contract with an adapter for each database, migration between stores, and search across two.

`STORES` lists what can be opened: addresses, extras, and where passwords and keys are read from. `available_stores`
also lists the stores that other installed packages add.
"""

from interlingua.core.records import Records as Records
from interlingua.stores._capabilities import Capabilities as Capabilities
from interlingua.stores._open import input_files as input_files
from interlingua.stores._open import open_source as open_source
from interlingua.stores._open import open_store as open_store
from interlingua.stores._protocol import Hits as Hits
from interlingua.stores._protocol import Spec as Spec
from interlingua.stores._protocol import Store as Store
from interlingua.stores._protocol import StoreInfo as StoreInfo
from interlingua.stores._url import StoreURL as StoreURL
from interlingua.stores.registry import STORES as STORES
from interlingua.stores.registry import StoreKind as StoreKind
from interlingua.stores.registry import available_stores as available_stores

__all__ = [
    "STORES",
    "Capabilities",
    "Hits",
    "Records",
    "Spec",
    "Store",
    "StoreInfo",
    "StoreKind",
    "StoreURL",
    "available_stores",
    "input_files",
    "open_source",
    "open_store",
]
