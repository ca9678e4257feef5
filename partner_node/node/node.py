"""A partner's node: the one place where a message meets the desk that answers it.

What leaves is decided here: only the messages named in `handle`, `_role` and `_desk` are answered, only for the bank
of the config, and only after that bank has agreed to the terms.
"""

import logging
import threading
import time
from typing import Final

import msgspec

from partner_node.algorithms.alignment import AlignmentState
from partner_node.algorithms.checkup import CHECKUP, BankSeen, CheckupAnswerer, schema_digest
from partner_node.config import PartnerConfig
from partner_node.node.agreement import Agreement
from partner_node.node.alignments import Alignments
from partner_node.node.designs import Designs
from partner_node.node.holdings import Holdings, masks_of, open_holdings
from partner_node.node.layouts import Layouts
from partner_node.node.publishing import file_state, notice_replaced
from partner_node.node.scores import Scores
from partner_node.store.cache import Cache
from protocol.algorithms import agreement, alignment, binning, boosting, checkup, glm, standing
from protocol.algorithms.masks import MaskKeyQuery, PeerKeys
from protocol.algorithms.runs import RunOpening
from protocol.algorithms.scoring import ScoringQuery
from protocol.algorithms.woe import BinCountsQuery, InformationValues
from protocol.errors import FedwarnError, PeerError
from protocol.files import write_whole
from protocol.messages import Message
from protocol.role import Answerer
from protocol.table.notes import lines_of

LOG: Final = logging.getLogger(__name__)


class PartnerNode:
    """Answers one bank. Survives a restart: everything it must remember is in its state folder."""

    def __init__(self, config: PartnerConfig, cache: Cache | None = None) -> None:
        """Read the table. cache: of a node that is made anew again and again. Raises: DataError, UsageError."""
        self._lock, self._cache = threading.Lock(), cache
        self._open(config, open_holdings(config, cache))

    def _open(self, config: PartnerConfig, own: Holdings) -> None:
        self.config, self._own, self._seen = config, own, file_state(config)
        self._agreement = Agreement(own)
        self._alignments = Alignments(own)
        self._layouts = Layouts(own, self._agreement, self._alignments)
        self._masks = masks_of(own, self._alignments.find)
        self._designs = Designs(own, self._agreement, self._alignments, self._layouts, self._masks)
        self._scores = Scores(own, self._agreement, self._alignments, self._layouts, self._masks)
        self._checkup = CheckupAnswerer(
            config.bank, own.table.entity_ids, schema_digest(own.key, own.table), time.time, self._keep_checkup
        )

    @property
    def reading(self) -> list[str]:
        """How the table was read, for this node's own console."""
        return lines_of(self.config.party, self._own.table.reading, "`partner-node preview` lists them")

    def handle(self, peer: str, message: Message) -> Message:
        """The reply to one message of the authenticated peer.

        Raises: FedwarnError: what is wrong with it; the session turns it into a refusal.
        """
        if peer != self.config.bank:
            raise PeerError(
                peer, f"is not the bank that {self.config.party} answers", "correct `bank` in its node.toml"
            )
        with self._lock:
            if isinstance(message, agreement.Hello):
                self._take_up_published()
                return self._welcome(message)
            if not self._agreement.there:
                raise PeerError(peer, "has not agreed to the terms", "begin with `bank-node align`")
            self._own.budgets.books.require_current()
            if isinstance(message, checkup.Probe | checkup.FormatsQuery):
                return self._checkup.handle(message)
            self._agreement.approved(self._agreement.job)
            role = self._role(message)
            return role.handle(message) if role else self._desk(message)

    def _role(self, message: Message) -> Answerer | None:
        """The role that answers a message by itself, if one does."""
        match message:
            case alignment.Start() | alignment.BlindedIds() | alignment.OwnIdsQuery():
                return self._alignments.answerer
            case alignment.Matched() | alignment.Positions() | alignment.Dated():
                return self._alignments.answerer
            case boosting.SumsQuery() | boosting.SplitQuery() | boosting.NodeSplitQuery() | boosting.Handles():
                return self._layouts.in_job(message.layout)
            case glm.CrossQuery() | glm.Coefficients() | glm.MaskedCoefficients() | glm.KeepTerms():
                return self._designs.answerer(message.design)
        return None

    def _desk(self, message: Message) -> Message:
        """The reply to what makes a role, or asks for what is kept. Raises: PeerError: a partner answers no such."""
        match message:
            case binning.LayoutQuery():
                return self._layouts.lay_out(message)
            case binning.HintQuery():
                return self._layouts.hint(message)
            case RunOpening():
                return self._agreement.open_run(message)
            case boosting.Opening():
                return self._layouts.open(message)
            case BinCountsQuery():
                return self._layouts.count(message)
            case InformationValues():
                return self._layouts.note(message)
            case glm.Design():
                return self._designs.lay_out(message)
            case glm.DesignHintQuery():
                return self._designs.hint(message)
            case MaskKeyQuery():
                return self._masks.key(message)
            case PeerKeys():
                return self._masks.agree(message)
            case ScoringQuery():
                return self._scores.answer(message)
            case standing.RegisterOpening():
                return self._alignments.register.open(message, self._most_ids)
            case standing.EvaluationQuery():
                return self._alignments.register.evaluate(message, self._most_ids, self._agreement.contract)
            case standing.ProofQuery():
                return self._alignments.register.prove(message)
            case standing.TagsQuery():
                return self._alignments.register.tags(message)
        thing = f"sent {message.KIND}, which a partner does not answer"
        raise PeerError(self.config.bank, thing, "run the same version on both sides")

    @property
    def _most_ids(self) -> int:
        """Ids that the bank may have evaluated for life: `max_ids` a row with which its trainings were aligned."""
        return int(self._agreement.contract.max_ids * self._layouts.bank_rows)

    def _welcome(self, hello: agreement.Hello) -> agreement.Welcome:
        """Agree on terms; what was opened before is answered for under these."""
        welcome = self._agreement.welcome(hello)
        self._layouts.under(self._agreement.contract)
        return welcome

    def _take_up_published(self) -> None:
        """Go on with the table that was published since, if one was; name a file that was only replaced.

        A file that cannot be read stays out: the node answers of the version that it has.
        """
        config = self.config.with_published()
        if config.data.source == self.config.data.source:
            self._seen = notice_replaced(config, self._seen)
            return
        try:
            own = open_holdings(config, self._cache)
        except FedwarnError as error:
            LOG.warning("%s goes on with the version that it has: %s", config.party, error)
            return
        self._own.close()
        self._open(config, own)
        LOG.warning("%s took up %s, which was published", config.party, config.data.source.path.name)

    @property
    def rows(self) -> int:
        """The longest row space that a query may have: the table's, or that of an alignment."""
        return self._alignments.rows

    @property
    def aligning(self) -> AlignmentState:
        """The alignment under way: all that this node must remember and has not in its state folder."""
        return self._alignments.answerer.state

    @aligning.setter
    def aligning(self, state: AlignmentState) -> None:
        self._alignments.answerer.state = state

    def close(self) -> None:
        """Close budgets and approvals."""
        self._own.close()

    def _keep_checkup(self, seen: BankSeen) -> None:
        write_whole(self.config.state / CHECKUP, msgspec.json.encode(seen))
