"""A bank and its partners in one process, from arrays: without files, alignment or sessions.

What tests of the algorithms and benchmarks start from. The roles are the real ones, and every message between them
becomes bytes and back; partners answer at the same time, in threads, as they would in processes of their own.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from secrets import token_bytes

import numpy as np
import numpy.typing as npt

from bank_node.family.bank_columns import BankColumns
from bank_node.family.objective import objective_of
from bank_node.partners.partner_view import KnownSplits, PartnerView
from bank_node.trees.boosting import boost
from bank_node.trees.task import Boosted, Task
from partner_node.algorithms.binning import bin_table
from partner_node.algorithms.boosting import BoostingAnswerer, BoostingState
from partner_node.algorithms.sealing import sealer_of
from partner_node.policy.budgets import Budgets
from protocol.algorithms.binning import Cutting, apply_rule, fit_rule
from protocol.algorithms.boosting import Opening, Splits
from protocol.algorithms.group import ROW_KEY_BYTES
from protocol.algorithms.parameters import BoostingParams
from protocol.algorithms.runs import Label
from protocol.algorithms.sealing import RowKeys, SplitPads
from protocol.contract import Contract
from protocol.he.base import NO_KEYS, KeyPair
from protocol.he.engines import evaluator, new_keys, secret_kit
from protocol.he.streams import digest, fresh_key
from protocol.messages import F64, I64, Message, decode, encode
from protocol.role import Replies, Requests, drive
from protocol.settings.preparation import Preparation
from protocol.table import Column

OPEN = Contract(
    min_rows_per_bin=0,
    min_split_side=0.0,
    min_rows_per_node=0,
    max_equations_share=1e9,
    max_information_share=1.0,
    histogram_noise=0.0,
)
"""A contract without limits or noise, under which equalities are exact."""

JOB = "0" * 64


@dataclass
class Laboratory:
    """One training at a time over the parties given.

    y: labels, shape (n,). bank: its columns. partners: columns by name. positions: where each of the bank's rows
    stands in a partner's table, -1 if not held, by name. folder: for the partners' budgets. weights: of the rows,
    shape (n,). nonce: of the training under way. row_keys: the partner's and the bank's, by partner; None where nothing
    is sealed.
    directions: that partners declare of their columns, by column. keys: of the engine, else new ones.
    """

    y: F64
    bank: Sequence[Column]
    partners: Mapping[str, Sequence[Column]]
    positions: Mapping[str, I64]
    folder: Path
    contract: Contract = OPEN
    engine: str = "plaintext"
    split_rows: str = "all"
    noise_key: bytes = b"n" * 32
    weights: F64 | None = None
    directions: Mapping[str, int] = field(default_factory=dict)
    prepare: Mapping[str, Mapping[str, Preparation]] = field(default_factory=dict)
    keys: KeyPair = NO_KEYS
    answerers: dict[str, BoostingAnswerer] = field(default_factory=dict)
    nonce: bytes = field(default_factory=fresh_key)
    row_keys: dict[str, tuple[RowKeys | None, RowKeys | None]] = field(default_factory=dict)

    def train(
        self, params: BoostingParams, seed: int = 0, fitted: npt.NDArray[np.bool_] | None = None, party_set: int = 0
    ) -> Boosted:
        """Bin, compute hints, and train. fitted: those trained on; early stopping judges on the others."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.nonce, train = fresh_key(), np.ones(len(self.y), dtype=bool) if fitted is None else fitted
        with ThreadPoolExecutor(max(1, len(self.partners))) as threads:
            views = tuple(threads.map(lambda name: self.view(name, params.cutting), self.partners))
            self.task = self._task(params, seed, train, views, party_set)

            def exchange(requests: Requests) -> Replies:
                replies = {p: threads.submit(self.reply, p, message) for p, message in requests.items()}
                return {party: reply.result() for party, reply in replies.items()}

            return drive(boost(self.task), exchange)

    def reply(self, party: str, message: Message) -> Message:
        return over_the_wire(self.answerers[party].handle(over_the_wire(message)))

    def _task(
        self,
        params: BoostingParams,
        seed: int,
        train: npt.NDArray[np.bool_],
        views: tuple[PartnerView, ...],
        party_set: int,
    ) -> Task:
        columns = self.own(params.cutting)
        weights = np.ones(len(self.y)) if self.weights is None else self.weights
        return Task(
            label=Label("sums", JOB, party_set=party_set),
            bank="bank",
            objective=objective_of(params, self.y, weights),
            train=train,
            validation=~train & bool(params.early_stopping_rounds),
            params=params,
            seed=seed,
            min_rows_per_node=self.contract.min_rows_per_node,
            histogram_noise=self.contract.histogram_noise,
            columns=columns,
            partners=views,
        )

    def own(self, cutting: Cutting) -> BankColumns:
        """The bank's columns, binned over all rows."""
        rules = tuple(fit_rule(column, cutting, 1) for column in self.bank)
        bins = [apply_rule(rule, column) for rule, column in zip(rules, self.bank, strict=True)]
        return BankColumns(tuple(column.name for column in self.bank), rules, np.stack(bins, axis=1))

    def view(self, name: str, cutting: Cutting) -> PartnerView:
        """Both ends of one partner, aligned by `positions`."""
        own = {c.name: self.directions[c.name] for c in self.partners[name] if c.name in self.directions}
        first = self.partners[name][0]
        least = self.contract.smallest_bin(max(first.numbers.size, first.codes.size))
        table = bin_table(name, self.partners[name], cutting, least, own)
        table = replace(table, prepare=self.prepare.get(name, {}))
        rows, positions = len(table.bins), self.positions[name].astype(np.int64)
        matrix, seed = table.aligned(np.arange(rows)), fresh_key()
        keys = self.keys if self.keys.public else new_keys(self.engine, "bank")
        budgets = Budgets(self.folder / f"{name}.sqlite", name)
        engine = evaluator(self.engine, "bank", fresh_key(), matrix, seed, budgets, keys.public)
        matched = int((positions >= 0).sum())
        self.row_keys[name] = keys_of_all, keys_of_bank = self._row_keys(rows, positions)
        self.answerers[name] = BoostingAnswerer(
            party=name,
            state=BoostingState("bank", "data", "alignment", matched, rows),
            table=table,
            matrix=matrix,
            evaluator=engine,
            contract=self.contract,
            budgets=budgets,
            split_rows=self.split_rows,
            enforced=True,
            keep=lambda run, handles: JOB,
            sealer=sealer_of(keys_of_all, layout_of(name), partial(budgets.pad_of, "alignment", table.digest)),
            bound=False,
        )
        run = budgets.open_run("bank", "data", JOB, self.nonce, self.noise_key, None).number
        opening = Opening(job=JOB, run=run, layout=layout_of(name), rows=matched, equations=0, equations_a_tree=1)
        self.answerers[name].handle(opening)
        kit = secret_kit(self.engine, name, fresh_key(), seed, engine.hint(), rows, keys)
        pads = SplitPads(keys_of_bank, Splits.KIND, layout_of(name)) if keys_of_bank else None
        known = KnownSplits(rows)
        return PartnerView(
            name=name,
            layout=layout_of(name),
            columns=table.shapes,
            positions=positions,
            kit=kit,
            known=known,
            split_rows=self.split_rows,
            run=run,
            pads=pads,
            most_thresholds=self.contract.max_thresholds_a_column,
        )

    def _row_keys(self, rows: int, positions: I64) -> tuple[RowKeys | None, RowKeys | None]:
        """The partner's and the bank's row keys; split_rows "node" is for shared alignment, which has none."""
        if self.split_rows == "node":
            return None, None
        keys = np.frombuffer(token_bytes(rows * ROW_KEY_BYTES), dtype=np.uint8).reshape(rows, ROW_KEY_BYTES)
        held = positions[positions >= 0]
        return RowKeys(rows, np.arange(rows), keys), RowKeys(rows, held, keys[held])


def layout_of(party: str) -> str:
    """What a partner's layout and design are called here."""
    return digest(party.encode()).hex()


def over_the_wire(message: Message) -> Message:
    """The message as it comes out of its bytes."""
    return decode(message.KIND, encode(message))
