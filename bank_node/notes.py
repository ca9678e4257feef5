"""Warnings and notes of a run, in both languages: what a reader of its report must know first."""

from bank_node.evaluation.facts import Text
from bank_node.training import Training
from protocol.contract import Contract

SMALL_SAMPLE = 10_000
"""Rows below which the default noise costs accuracy: 0.008 of AUC at 3,000 rows, 0.046 at 1,000."""


def warnings(training: Training) -> list[Text]:
    """What opens the page."""
    out = []
    fitted = int((training.parts == "train").sum())
    for partner, contract in training.federation.contracts.items():
        if contract.histogram_noise and fitted < SMALL_SAMPLE:
            out.append(
                Text(
                    en=f"{fitted:,} rows are few for histogram noise {contract.histogram_noise:g}: it costs accuracy. "
                    "A contract for small samples has less noise and a smaller equation budget.",
                    zh=f"训练样本仅 {fitted:,} 行，直方图噪声 {contract.histogram_noise:g} 会降低精度；小样本合同应减小噪声并收紧方程预算。",
                )
            )
            break
    for partner in training.alignments:
        last = [t for t in training.rungs if partner in t.rung.partners][-1]
        spent, limit = last.spent[partner].equations, last.spent[partner].equations_limit
        if training.federation.welcomes[partner].equation_budget == "enforced" and spent > limit / 2:
            out.append(
                Text(
                    en=f"{partner} has released {spent:,} of {limit:,} equations: more than half of what it ever will.",
                    zh=f"{partner} 已披露 {spent:,} / {limit:,} 个方程，超过终身预算的一半。",
                )
            )
    return out


def notes(training: Training) -> list[Text]:
    """What stands under the headline."""
    out = []
    for partner, welcome in training.federation.welcomes.items():
        if welcome.noise_key.startswith("derived"):
            out.append(
                Text(
                    en=f"One hand holds all parties: the noise key of {partner} is derived from the run's seed.",
                    zh=f"各方由同一主体持有：{partner} 的噪声密钥由运行种子派生。",
                )
            )
        if welcome.equation_budget == "counted":
            out.append(_would_refuse(training, partner))
    return out


def _would_refuse(training: Training, partner: str) -> Text:
    """After how many trees a real partner, at the default contract, would have refused."""
    fitted = int((training.alignments[partner].positions[training.parts == "train"] >= 0).sum())
    share = Contract().max_equations_share
    rungs = [t for t in training.rungs if partner in t.rung.partners]
    trees = sum(len(t.boosted.model.trees) for t in rungs)
    a_tree = rungs[-1].spent[partner].equations / max(1, trees)
    fit = int(share * fitted / a_tree) if a_tree else trees
    if fit >= trees:
        return Text(
            en=f"A real {partner} at the default equation budget ({share:g}) would have answered all {trees} trees.",
            zh=f"按默认方程预算（{share:g}），真实的 {partner} 可答复全部 {trees} 棵树。",
        )
    return Text(
        en=f"A real {partner} at the default equation budget ({share:g}) would have refused after {fit} of {trees} trees.",
        zh=f"按默认方程预算（{share:g}），真实的 {partner} 会在第 {fit} 棵树后拒绝（共 {trees} 棵）。",
    )
