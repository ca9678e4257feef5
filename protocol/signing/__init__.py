"""Documents that two parties sign: the contract of a cooperation, and what ends it."""
