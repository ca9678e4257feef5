"""The ledger of what left and arrived, and the receipts that can be handed over and compared."""

from protocol.ledger.ledger import Disclosed, Ledger, export_receipt, read_ledger

__all__ = ["Disclosed", "Ledger", "export_receipt", "read_ledger"]
