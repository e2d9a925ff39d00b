"""Vector stores: one contract, an adapter each, migration between them and search across them.

| URL | store | extra |
|---|---|---|
| ``path.parquet``, ``.npy``, ``.jsonl`` | files | |
| ``memory://name#collection`` | this process, the reference | |
| ``lancedb:///folder#table`` | LanceDB | ``lancedb`` |
| ``postgresql://user@host/db#table.column`` | PostgreSQL with pgvector | ``postgres`` |
| ``qdrant:///folder#collection``, ``qdrant://host:6333#collection.vector`` | Qdrant | ``qdrant`` |
| ``qdrant-edge:///folder#shard.vector`` | Qdrant Edge | ``qdrant-edge`` |
| ``chroma:///folder#collection``, ``chroma://host:8000#collection`` | Chroma | ``chroma`` |
| ``milvus:///file.db#collection``, ``milvus://host:19530#collection`` | Milvus | ``milvus`` |
| ``duckdb:///file.duckdb#table.column`` | DuckDB | ``duckdb`` |
| ``faiss:///file.faiss`` | FAISS | ``faiss`` |

Secrets come from the environment: ``PGPASSWORD``, ``QDRANT_API_KEY``, ``CHROMA_TOKEN``, ``MILVUS_TOKEN``.
"""

from interlingua.core.records import Records as Records
from interlingua.stores._open import SCHEMES as SCHEMES
from interlingua.stores._open import open_store as open_store
from interlingua.stores._protocol import Capabilities as Capabilities
from interlingua.stores._protocol import Hits as Hits
from interlingua.stores._protocol import Spec as Spec
from interlingua.stores._protocol import Store as Store
from interlingua.stores._protocol import StoreInfo as StoreInfo

__all__ = ["SCHEMES", "Capabilities", "Hits", "Records", "Spec", "Store", "StoreInfo", "open_store"]
