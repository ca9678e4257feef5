"""The laboratory's pages: self-contained, in two languages, with words of their own and the report's looks."""

from bank_node.record.messages import add_catalogue

add_catalogue(__name__)
