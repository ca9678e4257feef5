"""What pages call parties and party sets: titles in both languages in place of identifiers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bank_node.record.facts import DataFacts, RungFacts, Text
from bank_node.record.messages import LANGUAGES, say
from bank_node.report.document import Rung


@dataclass(frozen=True)
class Names:
    """The names of one run. titles: of every party, by its identifier. bank: the party that holds the labels."""

    titles: Mapping[str, Text]
    bank: str

    @classmethod
    def of(cls, data: DataFacts, bank: str) -> "Names":
        """The names of a run's parties; a party without title goes by its identifier."""
        return cls({name: party.title or Text(en=name, zh=name) for name, party in data.parties.items()}, bank)

    def party(self, name: str) -> Text:
        """The title of a party."""
        return self.titles.get(name, Text(en=name, zh=name))

    def parties(self, names: Sequence[str]) -> Text:
        """The titles of several parties."""
        return Text(**{key: " + ".join(getattr(self.party(name), key) for name in names) for key in LANGUAGES})

    def party_set(self, rung: RungFacts | Rung) -> Text:
        """A party set as a noun: "bank alone", "bank + Telecom operator", "all partners"; or the placebo."""
        if rung.placebo:
            return say("placebo") if rung.name == "placebo" else Text(en=rung.name, zh=rung.name)
        if len(rung.parties) == 1:
            return say("set_alone", party=self.party(rung.parties[0]))
        if len(rung.parties) > 2 and set(rung.parties) == set(self.titles):
            return say("set_all")
        return self.parties(rung.parties)
