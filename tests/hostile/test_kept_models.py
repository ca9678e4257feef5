"""A bank keeps, to be scored by, what a fit of its run has released, and no other model; scores are metered as well."""

import msgspec
import pytest

from bank_node.families.catalogue import load_model
from bank_node.scoring.scoring import read_rows
from experiments.laboratory.glm import GlmLaboratory
from partner_node.node.publishing import states_file
from partner_node.store.row_states import states_of
from protocol.algorithms.glm import Coefficients, KeepTerms
from protocol.algorithms.runs import Label
from protocol.errors import RefusedError
from tests.conformance.test_glm import PARAMS, laboratory
from tests.conformance.test_masks import shared
from tests.partner_node.policy.test_policy import Parties

ANY_RELEASE = "a model is to be kept whose coefficients are of no release of the run .*contract clause score_releases"


def _last(lab: GlmLaboratory, partner: str) -> tuple[int, ...]:
    """Coefficients of a fit, which its last release was of."""
    return lab.fit(PARAMS).released[-1].coefficients[partner]


def test_a_model_that_was_not_released_is_not_kept(tmp_path):
    lab = laboratory(tmp_path, 2, 400, ("telecom",))
    values = _last(lab, "telecom")
    telecom = lab.fits["telecom"]
    telecom.handle(KeepTerms(design="telecom", values=values))
    other = (values[0] + 1, *values[1:])
    with pytest.raises(RefusedError, match=ANY_RELEASE):
        telecom.handle(KeepTerms(design="telecom", values=other))
    decimals = telecom.layout.contract.score_decimals
    label = Label("release", telecom.layout.run.job, telecom.layout.run.number, tree=90)
    coarse = Coefficients(design="telecom", label=label, values=other, decimals=decimals - 1)
    telecom.handle(coarse)
    with pytest.raises(RefusedError, match=ANY_RELEASE):  # its scores would have a decimal that no release had
        telecom.handle(KeepTerms(design="telecom", values=other))
    fine = msgspec.structs.replace(coarse, label=msgspec.structs.replace(label, tree=91), decimals=decimals)
    telecom.handle(fine)
    telecom.handle(KeepTerms(design="telecom", values=other))


def test_a_model_that_was_released_under_masks_is_not_kept_without_them(tmp_path):
    lab = shared(tmp_path, 5, 400)
    values = _last(lab, "bureau")
    with pytest.raises(RefusedError, match=ANY_RELEASE):
        lab.fits["bureau"].handle(KeepTerms(design="bureau", values=values))


def test_known_splits_on_a_newer_version_spend_refreshes_and_no_information(tmp_path):
    parties = Parties(tmp_path)
    try:
        parties.approve()
        parties.train()
        model = load_model(parties.out / "models/bank+telecom/boosting")
        rows = read_rows(parties.bank._config, model, parties.nodes.configs["bank"].parent / "data.parquet")
        node = parties.service._node
        before = node._own.budgets.other_shares("bank", "table", b"")
        trained = parties.bank.score(model, rows, set())
        assert node._scores.told.refreshes.spent == 0, "the version of the training is no refresh"
        table = node._own.table
        object.__setattr__(table, "sha256", "0" * 64)
        states_of(table, bytes(32)).save(states_file(node.config, "0" * 64))  # every row differs
        again = parties.bank.score(model, rows, set())
        assert again.score.tolist() == trained.score.tolist()
        parties.bank.score(model, rows, set())
        assert node._scores.told.refreshes.spent == 1
        assert node._own.budgets.other_shares("bank", "table", b"") == before
    finally:
        parties.approvals.close()
        parties.bank.__exit__()
        parties.service.__exit__()
