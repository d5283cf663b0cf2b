import copy
import itertools
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import fs
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data._utils.pin_memory import pin_memory

from sluice.schemas.errors import InputError
from sluice.tokenizer.loader import columns as loader_columns
from sluice.tokenizer.loader.dataset import COLUMNS, TokenBatch, TokenDataset, TokenLoader
from sluice.tokenizer.loader.files import ShardSet
from sluice.tokenizer.loader.order import Order
from sluice.tokenizer.loader.transport import flatten, unflatten
from sluice.tokenizer.shards import ShardReader
from tests.tokenizer.loader.test_files import FORMAT, numbers_of, write_output
from tests.tokenizer.shard_files import write_shard

NUM_SHARDS, EACH = 2, 301
SIZE = NUM_SHARDS * EACH
SHUFFLES = ("sequences", "blocks", "none")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_output(tmp_path_factory.mktemp("loader") / "out", num_shards=NUM_SHARDS, each=EACH)


def loader_of(output: Path, *, num_workers: int = 0, **settings: Any) -> TokenLoader:
    settings = {"micro_batch_sequences": 2, "columns": (), **settings}
    return TokenLoader(TokenDataset(output, **settings), num_workers=num_workers)


def read(
    loader: Iterator[TokenBatch] | TokenLoader, num_batches: int | None = None
) -> list[list[int]]:
    """Returns which sequences each of some batches has."""
    return [numbers_of(batch.tokens) for batch in itertools.islice(loader, num_batches)]


# --- the order, over ranks, workers and micro-batches ----------------------------------------


class Shape(NamedTuple):
    """How a part of a run is laid out: `steps` are read, and `more` micro-batches of the next."""

    world_size: int
    micro_batch: int
    micro_batches: int
    steps: int
    more: int

    @property
    def step(self) -> int:
        return self.world_size * self.micro_batch * self.micro_batches


shapes = st.builds(
    Shape,
    world_size=st.integers(1, 4),
    micro_batch=st.integers(1, 3),
    micro_batches=st.integers(1, 3),
    steps=st.integers(0, 25),
    more=st.integers(0, 2),
)


def run_part(
    output: Path, shape: Shape, state: dict[str, Any] | None, **settings: Any
) -> tuple[list[int], dict[str, Any]]:
    """Reads a part of a run on all ranks, each broken off at its own point of the last step.

    Returns:
        the sequences of whole steps, and the state, which all ranks agree on.
    """
    whole, states = [], []
    for rank in range(shape.world_size):
        loader = loader_of(
            output,
            micro_batch_sequences=shape.micro_batch,
            global_batch_sequences=shape.step,
            rank=rank,
            world_size=shape.world_size,
            **settings,
        )
        if state is not None:
            loader.load_state_dict(copy.deepcopy(state))
        broken_off = min(shape.more + rank % 2, shape.micro_batches - 1)
        batches = read(loader, shape.steps * shape.micro_batches + broken_off)
        whole += itertools.chain(*batches[: shape.steps * shape.micro_batches])
        states.append(dict(loader.state_dict()))
    assert all(found == states[0] for found in states)
    return whole, states[0]


