"""A job between two processes, from its first refusal to the withdrawal of its approval."""

from pathlib import Path

import pytest

from protocol.job import load_job
from tests.e2e.commands import ByHand, Ended, call, edit, end, refused, start
from tests.e2e.test_bad_input import small


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> ByHand:
    """The node folders of a bank and a telecom operator, and a job that nobody has approved."""
    folder = tmp_path_factory.mktemp("approving")
    made = call("experiments", "new", "nodes", small(folder), "--out", folder / "run")
    assert made.code == 0, made
    own = ByHand(folder / "run", tmp_path_factory.mktemp("nodes") / "run")
    edit(own.job, lambda v: v.update(name="another"))
    return own


def approve(hand: ByHand, *arguments: object) -> Ended:
    return call("partner_node", "approve", *arguments, "--config", hand.node("telecom") / "node.toml")


def shown(hand: ByHand, *arguments: object) -> list[str]:
    """What `approve` prints for people."""
    ended = end(start("partner_node", "approve", *arguments, "--config", hand.node("telecom") / "node.toml"))
    assert (ended.code, ended.stderr) == (0, ""), ended
    return ended.stdout.splitlines()


def test_new_nodes_says_that_it_has_approved_the_job(hand: ByHand, tmp_path: Path) -> None:
    ended = end(start("experiments", "new", "nodes", small(tmp_path), "--out", tmp_path / "run"))
    assert ended.code == 0, ended
    assert "telecom has approved the job, as by: partner-node approve" in ended.stdout


def test_a_job_is_refused_approved_trained_and_withdrawn(hand: ByHand) -> None:
    digest = load_job(hand.job).sha256
    with hand.serving():
        said = f"the job {digest[:12]} is not approved (contract clause approve)"
        refused(hand.train(), 5, "telecom: ", said, "`partner-node approve`")
        lines = shown(hand, "--list")
        assert f"held      {digest}" in lines
        assert max(map(len, lines)) <= 80
        headline = shown(hand, hand.job, "--days", 30, "--uses", 1)
        assert len(headline) == 2
        assert headline[0].startswith(f"approved another of bank (job {digest[:12]}): 1 run until ")
        assert hand.train().code == 0
        (row,) = [row for row in approve(hand, "--list").json["jobs"] if row["job"] == digest]
        assert (row["state"], row["approval"]["uses"], row["approval"]["schema"]) == ("approved", 1, 1)
        assert shown(hand, digest, "--withdraw") == [f"withdrew the approval of job {digest}"]
        refused(hand.bank("align", hand.job, "--anew"), 5, "had its approval withdrawn at", "clause approve")
    assert "WARNING telecom refuses agreement.hello of bank (rule approve): " in hand.log
    assert said in hand.log, "a held job is a line in the partner's log as well"
    refused(approve(hand, digest, "--withdraw"), 2, "no approval of the job", "see `approve --list`")


def test_what_cannot_be_approved_is_said_with_its_exit_code(hand: ByHand, tmp_path: Path) -> None:
    refused(approve(hand, "a" * 64), 2, "a" * 64)
    refused(approve(hand), 2, "approve needs a job or --list")
    job = tmp_path / "job.toml"
    job.write_text(hand.job.read_text())
    edit(job, lambda v: v["parties"]["telecom"].update(columns=["gone"]))
    refused(approve(hand, job), 3, "telecom: ", "its column 'gone'", "which its table does not have")
    node = edit(hand.node("telecom") / "node.toml", lambda v: v.update(demo=False))
    edit(node, lambda v: v["policy"].update(approve="auto"))
    refused(approve(hand, "--list"), 2, "needs demo = true")
    edit(node, lambda v: v.update(demo=True))
    edit(node, lambda v: v["policy"].pop("approve"))
