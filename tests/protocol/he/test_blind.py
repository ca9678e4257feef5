"""The blind product as a whole: what it opens to, what repeats, and what differs."""

import multiprocessing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partner_node.policy.budgets import Budgets
from protocol.he import engines
from protocol.he.base import PLAINTEXT_BITS, Ciphertext
from protocol.he.blind.public import public_seed
from protocol.he.blind.secret_kit import BlindSecretKit
from protocol.he.parameters import FLOOD_BITS, N
from protocol.messages import I64
from tests.protocol.he import reference
from tests.protocol.he.products import MASTER, PARTNER_KEY, SEED, Product, answer, one_hot, product, written_out

TOP = 1 << (PLAINTEXT_BITS - 1)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_every_engine_opens_to_the_product(data: st.DataObject) -> None:
    n = data.draw(st.sampled_from([1, 2, 37, 600, N - 1, N + 1]))
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    held = np.flatnonzero(rng.random(n) < data.draw(st.sampled_from([0.0, 0.5, 1.0])))
    matrix = one_hot(n, sizes, held)
    columns = data.draw(st.permutations(range(len(sizes))))[: data.draw(st.integers(1, len(sizes)))]
    batch = data.draw(st.integers(1, 9))
    reach = (TOP - 1000) // max(1, n)
    vectors = rng.integers(-reach, reach + 1, (batch, n)) * (rng.random((batch, n)) < 0.4)
    labels, rows = [f"job/{k}" for k in range(batch)], matrix.rows_of(columns)
    noise = rng.integers(-999, 1000, (batch, len(rows)))
    wanted = vectors @ written_out(matrix)[rows].T + noise
    with TemporaryDirectory() as folder:
        for engine in engines.OWN:
            budgets = Budgets(Path(folder) / f"{engine}.sqlite", "telecom")
            partner = engines.evaluator(engine, "bank", PARTNER_KEY, matrix, SEED, budgets)
            kit = engines.secret_kit(engine, "telecom", MASTER, SEED, partner.hint(), n)
            sealed = kit.seal(vectors, labels)
            opened = kit.open(sealed, rows, answer(partner, sealed.body, labels, columns, noise))
            assert (opened == wanted).all()
            budgets.close()


