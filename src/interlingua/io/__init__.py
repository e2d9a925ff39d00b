"""Embedding files: lazy reading, and writing that can resume after an interruption.

| format                 | vectors                            | ids and payload    | scale of 8-bit integers      |
|------------------------|------------------------------------|--------------------|------------------------------|
| .npy                   | the array, mapped                  | none               | the ``scale`` argument       |
| .npz                   | 2-D member, mapped if uncompressed | 1-D members of n   | member ``scale``, () or [d]  |
| .safetensors           | 2-D tensor, mapped                 | 1-D tensors of n   | tensor ``scale``, () or [d]  |
| .fvecs, .fbin          | float32 records or rows, mapped    | none               | no 8-bit integers            |
| .parquet               | list column, streamed              | all other columns  | metadata `interlingua.scale` |
| .jsonl, .ndjson (.gz)  | list of numbers, streamed          | all other keys     | the ``scale`` argument       |

These are only read:

| format                 | vectors                            | ids and payload    | scale of 8-bit integers      |
|------------------------|------------------------------------|--------------------|------------------------------|
| folder of .parquet     | list column, streamed              | columns, Hive keys | metadata `interlingua.scale` |
| .arrow, .feather, .ipc | list column, streamed              | all other columns  | metadata `interlingua.scale` |
| .csv, .csv.gz          | text or one column per dimension   | all others, as text| none                         |
| .h5, .hdf5             | 2-D dataset, streamed              | 1-D datasets of n  | dataset ``scale``, () or [d] |
| .vec                   | the numbers of a line, streamed    | the words          | none                         |
| .bvecs, .u8bin, .i8bin | integers, mapped                   | none               | 1, or the ``scale`` argument |
| .ivecs                 | int32 records, mapped              | none               | no 8-bit integers            |

A column or array named ``id``, ``ids``, ``_id``, ``docid`` or the like holds the ids unless ``id_column`` says
otherwise. An int8 vector ``q`` means ``q * scale + offset``, or ``(q - zero_point) * scale``. It is returned as
float32, and bfloat16 is too. Numbers in JSON are returned as float32.
"""

from interlingua.core.records import Records as Records
from interlingua.io._checks import check_output as check_output
from interlingua.io._files import VectorFile as VectorFile
from interlingua.io._files import open_vectors as open_vectors
from interlingua.io._formats import EXTENSIONS as EXTENSIONS
from interlingua.io._formats import READ_ONLY as READ_ONLY
from interlingua.io._texts import read_labels as read_labels
from interlingua.io._texts import read_texts as read_texts
from interlingua.io._writer import VectorWriter as VectorWriter
from interlingua.io._writer import create_writer as create_writer

__all__ = [
    "EXTENSIONS",
    "READ_ONLY",
    "Records",
    "VectorFile",
    "VectorWriter",
    "check_output",
    "create_writer",
    "open_vectors",
    "read_labels",
    "read_texts",
]
