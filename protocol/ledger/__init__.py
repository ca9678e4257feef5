"""The ledger of what left and arrived, and the receipts that can be handed over and compared."""

from protocol.ledger.ledger import Disclosed, Entry, Ledger, ReceiptHead, export_receipt, first_bad, read_ledger

__all__ = ["Disclosed", "Entry", "Ledger", "ReceiptHead", "export_receipt", "first_bad", "read_ledger"]
