"""The roles, unchanged, as a Flower app: the bank is a ServerApp, each partner a ClientApp. docs/flower.md."""
