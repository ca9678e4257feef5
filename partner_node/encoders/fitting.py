"""Fitting an encoder: on the events up to one date, of a sample of customers, without labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from partner_node.encoders.aggregates import Aggregates
from partner_node.encoders.decorrelation import fit_components
from partner_node.encoders.event_base import EventBase
from partner_node.encoders.model_folder import Encoder, EventsDescribed, with_weights
from partner_node.encoders.network import batch_of, build, represent, torch_for
from partner_node.encoders.reasons import reasons
from partner_node.encoders.sequences import Sequences, read_sequences
from partner_node.encoders.training import CUSTOMERS, Schedule, train
from partner_node.encoders.vocabulary import Vocabulary
from protocol.draws import draw
from protocol.errors import DataError

SAMPLE: Final = 20_000
"""Customers that are fitted on at most."""
_HISTORY: Final = 128
"""Events of a customer that pieces are drawn from."""
_BATCH: Final = 1024


@dataclass(frozen=True)
class Wanted:
    """What is asked of an encoder. columns: learned ones; 0 for hand aggregates alone."""

    columns: int
    windows: tuple[int, ...]
    seed: int = 7
    schedule: Schedule = field(default_factory=Schedule)


def fit(events: EventBase, vocabulary: Vocabulary, until: np.datetime64, wanted: Wanted) -> Encoder[EventsDescribed]:
    """An encoder fitted on what was known at `until`.

    Raises: UsageError: torch is missing. DataError: fewer than 1,000 customers have an event by then.
    """
    (known,) = (
        events.base.execute("SELECT DISTINCT entity FROM events WHERE t <= ? ORDER BY 1", [until]).fetchnumpy().values()
    )
    described = EventsDescribed(
        vocabulary=vocabulary, windows=wanted.windows, amounts=bool(events.keys.amount), learned=wanted.columns,
        seed=wanted.seed, fitted_until=str(until)[:10], customers=len(known),
    )  # fmt: skip
    if not wanted.columns:
        return Encoder(described)
    torch = torch_for(events.party)
    if len(known) < CUSTOMERS:
        thing = f"{len(known)} customers have an event up to {str(until)[:10]}, and a fit needs at least {CUSTOMERS:,}"
        raise DataError(events.party, thing, "give a later --fit-until, or ask for --columns 0")
    _sample(events, np.ma.getdata(known), until, wanted.seed)
    return _learn(torch, events, described, wanted)


def _sample(events: EventBase, known: npt.NDArray[Any], until: np.datetime64, seed: int) -> None:
    """Table `sample(entity, point)`."""
    chosen = np.sort(draw(seed, "customers").permutation(len(known))[:SAMPLE])
    entity = known[chosen].astype(np.int32)
    events.base.register("given", {"entity": entity, "point": np.full(len(entity), until.astype("datetime64[us]"))})
    events.base.execute("CREATE TABLE sample AS SELECT * FROM given ORDER BY entity")
    events.base.unregister("given")


def _learn(torch: Any, events: EventBase, described: EventsDescribed, wanted: Wanted) -> Encoder[EventsDescribed]:
    vocabulary, chosen = described.vocabulary, "SELECT entity, point FROM sample"
    kinds = len(vocabulary.names)
    device = device_of(torch)
    network = train(
        torch, device, read_sequences(events, vocabulary, chosen, _HISTORY), kinds, wanted.seed, wanted.schedule
    )
    rows = represented(torch, device, network, kinds, read_sequences(events, vocabulary, chosen))
    components = fit_components(rows, wanted.columns)
    aggregates = Aggregates(vocabulary, described.windows, described.amounts)
    named = reasons(components(rows), sampled_aggregates(events, aggregates), aggregates.names)
    update = {"learned": components.turned.shape[1], "reasons": tuple(tuple(found) for found in named)}
    weights = {name: values.detach().cpu().numpy() for name, values in network.state_dict().items()}
    return with_weights(described.model_copy(update=update), weights, components)


def sampled_aggregates(events: EventBase, aggregates: Aggregates) -> npt.NDArray[np.float64]:
    """Hand aggregates of the sample, in its order, shape (n, columns)."""
    query = aggregates.query(
        "SELECT entity, point FROM sample", "SELECT * FROM events WHERE entity IN (SELECT entity FROM sample)"
    )
    found = events.base.sql(f"{query} ORDER BY 1, 2").fetchnumpy()
    columns = [np.ma.filled(np.ma.asarray(found[name]).astype(np.float64), np.nan) for name in aggregates.names]
    return np.stack(columns, axis=1)


def device_of(torch: Any) -> Any:
    """A GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def network_of(torch: Any, device: Any, encoder: Encoder[EventsDescribed]) -> Any:
    """The network with its pinned weights."""
    network = build(torch, len(encoder.described.vocabulary.names))
    network.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in encoder.weights.items()})
    return network.to(device).eval()


def represented(torch: Any, device: Any, network: Any, kinds: int, sequences: Sequences) -> npt.NDArray[np.float32]:
    """The network's rows for sequences, shape (n, width); short ones are computed together."""
    lengths = np.diff(sequences.starts)
    order = np.argsort(lengths, kind="stable")
    pieces = [order[first : first + _BATCH] for first in range(0, len(order), _BATCH)]
    with torch.no_grad():
        found = [_represent(torch, device, network, kinds, sequences, rows) for rows in pieces]
    rows = np.concatenate(found)
    result = np.empty_like(rows)
    result[order] = rows
    return result


def _represent(
    torch: Any, device: Any, network: Any, kinds: int, sequences: Sequences, rows: Sequence[int] | npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    batch = batch_of(torch, device, sequences, np.asarray(rows), kinds)
    found: npt.NDArray[np.float32] = represent(torch, network, batch).cpu().numpy()
    return found
