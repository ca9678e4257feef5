"""Scores: what a partner answers for rows to be scored, by a model that it keeps."""

from partner_node.algorithms.glm import release_label, scores_of, values_of
from partner_node.algorithms.scoring import ScoringAnswerer
from partner_node.kept.terms import KeptTerms
from partner_node.node.agreement import Agreement
from partner_node.node.alignments import Alignments
from partner_node.node.holdings import Holdings
from protocol.algorithms import glm
from protocol.algorithms.scoring import ScoringQuery
from protocol.errors import RefusedError
from protocol.messages import Message


class Scores:
    """Of models that were not revoked, under the contract that they were trained under."""

    def __init__(self, own: Holdings, agreement: Agreement, alignments: Alignments) -> None:
        self._own, self._agreement, self._alignments = own, agreement, alignments

    def answer(self, query: ScoringQuery) -> Message:
        """Split bits of trees, or partial scores of a linear model.

        Raises: RefusedError, PeerError, IntegrityError: the model may not be scored by. DataError: the table changed.
        """
        own, config, contract = self._own, self._own.config, self._agreement.contract
        if {query.model, "all"} & set(config.policy.revoked_models):
            raise RefusedError(config.party, "has revoked the model", "train another one")
        kept = own.models.find(query.model, query.trained, contract)
        self._agreement.approved(kept.job)
        if kept.terms is not None:
            return self._term_scores(query, kept.terms)
        answerer = ScoringAnswerer(
            party=config.party,
            bank=config.bank,
            data=config.policy.account,
            model=query.model,
            handles=kept.handles,
            columns=own.table.columns,
            order=self._alignments.order(query.alignment),
            budgets=own.budgets,
            max_information_share=contract.max_information_share,
            score_releases=contract.score_releases,
            alignment=query.alignment,
        )
        told = kept.data == own.table.sha256 and config.split_rows == "all"
        return answerer.answer(told)

    def _term_scores(self, query: ScoringQuery, kept: KeptTerms) -> glm.TermScores:
        """Partial scores by a linear model, of the table as it stands."""
        own, config, contract = self._own, self._own.config, self._agreement.contract
        order = self._alignments.order(query.alignment)
        values = values_of(kept.terms, own.table.columns, config.party)
        label = release_label(query.model, kept.coefficients, contract.score_decimals)
        own.budgets.spend_release(config.bank, query.alignment, label, contract.score_releases)
        scores = scores_of(values, kept.coefficients, order, contract.score_decimals)
        return glm.TermScores(decimals=contract.score_decimals, scores=scores)
