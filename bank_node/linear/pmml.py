"""The bank's part of a scorecard as PMML 4.4, for decision engines that read it.

A characteristic of the bank has an attribute a run of bins with equal points. Of a partner there is one characteristic,
whose points are an input, `points of PARTNER`: the partner's bins are not the bank's to write down. Where that input is
missing, the points are those of a customer whom the partner does not hold.

Source: PMML 4.4, Scorecard (dmg.org/pmml/v4-4-1/Scorecard.html).
"""

from collections.abc import Iterator
from itertools import groupby
from xml.etree import ElementTree as Xml

from bank_node.models.folder import ModelFolder
from bank_node.models.linear import LinearModel, OwnTerm
from bank_node.record.scorecard import Scorecard
from protocol import __version__
from protocol.algorithms.binning import CategoryRule, NumberRule
from protocol.algorithms.glm import VALUE
from protocol.errors import UsageError

NAMESPACE = "http://www.dmg.org/PMML-4_4"


def pmml_of(folder: ModelFolder, model: LinearModel, card: Scorecard) -> bytes:
    """The document. Raises: UsageError: the scorecard is empty."""
    if not card.characteristics:
        raise UsageError("model", "its scorecard has no characteristic", "train one that keeps some")
    return _Writer(folder, model, card).document()


class _Writer:
    def __init__(self, folder: ModelFolder, model: LinearModel, card: Scorecard) -> None:
        self._folder, self._model, self._card = folder, model, card
        self._own_terms = [term for term in model.own if term.coefficient]
        self._partners = [p for p in model.parties[1:] if model.asks(p)]
        self._share = (card.scale.offset - card.scale.factor * model.coefficient(model.intercept)) / len(
            card.characteristics
        )

    def document(self) -> bytes:
        root = Xml.Element("PMML", xmlns=NAMESPACE, version="4.4")
        header = Xml.SubElement(root, "Header", description=f"The bank's part of model {self._folder.about.sha256}")
        Xml.SubElement(header, "Application", name="fedwarn", version=__version__)
        self._dictionary(root)
        self._scorecard(root)
        Xml.indent(root)
        text: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
        return text + b"\n"

    def _dictionary(self, root: Xml.Element) -> None:
        fields = Xml.SubElement(root, "DataDictionary")
        for term in self._own_terms:
            number = isinstance(term.rule, NumberRule)
            kind = {"optype": "continuous", "dataType": "double"} if number else _TEXT
            Xml.SubElement(fields, "DataField", {"name": term.column, **kind})
        for partner in self._partners:
            Xml.SubElement(fields, "DataField", name=_input(partner), optype="continuous", dataType="double")

    def _scorecard(self, root: Xml.Element) -> None:
        settings = {"functionName": "regression", "initialScore": "0", "useReasonCodes": "false"}
        card = Xml.SubElement(root, "Scorecard", {"modelName": self._folder.about.model, **settings})
        schema = Xml.SubElement(card, "MiningSchema")
        for name in (*(term.column for term in self._own_terms), *map(_input, self._partners)):
            Xml.SubElement(schema, "MiningField", name=name, usageType="active", invalidValueTreatment="asIs")
        output = Xml.SubElement(card, "Output")
        names = {"name": "points", "optype": "continuous", "dataType": "double", "feature": "predictedValue"}
        Xml.SubElement(output, "OutputField", names)
        all_of_them = Xml.SubElement(card, "Characteristics")
        for term in self._own_terms:
            self._own(Xml.SubElement(all_of_them, "Characteristic", name=term.column), term)
        for partner in self._partners:
            self._partner(Xml.SubElement(all_of_them, "Characteristic", name=partner), partner)

    def _points(self, coefficient: int, value: int) -> float:
        exact = self._share - self._card.scale.factor * self._model.coefficient(coefficient) * value / VALUE
        return round(exact, self._card.scale.decimals) + 0.0

    def _own(self, into: Xml.Element, term: OwnTerm) -> None:
        """Attributes in the order in which they are tried; what none of the others has comes last."""
        points = [self._points(term.coefficient, value) for value in term.values]
        rule = term.rule
        if rule.missing_as is not None:
            unseen = points[rule.missing_as]
        else:
            unseen = points[rule.ordinary] if rule.missing else self._points(0, 0)
        of = _numbers(rule, points, unseen) if isinstance(rule, NumberRule) else _categories(rule, points)
        for worth, predicate in of:
            attribute = Xml.SubElement(into, "Attribute", partialScore=f"{worth:g}")
            attribute.append(predicate(term.column))
        Xml.SubElement(Xml.SubElement(into, "Attribute", partialScore=f"{unseen:g}"), "True")

    def _partner(self, into: Xml.Element, partner: str) -> None:
        terms = [term for term in self._model.of(partner) if term.coefficient]
        absent = sum(self._points(term.coefficient, term.not_held) for term in terms)
        away = Xml.SubElement(into, "Attribute", partialScore=f"{absent:g}")
        Xml.SubElement(away, "SimplePredicate", field=_input(partner), operator="isMissing")
        there = Xml.SubElement(into, "Attribute")
        Xml.SubElement(there, "True")
        Xml.SubElement(Xml.SubElement(there, "ComplexPartialScore"), "FieldRef", field=_input(partner))


class _Predicate:
    """What is true of a value: tests of one field, all of them or any."""

    def __init__(self, joined: str, *tests: tuple[str, str]) -> None:
        self._joined, self._tests = joined, tests

    def __call__(self, field: str) -> Xml.Element:
        made = [Xml.Element("SimplePredicate", field=field, operator=name, value=v) for name, v in self._tests]
        if len(made) == 1:
            return made[0]
        both = Xml.Element("CompoundPredicate", booleanOperator=self._joined)
        both.extend(made)
        return both


def _numbers(rule: NumberRule, points: list[float], unseen: float) -> Iterator[tuple[float, _Predicate]]:
    for place, value in enumerate(rule.special):
        yield points[rule.ordered + place], _Predicate("and", ("equal", repr(value)))
    for value in rule.rare:
        yield unseen, _Predicate("and", ("equal", repr(value)))
    ordered = points[: rule.ordered][::-1] if rule.descending else points[: rule.ordered]
    for worth, run in groupby(range(len(ordered)), key=ordered.__getitem__):
        places = list(run)
        low, high = places[0] - 1, places[-1]
        tests = [("greaterOrEqual", repr(rule.cuts[low]))] if low >= 0 else []
        tests += [("lessThan", repr(rule.cuts[high]))] if high < len(rule.cuts) else []
        if tests:
            yield worth, _Predicate("and", *tests)
        else:
            yield worth, _Predicate("or", ("lessThan", "0"), ("greaterOrEqual", "0"))


def _categories(rule: CategoryRule, points: list[float]) -> Iterator[tuple[float, _Predicate]]:
    for worth, group in zip(points, rule.groups, strict=False):
        yield worth, _Predicate("or", *(("equal", name) for name in group))


_TEXT = {"optype": "categorical", "dataType": "string"}


def _input(partner: str) -> str:
    return f"points of {partner}"