@pytest.mark.parametrize("flood", [0, -(3 << (FLOOD_BITS - 1)), (3 << (FLOOD_BITS - 1)) - 3])
@pytest.mark.parametrize("value", [TOP - 1, -TOP, 0, -1])
def test_the_ends_of_the_plan_open_under_the_least_and_the_largest_flooding(
    tmp_path: Path, flood: int, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = product(tmp_path, one_hot(60, [2, 3]))
    monkeypatch.setattr("protocol.he.blind.evaluator.flooding", lambda _key, rows: np.full(rows, flood))
    vector = np.zeros((1, 60), dtype=np.int64)
    vector[0, 4] = value
    expected = written_out(made.evaluator.matrix) @ vector[0]
    assert (made(vector, ["end"])[0] == expected).all()


def test_one_step_beyond_the_flooding_would_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above has teeth: a flooding of half of Delta and more moves the sum."""
    made = product(tmp_path, one_hot(60, [2]))
    monkeypatch.setattr("protocol.he.blind.evaluator.flooding", lambda _key, rows: np.full(rows, (1 << 61) + (1 << 55)))
    assert (made(np.zeros((1, 60), dtype=np.int64), ["beyond"])[0] == 1).all()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Product:
    return product(tmp_path_factory.mktemp("blind"), one_hot(500, [3, 4]))


def _vector(value: int, n: int = 500) -> I64:
    return np.full((1, n), value, dtype=np.int64)


def _bytes(body: object) -> bytes:
    assert isinstance(body, Ciphertext)
    return body.high.tobytes() + body.low.tobytes()


def test_a_repeat_gives_the_same_query_and_the_same_answer_bytes(made: Product) -> None:
    first, second = (made.kit.seal(_vector(5), ["repeat"]) for _ in range(2))
    assert _bytes(first.body) == _bytes(second.body)
    noise = np.zeros((1, 7), dtype=np.int64)
    answers = [answer(made.evaluator, s.body, ["repeat"], [0, 1], noise).tobytes() for s in (first, second)]
    assert answers[0] == answers[1]


def test_a_repeat_in_another_batch_gives_the_same_answer_bytes(made: Product) -> None:
    vectors = np.concatenate([_vector(k) for k in range(3)])
    labels, noise = ["a", "b", "c"], np.zeros((3, 7), dtype=np.int64)
    sealed = made.kit.seal(vectors, labels)
    together = answer(made.evaluator, sealed.body, labels, [0, 1], noise)
    alone = made.kit.seal(vectors[1:2], ["b"])
    assert _bytes(alone.body)[: 8 * (500 + N)] == sealed.body.high[1].tobytes()  # type: ignore[union-attr]
    assert (answer(made.evaluator, alone.body, ["b"], [0, 1], noise[:1])[0] == together[1]).all()


@pytest.mark.parametrize("change", ["vector", "label", "seed", "master"])
def test_another_vector_label_seed_or_master_gives_another_secret(made: Product, change: str) -> None:
    """Two vectors under one s would show their difference: the key depends on the vector itself."""
    seed, master = (b"S" * 32 if change == "seed" else SEED), (b"M" * 32 if change == "master" else MASTER)
    other = BlindSecretKit("telecom", master, seed, made.kit.hint, 500)
    first = made.kit.seal(_vector(1), ["x"])
    second = other.seal(_vector(2 if change == "vector" else 1), ["y" if change == "label" else "x"])
    same = (first.secrets == second.secrets).mean()
    assert 0.25 < same < 0.42  # unrelated trits agree in a third
    assert (first.body.high == second.body.high).sum() == 0  # type: ignore[union-attr]


def test_vectors_of_one_batch_have_secrets_of_their_own(made: Product) -> None:
    sealed = made.kit.seal(np.concatenate([_vector(1), _vector(2)]), ["one", "one"])
    assert (sealed.secrets[0] != sealed.secrets[1]).any()


def _seal_in_a_fork(kit: BlindSecretKit, value: int, results: "multiprocessing.Queue[tuple[bytes, bytes]]") -> None:
    sealed = kit.seal(_vector(value), ["fork"])
    results.put((sealed.secrets.tobytes(), _bytes(sealed.body)))


def test_two_forked_workers_never_share_a_secret_for_two_vectors(made: Product) -> None:
    """Both start from one state under one label; a generator's state would have given both the same s."""
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[tuple[bytes, bytes]] = context.Queue()
    workers = [context.Process(target=_seal_in_a_fork, args=(made.kit, value, results)) for value in (1, 2)]
    for worker in workers:
        worker.start()
    (first, first_body), (second, second_body) = results.get(timeout=60), results.get(timeout=60)
    for worker in workers:
        worker.join()
    assert first != second
    assert first_body != second_body


def test_a_query_s_words_look_uniform(made: Product) -> None:
    """A vector of zeros and a vector of large values give bytes of one distribution."""
    for value in (0, 1 << 40):
        octets = np.frombuffer(_bytes(made.kit.seal(_vector(value), ["look"]).body), dtype=np.uint8)
        seen = np.bincount(octets, minlength=256)
        assert (((seen - seen.mean()) ** 2 / seen.mean()).sum()) < 360  # chi-square of 255 degrees: 2e-5


def test_the_masks_of_the_hint_are_full_and_differ_by_row_seed_and_matrix(tmp_path: Path) -> None:
    """A row of zeros must still look uniform: rho' of full width, else the bank could test guesses of a row."""
    empty = one_hot(100, [2], np.zeros(0, dtype=np.int64))
    hint = product(tmp_path / "1", empty).kit.hint
    assert abs(np.unpackbits(hint.view(np.uint8)).mean() - 0.5) < 0.005
    again = product(tmp_path / "2", empty, seed=b"t" * 32).kit.hint
    other = product(tmp_path / "3", one_hot(101, [2], np.zeros(0, dtype=np.int64))).kit.hint
    assert (hint[0] != hint[1]).all()
    assert (hint != again).all()
    assert (hint != other).all()


def test_the_seed_takes_a_nonce_of_every_party() -> None:
    nonces = [b"1" * 32, b"2" * 32]
    seed = public_seed("alignment", ["bank", "telecom"], nonces)
    assert seed == reference.public_seed("alignment", ["bank", "telecom"], nonces)
    changed = [
        public_seed("alignment'", ["bank", "telecom"], nonces),
        public_seed("alignment", ["bank", "bureau"], nonces),
        public_seed("alignment", ["bank", "telecom"], [b"3" * 32, b"2" * 32]),
        public_seed("alignment", ["bank", "telecom"], [b"1" * 32, b"3" * 32]),
    ]
    assert len({seed, *changed}) == 5


def test_no_secret_stands_in_a_repr(made: Product) -> None:
    shown = repr(made.kit) + repr(made.evaluator) + repr(made.kit.seal(_vector(3), ["repr"]))
    assert repr(MASTER)[2:-1] not in shown
    assert repr(PARTNER_KEY)[2:-1] not in shown
    assert "array" not in shown
