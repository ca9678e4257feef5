"""A partner as a ClientApp: it answers what its node.toml lets it answer, in whatever worker Flower runs it.

Which node.toml is never the bank's to say on a real node: the SuperNode is started with
`--node-config 'node="/etc/fedwarn/node.toml"'`. In a simulation, where one hand holds all, it is the partition's.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message
from flwr.clientapp import ClientApp

from partner_node.config import load_config
from partner_node.node.carried import partner_here
from protocol.files import folder_name
from protocol.job import load_job

if __package__:
    from experiments.flower.over_flower import DELIVER, PARTY, named, packed, unpacked
else:  # Flower sends this folder to a partner, who has no other part of the laboratory
    from over_flower import DELIVER, PARTY, named, packed, unpacked  # type: ignore[import-not-found, no-redef]


FindNode = Callable[[Context], Path | None]
"""A node's node.toml; None if there is no party behind it."""


def node_of(context: Context) -> Path | None:
    """As the SuperNode says; else the partition's, of the run in the folder `out`."""
    given = context.node_config.get("node")
    return Path(str(given)) if given else node_in(Path(str(context.run_config["out"])), context)


def node_in(out: Path, context: Context) -> Path | None:
    """The node.toml of a simulated node: partner k of the job in the folder of the run."""
    partners = load_job(out / "job.toml").partners
    number = int(context.node_config["partition-id"])
    return out / "nodes" / folder_name(partners[number]) / "node.toml" if number < len(partners) else None


def answering(find: FindNode) -> ClientApp:
    """A ClientApp over the nodes found so."""
    made = ClientApp()
    made.query(PARTY)(partial(_party, find))
    made.query(DELIVER)(partial(_deliver, find))
    return made


def _party(find: FindNode, message: Message, context: Context) -> Message:
    node = find(context)
    return Message(named(load_config(node).party if node else ""), reply_to=message)


def _deliver(find: FindNode, message: Message, context: Context) -> Message:
    """Answer one envelope; what must be remembered goes on in the context, seeds and digests alone."""
    node = find(context)
    assert node
    kept = context.state.get("fedwarn")
    carried = bytes(kept["carried"]) if kept else b""
    reply, carried = partner_here(node).serve(unpacked(message.content), carried)
    context.state["fedwarn"] = ConfigRecord({"carried": carried})
    return Message(packed(reply), reply_to=message)


app = answering(node_of)
