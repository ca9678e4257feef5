"""One training on Flower's simulation engine, with Ray: the bank in this process, partners in Ray's workers."""

import logging
import os
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from flwr.app import Context
from flwr.serverapp import ServerApp
from flwr.simulation import run_simulation

from bank_node.node.node import BankNode
from bank_node.partners.sessions import Progress
from bank_node.settings.config import load_config
from experiments.flower.client_app import answering, node_in
from experiments.flower.over_flower import FlowerTransport
from protocol.job import load_job


def train_over(
    grid: Any, job_file: Path, config: Path, out: Path, progress: Progress, stop: Event | None = None
) -> None:
    """The bank's training, over Flower's grid. config: the bank's node.toml. stop: ends it early."""
    job, bank = load_job(job_file), load_config(config)
    transport = FlowerTransport(grid, job.partners, deadline_s=bank.deadline_s, stop=stop)
    with BankNode(bank, transport, progress) as node:
        node.train(job, job_file.read_text(encoding="utf-8"), out)


def simulate(config: Path, out: Path, progress: Progress) -> None:
    """Train the job in a run's folder, where the parties' folders lie. Raises: FedwarnError, as a training does."""
    failed: list[BaseException] = []
    server, stop = ServerApp(), Event()

    def main(grid: Any, context: Context) -> None:
        try:
            train_over(grid, out / "job.toml", config, out, progress, stop)
        except BaseException as error:
            failed.append(error)

    server.main()(main)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    partners = len(load_job(out / "job.toml").partners)
    workers = min(partners, os.cpu_count() or 1)
    backend = {
        "init_args": {
            "address": "local",  # a Ray of its own, whatever cluster runs on this machine or has run
            "num_cpus": workers,
            "include_dashboard": False,
            "log_to_driver": False,
        },
        "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
    }
    client = answering(partial(node_in, out.resolve()))
    try:
        run_simulation(server, client, num_supernodes=partners, backend_config=backend)
    finally:
        stop.set()
    if failed:
        raise failed[0]
