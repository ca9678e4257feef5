"""Partners that hide their scores in the sum: the model is the same to the last bit, and no single score is read."""

from itertools import pairwise, product
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_node.partners.masks import agree_on_masks
from experiments.laboratory import JOB, OPEN
from experiments.laboratory.glm import GlmLaboratory
from partner_node.algorithms.glm import Planned
from protocol.algorithms.glm import MOST_DECIMALS, Coefficients, MaskedCoefficients, rounded
from protocol.algorithms.glm_parameters import GlmParams
from protocol.algorithms.masks import MaskKey, MaskKeyQuery, Member, PeerKey, PeerKeys, masked, name, opened
from protocol.errors import IntegrityError, PeerError, RefusedError, TransportError
from protocol.he.streams import digest
from protocol.messages import encode
from protocol.role import drive
from tests.conformance.test_glm import laboratory

NAMES = ("bureau", "registry", "telecom")
PARAMS = GlmParams(max_bin=4, min_iv=0)
WORDS = st.integers(-(2**62) // 4, 2**62 // 4)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), parties=st.integers(2, 5), rows=st.integers(0, 40), label=st.text(max_size=9))
def test_masks_cancel_in_the_sum_and_in_no_smaller_one(data, parties, rows, label):
    names = [f"partner {k}" for k in range(parties)]
    pairs = {(a, b): digest(f"{a} {b}".encode()) for a in names for b in names if a < b}
    secrets = {a: {b: pairs[min(a, b), max(a, b)] for b in names if b != a} for a in names}
    vectors = [np.array(data.draw(st.lists(WORDS, min_size=rows, max_size=rows)), dtype=np.int64) for _ in names]
    hidden = [masked(v, a, secrets[a], label) for a, v in zip(names, vectors, strict=True)]
    assert opened(hidden).tolist() == sum(vectors).tolist()
    if rows > 8:
        assert all((h.view(np.int64) != v).any() for h, v in zip(hidden, vectors, strict=True))
        assert (opened(hidden[1:]) != sum(vectors[1:])).any()


def test_what_one_partner_sends_is_uniform_whatever_it_hides():
    secret = {"telecom": digest(b"secret")}
    sent = masked(np.full(40_000, 7, dtype=np.int64), "bureau", secret, "label")
    octets = np.bincount(sent.view(np.uint8), minlength=256)
    assert ((octets - octets.mean()) ** 2 / octets.mean()).sum() < 360  # chi-square of 255 degrees: 1 in 50,000 above
    other = masked(np.full(40_000, 7, dtype=np.int64), "bureau", secret, "another label")
    assert not (sent == other).any()
    assert abs(np.corrcoef(sent.astype(float), other.astype(float))[0, 1]) < 0.03


def shared(folder: Path, seed: int, n: int, partners: tuple[str, ...] = NAMES, hidden: bool = True) -> GlmLaboratory:
    """As `laboratory`, of partners that share one order of rows."""
    lab = laboratory(folder, seed, n, partners, contract=OPEN)
    rng = np.random.default_rng(seed)
    lab.positions = {p: np.where(rng.random(n) < 0.85, np.arange(n), -1) for p in partners}
    lab.shared, lab.masked = True, hidden
    return lab


@pytest.mark.parametrize("engine", ["plaintext", "blind"])
def test_a_fit_is_the_same_to_the_last_bit_with_masks_and_without(tmp_path, engine):
    found = {}
    for hidden in (False, True):
        lab = shared(tmp_path / f"{hidden}", 5, 400, hidden=hidden)
        lab.engine = engine
        found[hidden] = lab.fit(PARAMS, np.arange(400) < 330)
    clear, dark = found[False], found[True]
    assert dark.model.sha256 == clear.model.sha256
    assert (dark.margin.tobytes(), dark.steps) == (clear.margin.tobytes(), clear.steps)
    assert dark.summed
    assert not clear.summed
    assert (dark.parts[1] == clear.parts[1:].sum(axis=0)).all()
    assert np.abs(clear.parts[1:]).max() > 0


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A laboratory after a fit under masks, and one release that was asked of its first partner."""
    lab = shared(tmp_path_factory.mktemp("masks"), 5, 400, NAMES[:2])
    seen, exchange = [], lab.exchange
    lab.exchange = lambda requests: (seen.append(requests), exchange(requests))[1]
    fit = lab.fit(PARAMS)
    asked = [requests["bureau"] for requests in seen if isinstance(requests.get("bureau"), MaskedCoefficients)]
    lab.exchange = exchange
    return lab, fit, asked


def test_no_label_is_used_twice_and_every_release_is_counted(fitted):
    lab, fit, asked = fitted
    assert len({one.label for one in asked}) == len({one.mask for one in asked}) == len(asked) == len(fit.released) > 2
    assert all((one.label.job, one.label.kind) == (JOB, "masked") for one in asked)
    assert all(a.mask.rpartition("/")[2] != b.mask.rpartition("/")[2] for a, b in pairwise(asked))
    telecom = lab.fits["bureau"].layout
    contract = telecom.contract
    try:
        telecom.contract = contract.model_copy(update={"score_releases": len(asked)})
        with pytest.raises(RefusedError, match="score_releases"):
            lab.fits["bureau"].handle(_under(asked[0], 99))
    finally:
        telecom.contract = contract


def test_a_repeat_gets_the_same_bytes_and_other_coefficients_under_its_label_are_refused(fitted):
    lab, _, asked = fitted
    bureau = lab.fits["bureau"]
    assert encode(bureau.handle(asked[0])) == encode(bureau.handle(asked[0]))
    values = (asked[0].values[0] + 10**6, *asked[0].values[1:])
    with pytest.raises(IntegrityError, match="second, different question"):
        bureau.handle(msgspec.structs.replace(asked[0], values=values))
    with pytest.raises(IntegrityError, match="second, different vector"):
        bureau.handle(msgspec.structs.replace(_under(asked[0], 98), values=values))
    with pytest.raises(IntegrityError, match="not agreed on"):
        bureau.handle(msgspec.structs.replace(_under(asked[0], 97), mask="another run/mask"))
    with pytest.raises(IntegrityError, match="never agreed on"):
        bureau.handle(msgspec.structs.replace(asked[0], group="0" * 64))


def _under(asked: MaskedCoefficients, tree: int) -> MaskedCoefficients:
    """The same under another label."""
    return msgspec.structs.replace(asked, label=msgspec.structs.replace(asked.label, tree=tree))


def _singly(asked: MaskedCoefficients, tree: int, decimals: int) -> Coefficients:
    """The same, without masks."""
    label = msgspec.structs.replace(asked.label, kind="release", tree=tree)
    return Coefficients(design=asked.design, label=label, values=asked.values, decimals=decimals)


def test_an_approved_file_bounds_the_releases_that_are_told_singly(fitted):
    lab, _, asked = fitted
    bureau = lab.fits["bureau"]
    bureau.planned = Planned(0, 1000)
    try:
        with pytest.raises(RefusedError, match="plans 0 releases of partial scores, and 1 are asked"):
            bureau.handle(_singly(asked[0], 50, asked[0].decimals))
    finally:
        bureau.planned = None


def test_masked_scores_are_not_the_scores(fitted):
    lab, _, asked = fitted
    one, bureau = asked[-1], lab.fits["bureau"]
    clear = bureau.handle(_singly(one, 51, one.decimals)).scores
    hidden = bureau.handle(one).scores.view(np.int64)
    assert abs(np.corrcoef(clear, hidden.astype(float))[0, 1]) < 0.15
    assert np.abs(hidden).max() > 2**60


def _query(subject: str = JOB) -> MaskKeyQuery:
    return MaskKeyQuery(subject=subject, members=tuple(Member(p, JOB) for p in NAMES[:2]))


def _passed_on(group: str, party: str, key: MaskKey) -> PeerKeys:
    return PeerKeys(group=group, keys=(PeerKey(party, key.public, key.signature, key.certificate),))


def test_only_a_key_that_the_other_partner_signed_for_this_sum_is_taken(fitted):
    lab, _, _ = fitted
    bureau, telecom = lab.fits["bureau"].masks, lab.fits["registry"].masks
    group = name("bank", "again", _query("again").members)
    theirs, mine = telecom.key(_query("again")), bureau.key(_query("again"))
    assert mine == bureau.key(_query("again")) or encode(mine) == encode(bureau.key(_query("again")))
    forged = MaskKey(public=mine.public, signature=theirs.signature, certificate=theirs.certificate)
    for key in (forged, telecom.key(_query("another sum"))):
        with pytest.raises(PeerError, match="has not signed"):
            bureau.agree(_passed_on(group, "registry", key))
    own = bureau.key(_query("again"))
    with pytest.raises(PeerError, match="names another party"):
        bureau.agree(_passed_on(group, "registry", own))
    bureau.agree(_passed_on(group, "registry", theirs))
    bureau.agree(_passed_on(group, "registry", theirs))
    with pytest.raises(IntegrityError, match="second, different key"):
        bureau.agree(_passed_on(group, "registry", forged))


def test_a_pinned_partner_is_known_by_its_key_and_no_other_partner_is_taken(fitted):
    lab, _, _ = fitted
    bureau, registry = lab.fits["bureau"].masks, lab.fits["registry"].masks
    group, key = name("bank", "pinned", _query("pinned").members), registry.key(_query("pinned"))
    bureau.pinned["telecom"] = "0" * 64
    try:
        with pytest.raises(PeerError, match="does not know the partner 'registry'"):
            bureau.key(_query("pinned"))
        bureau.pinned["registry"] = "0" * 64
        bureau.key(_query("pinned"))
        with pytest.raises(PeerError, match="another key than"):
            bureau.agree(_passed_on(group, "registry", key))
    finally:
        bureau.pinned.clear()


def test_a_sum_of_one_partner_hides_nothing_and_is_refused(fitted):
    lab, _, _ = fitted
    with pytest.raises(IntegrityError, match="cannot hide"):
        drive(agree_on_masks("bank", "0" * 64, {"bureau": JOB}), lab.exchange)


def _rows_read(lab: GlmLaboratory, scores: np.ndarray, values: np.ndarray, decimals: list[int]) -> float:
    """Share of the rows that both partners hold whose bins at the bureau the bank reads off vectors, and rightly.

    scores: in 1 / UNIT, shape (T, rows). values: coefficients of the releases, shape (T, d).
    """
    steps = [10 ** (MOST_DECIMALS - d) for d in decimals]
    shown: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for bins in product(*(sorted(set(column.values)) for column in lab.designs["bureau"].columns)):
        parts = values @ np.array(bins)
        sums = [int(rounded(part, d)) * s for part, d, s in zip(parts, decimals, steps, strict=True)]
        shown.setdefault(tuple(sums), []).append(bins)
    both = np.flatnonzero((lab.positions["bureau"] >= 0) & (lab.positions["registry"] >= 0))
    found = [shown.get(tuple(scores[:, row].tolist()), []) for row in both]
    truth = [tuple(row) for row in lab.fits["bureau"].values[both].tolist()]
    return float(np.mean([one == [true] for one, true in zip(found, truth, strict=True)]))


def test_bins_that_are_read_off_a_partners_own_scores_are_not_read_off_masked_ones_or_their_sum(fitted):
    """At six decimals, with coefficients of a real fit: of nearly all rows, and of none."""
    lab, _, asked = fitted
    bureau, contract = lab.fits["bureau"], lab.fits["bureau"].layout.contract
    values, decimals = np.array([one.values for one in asked]), [6] * len(asked)
    bureau.layout.contract = contract.model_copy(update={"score_decimals": 6})
    try:
        sent = [_singly(one, 60 + k, 6) for k, one in enumerate(asked)]
        clear = np.stack([bureau.handle(one).scores for one in sent]) * 10 ** (MOST_DECIMALS - 6)
    finally:
        bureau.layout.contract = contract
    assert _rows_read(lab, clear, values, decimals) > 0.9
    secrets = {party: {other: digest(b"secret")} for party, other in pairwise([*NAMES[:2], NAMES[0]])}
    hidden = np.stack([masked(v, "bureau", secrets["bureau"], str(k)).view(np.int64) for k, v in enumerate(clear)])
    assert _rows_read(lab, hidden, values, decimals) == 0
    other = lab.fits["registry"].values.astype(np.int64)[:, :2] @ np.array([700_000, -400_000])
    theirs = np.where(lab.fits["registry"].order >= 0, rounded(other[lab.fits["registry"].order], 6) * 1000, 0)
    pairs = [(h, masked(theirs, "registry", secrets["registry"], str(k))) for k, h in enumerate(hidden)]
    sums = np.stack([opened([h.view(np.uint64), t]) for h, t in pairs])
    assert (sums == clear + theirs).all()
    assert _rows_read(lab, sums, values, decimals) < 0.1


def test_a_partner_that_is_gone_leaves_the_sum_closed_and_the_sentence_says_so(tmp_path):
    lab = shared(tmp_path, 5, 400, NAMES[:2])
    exchange = lab.exchange

    def gone(requests):
        if isinstance(requests.get("registry"), MaskedCoefficients):
            raise TransportError("registry", "does not answer", "start its node")
        return exchange(requests)

    lab.exchange = gone
    with pytest.raises(TransportError, match="and without it the sum of the partners' scores cannot be opened"):
        lab.fit(PARAMS)
