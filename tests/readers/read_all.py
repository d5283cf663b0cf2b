"""Runs the readers of this folder, and a page's code, in one process: read_all.py PLAN.

PLAN is a JSON file: {"megatron": [[PREFIX, TARGET], ...], "mds": [[FOLDER, TARGET], ...],
"datasets": [[TARGET, SHARD, ...]], "page": [[CODE, TARGET]]}. One process, because loading the libraries
takes longer than reading.
"""

import json
import sys
from pathlib import Path

import read_datasets
import read_mds
import read_megatron
import read_page

READERS = {
    "megatron": read_megatron.main,
    "mds": read_mds.main,
    "datasets": read_datasets.main,
    "page": read_page.main,
}

if __name__ == "__main__":
    for name, calls in json.loads(Path(sys.argv[1]).read_text()).items():
        for arguments in calls:
            READERS[name](*arguments)
