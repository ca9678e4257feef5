"""Scores: what a partner answers for rows to be scored, by a pool that it keeps."""

from partner_node.algorithms.glm import scores_of, values_of
from partner_node.algorithms.information import readable_of
from partner_node.algorithms.masks import Masks
from partner_node.algorithms.scoring import ScoringAnswerer
from partner_node.node.agreement import Agreement
from partner_node.node.alignments import Alignments
from partner_node.node.holdings import Holdings
from partner_node.node.layouts import Layouts
from partner_node.node.told import ToldSides
from partner_node.policy.readable import Bits, release_bits, require_readable
from partner_node.store.terms import KeptTerms
from protocol.algorithms import glm
from protocol.algorithms.scoring import ScoringQuery
from protocol.algorithms.sealing import RowKeys, seal_scores
from protocol.contract import refuse
from protocol.errors import IntegrityError, RefusedError
from protocol.he.streams import digest
from protocol.messages import Message


class Scores:
    """By pools that were not revoked, under the contract that they were told under."""

    def __init__(
        self, own: Holdings, agreement: Agreement, alignments: Alignments, layouts: Layouts, masks: Masks
    ) -> None:
        self._own, self._agreement, self._alignments, self._masks = own, agreement, alignments, masks
        self._layouts, self.told = layouts, ToldSides(own)

    def answer(self, query: ScoringQuery) -> Message:
        """Split bits of trees, or partial scores of a linear model.

        On a newer version of the table, splits spend a refresh and what they tell anew, and no information.

        Raises: RefusedError, PeerError, IntegrityError: the pool may not be scored by. DataError: the table changed.
        """
        own, config, contract = self._own, self._own.config, self._agreement.contract
        kept = own.pools.find(query.pool, contract)
        revoked = {query.pool, "all"} & set(config.policy.revoked_pools)
        if revoked or set(kept.columns) & set(config.policy.revoked_columns):
            raise RefusedError(config.party, "has revoked the model", "train another one", "revoked")
        self._agreement.approved(kept.job)
        if kept.terms is not None:
            self._agreement.approved_by_file(kept.job)
            return self._term_scores(query, kept.terms, kept.job)
        aligned = self._alignments.find(query.alignment)
        if query.handles and query.handles[-1] >= len(kept.handles):
            thing = f"scores by split {query.handles[-1] + 1} of a pool that has {len(kept.handles)}"
            raise IntegrityError(config.bank, thing, "score by the model as it was trained")
        handles = [kept.handles[k] for k in query.handles]
        sides = self.told.answer(handles, contract)
        answerer = ScoringAnswerer(
            party=config.party,
            bank=config.bank,
            data=config.policy.account,
            pool=digest(query.pool.encode(), str(query.handles).encode()).hex(),
            subject=query.pool,
            handles=handles,
            sides=sides,
            columns=own.table.columns,
            order=aligned.order,
            budgets=own.budgets,
            max_information_share=contract.max_information_share,
            score_releases=contract.score_releases,
            alignment=query.alignment,
            keys=aligned.row_keys,
        )
        # With split_rows = "node" a training told the rows of nodes alone, and this tells all that are matched.
        told = config.split_rows == "all"
        with own.budgets.spending():
            bits = answerer.answer(told)
            if not told:
                self._require_readable(kept.job, aligned.matches)
        return bits

    def _term_scores(self, query: ScoringQuery, kept: KeptTerms, job: str) -> glm.TermScores | glm.MaskedTermScores:
        """Partial scores by a linear model, of the table as it stands."""
        own, config, decimals = self._own, self._own.config, self._agreement.contract.score_decimals
        self._require_among(query, kept)
        aligned = self._alignments.find(query.alignment)
        values = values_of(kept.terms, own.table.columns, config.party)
        self._spend(query, kept, job, aligned.matches)
        scores = scores_of(values, kept.coefficients, aligned.order, decimals)
        if not query.group:
            return _sealed(aligned.row_keys, query.pool, glm.TermScores(decimals=decimals, scores=scores))
        mask = f"{self._masks.kept(query.group).subject}/scores"
        hidden = self._masks.hide(query.group, mask, glm.in_units(scores, decimals))
        return glm.MaskedTermScores(scores=hidden)

    def _spend(self, query: ScoringQuery, kept: KeptTerms, job: str, matches: int) -> None:
        """Enter one release, and the bits that it tells at worst. matches: rows whose scores the bank can read.

        Raises: RefusedError: it has had its releases, or could then read too much.
        """
        own, contract = self._own, self._agreement.contract
        bank, account = own.config.bank, own.config.policy.account
        pool = frozenset(term.column for term in kept.terms)
        with own.budgets.spending():
            if own.budgets.spend_release(bank, query.alignment, self._release(query), contract.score_releases):
                bits = min(matches, own.table.rows) * release_bits(contract.score_decimals)
                own.budgets.add_bits(bank, account, Bits(pools={pool: bits}))
                self._require_readable(job, matches)

    def _release(self, query: ScoringQuery) -> str:
        """Names a release: on the register, which outlives the versions of the table, one a model and version."""
        if query.alignment != self._alignments.register.name:
            return query.pool
        return digest(query.pool.encode(), self._own.table.sha256.encode()).hex()

    def _require_readable(self, job: str, matches: int) -> None:
        """Refuse what would let a bank read too much, as of the largest alignment of training and scoring.

        Of a small file to be scored the bits of the training tell nothing: to count them all as if they did would
        refuse the first row that is scored. Raises: RefusedError.
        """
        own, most = self._own, self._agreement.most_readable
        if most == 1:
            return
        tables, trained = self._layouts.opened_for(job)
        rows, bank, account = min(max(trained, matches), own.table.rows), own.config.bank, own.config.policy.account
        for table in tables:
            require_readable(own.config.party, readable_of(table, own.budgets, bank, account, rows), most)

    def _require_among(self, query: ScoringQuery, kept: KeptTerms) -> None:
        """Raises: RefusedError: the scores would be hidden in the sum of fewer, or other, partners than the model's."""
        group = self._masks.kept(query.group) if query.group else None
        if kept.among and (group is None or group.names != kept.among):
            raise refuse(
                self._own.config.party, "masked_scores",
                "its scores by this model leave in the sum of all the model's partners alone",
                "score with all of them, or by the model of another rung",
            )  # fmt: skip


def _sealed(keys: RowKeys | None, model: str, scores: glm.TermScores) -> glm.TermScores:
    """The scores under the row keys of the alignment; as they are where it has none."""
    if keys is None:
        return scores
    sealed, nonce = seal_scores(keys, scores.KIND, model, scores.scores)
    return glm.TermScores(decimals=scores.decimals, scores=sealed, nonce=nonce)
