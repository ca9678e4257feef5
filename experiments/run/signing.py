"""Demonstration contracts: both parties' keys in one hand, and the steps that two companies take, one after another."""

from pathlib import Path

from bank_node.partners.contracts import contracts_of, draft
from bank_node.settings.config import load_config as load_bank
from experiments.run.nodes import Nodes
from partner_node.config import load_config as load_partner
from partner_node.policy.contracts import complete, install
from partner_node.preview.proposal import propose
from protocol.files import folder_name, own_folder, write_whole
from protocol.job import Job
from protocol.signing.contract import Purpose, read_contract
from protocol.signing.kept import write_envelope
from protocol.signing.keys import CONTRACT_KEY, create_contract_key, load_contract_key

_DAYS = 365


def sign_demonstration(job: Job, job_file: Path, nodes: Nodes, out: Path) -> dict[str, Path]:
    """Draft, complete, sign and install a contract with every partner; the file of each, by partner.

    Keys lie in out/contract_keys/PARTY, and are pinned in each node.toml, which from then on requires a contract.
    Raises: UsageError, DataError, RefusedError: as the commands do.
    """
    folders = {party: own_folder(out / "contract_keys" / folder_name(party)) for party in nodes.configs}
    public = {party: create_contract_key(folder) for party, folder in folders.items()}
    for party, settings in nodes.configs.items():
        known = public if party == job.bank else {name: public[name] for name in (job.bank, party)}
        _pin(settings, known)
    bank, text, files = load_bank(nodes.configs[job.bank]), job_file.read_text(encoding="utf-8"), {}
    purpose = Purpose(job.titles.en, job.titles.zh)
    for partner in job.partners:
        config = load_partner(nodes.configs[partner])
        path = own_folder(out / "contracts") / f"{folder_name(partner)}.contract.json"
        write_envelope(path, draft(bank, job, text, partner, purpose, _DAYS))
        found = propose(config, job)
        envelope = complete(config, read_contract(path), found.clauses, found.words, found.readable)
        for party in (job.bank, partner):
            envelope = envelope.signed(load_contract_key(folders[party] / CONTRACT_KEY))
        write_envelope(path, envelope)
        install(config, path)
        contracts_of(bank).install(path)
        files[partner] = path
    return files


def _pin(config: Path, keys: dict[str, str]) -> None:
    """Add the pinned keys to node.toml, before its first section and after its last."""
    pins = "".join(f'"{party}" = "{key}"\n' for party, key in keys.items())
    text = config.read_text(encoding="utf-8")
    write_whole(config, f"require_contract = true\n{text}\n[contract_keys]\n{pins}".encode())