@given(
    parts=st.lists(shapes, min_size=1, max_size=4),
    shuffle=st.sampled_from(SHUFFLES),
    seed=st.integers(0, 3),
)
def test_nothing_is_lost_or_repeated(
    output: Path, parts: list[Shape], shuffle: str, seed: int
) -> None:
    """However often a run is interrupted and resumed in another shape, it reads the stream's beginning.

    The parts have other ranks, micro-batches and steps; what counts is the whole steps of each. The
    stream, cut into epochs, has every sequence once in each.
    """
    state, got, consumed = None, [], 0
    order = Order(NUM_SHARDS, EACH, shuffle, seed, 2)
    for shape in parts:
        part, state = run_part(output, shape, state, shuffle=shuffle, seed=seed, window_blocks=2)
        consumed += shape.steps * shape.step
        assert state["consumed"] == consumed
        got += part
    assert Counter(got) == Counter(order.sequences(np.arange(consumed)).tolist())
    times = Counter(got).values()
    assert not got or max(times) <= -(-consumed // SIZE)
    assert consumed < SIZE or (len(times) == SIZE and min(times) >= consumed // SIZE)


@given(shape=shapes, shuffle=st.sampled_from(SHUFFLES), start=st.integers(0, 2 * SIZE))
def test_a_step_holds_the_same_on_any_number_of_ranks(
    output: Path, shape: Shape, shuffle: str, start: int
) -> None:
    """Step k is positions [k * G, (k + 1) * G), each rank has its equal share, by place in the files."""
    shares = []
    for rank in range(shape.world_size):
        dataset = TokenDataset(
            output,
            micro_batch_sequences=shape.micro_batch,
            global_batch_sequences=shape.step,
            columns=["positions", "sequences"],
            shuffle=shuffle,
            rank=rank,
            world_size=shape.world_size,
        )
        dataset.consumed = start
        batches = list(itertools.islice(TokenLoader(dataset), dataset.micro_batches))
        for batch in batches:
            assert batch.tokens.shape == (shape.micro_batch, 8)
            numbers_B = dataset.order.sequences(batch.positions.numpy()).tolist()
            assert numbers_B == batch.sequences.tolist() == numbers_of(batch.tokens)
        shares.append(torch.cat([batch.positions for batch in batches]).tolist())
    together = list(itertools.chain(*shares))
    assert sorted(together) == list(range(start, start + shape.step))
    assert len({len(share) for share in shares}) == 1
    numbers_G = dataset.order.sequences(np.array(together))
    assert (np.diff(numbers_G) >= 0).all()


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_ranks_read_their_part_of_the_files(output: Path, shuffle: str) -> None:
    """With large steps a rank's sequences lie near its part of the files, whatever the shuffle."""
    settings = {"micro_batch_sequences": 100, "shuffle": shuffle, "epochs": 1}
    for rank in (0, 1):
        got = itertools.chain(*read(loader_of(output, rank=rank, world_size=2, **settings)))
        share = np.mean([number // EACH == rank for number in got])
        assert share > (0.4 if shuffle == "none" else 0.8)


def test_ranks_share_the_blocks_of_object_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In `blocks`, 4 ranks together read a record batch less than twice in an epoch, not 4 times."""
    write_output(tmp_path / "out", num_shards=8, each=4 * 256)
    subtree = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    reads: Counter[int] = Counter()
    read_batch = ShardSet._read

    def counted(shards: ShardSet, batch: int) -> Any:
        reads[batch] += 1
        return read_batch(shards, batch)

    monkeypatch.setattr(ShardSet, "_read", counted)
    settings = {"shuffle": "blocks", "window_blocks": 8, "global_batch_sequences": 256, "epochs": 1}
    for world_size, limit in ((1, 1.0), (4, 1.8)):
        reads.clear()
        for rank in range(world_size):
            ranks = {"rank": rank, "world_size": world_size}
            read(loader_of(Path("out"), filesystem=subtree, **settings, **ranks))
        assert set(reads) == set(range(32))
        assert reads.total() <= limit * 32


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_workers_do_not_show(output: Path, num_workers: int) -> None:
    """Real worker processes: order, columns and state are those of none, also where a run is broken off.

    Workers are ahead of the loop by then; what they read for nothing is in no state.
    """
    settings = {"global_batch_sequences": 10, "columns": COLUMNS, "epochs": 1, "seed": 5}
    alone, workers = (loader_of(output, num_workers=n, **settings) for n in (0, num_workers))
    for expected, got in itertools.islice(zip(alone, workers, strict=True), 43):
        assert_equal(expected, got)
    assert workers.state_dict() == alone.state_dict()
    assert workers.state_dict()["consumed"] == 43 * 2 // 10 * 10
    assert read(workers) == read(alone)
    assert workers.state_dict()["consumed"] == alone.state_dict()["consumed"] == 600


def assert_equal(expected: TokenBatch, got: TokenBatch) -> None:
    """Asserts that two batches have the same fields, types included."""
    assert got.max_seqlen == expected.max_seqlen
    for one, other in zip(expected, got, strict=True):
        if isinstance(one, torch.Tensor):
            torch.testing.assert_close(other, one, rtol=0, atol=0)


def test_a_checkpoint_survives_torch_and_workers(output: Path, tmp_path: Path) -> None:
    """Saved by one rank with workers, loaded by two without: the epoch continues."""
    settings = {"global_batch_sequences": 12, "epochs": 1}
    first = loader_of(output, num_workers=2, **settings)
    got = read(first, 20)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    for rank in (0, 1):
        loader = loader_of(output, rank=rank, world_size=2, **settings)
        loader.load_state_dict(torch.load(tmp_path / "state.pt"))
        got += read(loader)
    times = Counter(itertools.chain(*got[:18], *got[20:]))
    assert set(times.values()) == {1}
    assert len(times) == SIZE // 12 * 12


def test_workers_of_another_file_system(output: Path) -> None:
    """Shards that cannot be mapped are read by workers that are spawned, to the same batches."""
    subtree = fs.SubTreeFileSystem(str(output), fs.LocalFileSystem())
    settings = {"shuffle": "blocks", "window_blocks": 1, "epochs": 1}
    loader = loader_of(Path(), num_workers=1, filesystem=subtree, **settings)
    assert loader.multiprocessing_context.get_start_method() == "spawn"
    assert read(loader, 40) == read(loader_of(output, **settings), 40)


def test_a_loader_of_ones_own(output: Path) -> None:
    """The dataset does in a plain DataLoader, with its order, and from where it is told to begin."""
    dataset = TokenDataset(output, micro_batch_sequences=2, columns=COLUMNS)
    dataset.consumed = 100
    plain = DataLoader(dataset, batch_size=None, num_workers=2)
    for expected, got in itertools.islice(zip(TokenLoader(dataset), plain, strict=False), 9):
        assert_equal(expected, got)
        assert int(got.positions.min()) >= 100


# --- posts that are forgotten while a training is under way ----------------------------------


def forgotten_from(output: Path, folder: Path) -> Path:
    """Returns a copy of an output: in its first shard three tokens of each sequence are padding."""
    shutil.copytree(output, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    entry = manifest["shards"][0]
    (batches,) = [list(ShardReader(folder / entry["path"]).batches())]
    rows = [(batch.tokens_SL.copy(), batch.doc_ends) for batch in batches]
    for tokens_SL, _ in rows:
        tokens_SL[:, 1:4] = FORMAT.pad_id
    made = write_shard(folder / entry["path"], rows, format=FORMAT)
    assert made.num_bytes == entry["bytes"]
    entry |= {"written_sha256": entry["sha256"], "sha256": made.sha256}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_training_goes_on_over_what_was_forgotten(output: Path, tmp_path: Path) -> None:
    """A state that was saved before is taken; the sequences come in the same order, at the same places."""
    before = loader_of(output, columns=COLUMNS)
    list(itertools.islice(before, 7))
    state = before.state_dict()
    after = loader_of(forgotten_from(output, tmp_path / "out"), columns=COLUMNS)
    after.load_state_dict(state)
    embedding, model, changed = nn.Embedding(16, 4), nn.Linear(4, 16), 0
    cross_entropy = nn.CrossEntropyLoss(reduction="sum")
    for old, new in itertools.islice(zip(before, after, strict=True), 100):
        for name in ("positions", "sequences", "cu_seqlens", "position_ids", "document_ids"):
            assert torch.equal(getattr(old, name), getattr(new, name))
        gone = old.tokens != new.tokens
        changed += int(gone.sum())
        assert torch.all(new.labels[gone] == -100)
        assert torch.all(new.labels[:, :-1][gone[:, 1:]] == -100)
        is_label = new.labels != -100
        assert torch.equal(new.labels[is_label], old.labels[is_label])
        loss = model(embedding(new.tokens % 16)).flatten(0, 1)
        loss = cross_entropy(loss, torch.where(is_label, new.labels % 16, -100).flatten())
        (loss / is_label.sum().clamp(min=1)).backward()
        assert loss.isfinite()
        assert all(weights.grad.isfinite().all() for weights in model.parameters())
    assert changed


# --- what a batch has ------------------------------------------------------------------------


@pytest.mark.parametrize("name", COLUMNS)
def test_only_what_is_asked_for_is_there(
    output: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One column asked for is one column made; the functions of the others are not called."""
    for other in set(COLUMNS) - {name, "positions", "sequences", "outputs"}:
        monkeypatch.delattr(loader_columns, other)
    batch = next(iter(loader_of(output, columns=[name])))
    there = {field for field, value in batch._asdict().items() if value is not None}
    assert there == {"tokens", name} | ({"max_seqlen"} if name == "cu_seqlens" else set())


def test_columns_are_those_of_the_rows(output: Path) -> None:
    """Each column is that of its function over the rows of the shards."""
    loader = loader_of(output, columns=COLUMNS, micro_batch_sequences=5)
    pad_id = loader.dataset.format.pad_id
    for batch in itertools.islice(loader, 20):
        rows = ShardSet(output).rows(batch.sequences.numpy())
        starts_C1, longest = loader_columns.cu_seqlens(loader_columns.segment_starts(rows))
        expected = TokenBatch(
            *(torch.tensor(rows.tokens_BL), torch.from_numpy(starts_C1), longest),
            torch.from_numpy(loader_columns.position_ids(rows, starts_C1)),
            torch.from_numpy(loader_columns.document_ids(rows, starts_C1)),
            torch.from_numpy(loader_columns.labels(rows, pad_id=pad_id)),
            *(batch.positions, batch.sequences, torch.zeros_like(batch.sequences)),
        )
        assert_equal(expected, batch)
        assert int(batch.cu_seqlens[-1]) == batch.tokens.numel()


@pytest.mark.filterwarnings("error")
def test_a_tensor_is_the_mapped_file(output: Path) -> None:
    """Neighbours share memory with each other and with the map, without a warning; it outlives the loader."""
    loader = loader_of(output, shuffle="none")
    first, second = itertools.islice(loader, 2)
    assert second.tokens.data_ptr() == first.tokens.data_ptr() + first.tokens.nbytes
    del loader
    assert numbers_of(second.tokens) == [2, 3]
    mixed = next(iter(loader_of(output, shuffle="sequences")))
    mixed.tokens.zero_()  # a copy belongs to the caller


def test_what_leaves_a_worker_comes_back(output: Path) -> None:
    """Packing and unpacking gives the batch again, whatever is None."""
    for columns in (COLUMNS, (), ("labels", "cu_seqlens")):
        batch = next(iter(loader_of(output, columns=columns, micro_batch_sequences=3)))
        assert_equal(batch, TokenBatch(*unflatten(flatten(batch))))


def test_a_pinned_batch_comes_back(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch's pinning makes of a batch, packed or not, is the batch; only the copying is played here."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor, *device: tensor.clone())
    batch = next(iter(loader_of(output, columns=COLUMNS)))
    assert_equal(batch, pin_memory(batch))
    assert_equal(batch, TokenBatch(*unflatten(pin_memory(flatten(batch)))))


# --- ends, ranks, errors ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "step", "steps"), [(1, 100, 6), (1, 602, 1), (2, 100, 12), (3, 301, 6)]
)
def test_epochs_end_at_a_whole_step(output: Path, epochs: int, step: int, steps: int) -> None:
    """There are floor(epochs * N / G) steps; a second iteration has nothing left."""
    loader = loader_of(output, micro_batch_sequences=1, global_batch_sequences=step, epochs=epochs)
    assert len(read(loader)) == steps * step
    assert loader.state_dict()["consumed"] == steps * step
    assert read(loader) == []


def test_iterating_again_goes_on(output: Path) -> None:
    """A second iteration begins after the last whole step of the first, as a resumed run would."""
    loader = loader_of(output, global_batch_sequences=6)
    first = read(loader, 8)
    second = read(loader, 4)
    assert second[:2] == first[6:8]
    assert [*first, *second[2:]] == read(loader_of(output, global_batch_sequences=6), 10)


def test_ranks_come_from_the_environment(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RANK and WORLD_SIZE count where no rank is given and torch.distributed is not set up."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert read(loader_of(output), 9) == read(loader_of(output, rank=1, world_size=3), 9)
    assert read(loader_of(output, rank=0, world_size=1), 9) != read(loader_of(output), 9)


def test_ranks_come_from_torch_distributed(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An initialised process group goes before the environment."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    store = (tmp_path / "store").as_uri()
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        assert read(loader_of(output), 9) == read(loader_of(output, rank=0, world_size=1), 9)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"micro_batch_sequences": 0}, ValueError, "must be at least 1, got 0"),
        ({"epochs": 0}, ValueError, "must be at least 1, got 2, 2, 0"),
        (
            {"global_batch_sequences": 10, "rank": 0, "world_size": 3},
            ValueError,
            r"global_batch_sequences = 10 must be a multiple of world_size \* micro_batch_sequences = 3 \* 2",
        ),
        (
            {"global_batch_sequences": 604},
            InputError,
            "hold 602 sequences, fewer than a step of .* = 604",
        ),
        (
            {"rank": 3, "world_size": 3},
            ValueError,
            r"rank must be in \[0, world_size\), got 3 of 3",
        ),
        ({"rank": 3}, ValueError, "give both rank and world_size or none, got 3 and None"),
        ({"columns": ["label"]}, ValueError, "columns has 'label'; did you mean 'labels'"),
        ({"shuffle": "rows"}, ValueError, "shuffle must be one of"),
    ],
)
def test_settings_are_checked(
    output: Path, settings: dict[str, Any], kind: type[Exception], message: str
) -> None:
    """A setting that cannot work is refused when the dataset is made, by name and with what it got."""
    with pytest.raises(kind, match=message):
        loader_of(output, **settings)


def test_a_batch_fits_the_dtype_of_its_segments(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of more tokens than an int32 counts is refused; here the limit is 15, and 16 are asked for."""
    monkeypatch.setattr("sluice.tokenizer.loader.dataset.MAX_BATCH_TOKENS", 15)
    with pytest.raises(ValueError, match=r"2 of 8 tokens must be below 2\^31 tokens"):
        loader_of(output)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version of the checkpoint must be 1, as that of this loader, got 2"),
        ({"shards": "0" * 64}, "shards of the checkpoint must be '"),
        ({"seed": 9}, "seed of the checkpoint must be 0, as that of this loader, got 9"),
        ({"shuffle": "none"}, "shuffle of the checkpoint must be 'sequences'"),
        ({"window_blocks": None}, "window_blocks of the checkpoint must be 32"),
        ({"consumed": -1}, "consumed of the checkpoint must be a number, got -1"),
        ({"consumed": "3"}, "consumed of the checkpoint must be a number, got '3'"),
    ],
)
def test_another_checkpoint_is_refused(output: Path, change: dict[str, Any], message: str) -> None:
    """A state of other shards or another order does not load, and leaves the loader as it was."""
    loader = loader_of(output)
    read(loader, 3)
    before = loader.state_dict()
    with pytest.raises(ValueError, match=message):
        loader.load_state_dict({**before, **change})
    with pytest.raises(ValueError, match="must be"):
        loader.load_state_dict({})
    assert loader.state_dict() == before


def test_torch_is_imported_by_the_loader_alone() -> None:
    """The tokenizer's other modules, the loader's own parts among them, work without torch."""
    code = (
        "import sys, sluice.tokenizer.shards\n"
        "import sluice.tokenizer.loader.files, sluice.tokenizer.loader.columns\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
