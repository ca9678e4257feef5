"""What parties write down of companies, by kind of party. Signs say which end of a column is the risky one."""

from typing import Final

from experiments.data.generators.population import Told
from experiments.data.generators.shapes import amount, classes, count, flag, level, share

_INDUSTRIES: Final = (
    "information", "science", "education", "services", "trade", "logistics", "manufacturing", "catering", "building",
    "textiles",
)  # fmt: skip

BANK: Final = (
    Told("loan_balance", amount(2_000_000, 1.1, -2), 0.15),
    Told("registered_capital", amount(5_000_000, 1.2, -4), -0.20),
    Told("account_balance", amount(180_000, 1.4, 2), -0.45, missing=0.02),
    Told("account_trend_3m", level(0.0, 0.25), -0.40),
    Told("inflow_3m", amount(900_000, 1.2, 2), -0.35, missing=0.02),
    Told("limit_use", share(0.55), 0.45),
    Told("days_overdue_12m", count(0.8, 1.5, 89), 0.50),
    Told("years_registered", count(7.0, 0.7, 40), -0.25),
    Told("employees", count(18, 1.1, 5000), -0.15, missing=0.08),
    Told("industry", classes(*_INDUSTRIES), 0.25),
    Told("internal_grade", classes("A", "B", "C", "D", "E"), 0.45),
    Told("months_to_maturity", count(11, 0.6, 60), -0.05),
)
"""A bank with a running loan: balances at the end of a month, limits, the company's account, its capital."""

REAL_ESTATE: Final = (
    Told("properties_owned", count(1.5, 0.9, 60), -0.35, -0.10),
    Told("area_owned", amount(420, 1.1, 1), -0.35, -0.10, 0.25),
    Told("property_value", amount(9_000_000, 1.0, -4), -0.40, -0.10, 0.25),
    Told("value_change_12m", level(-0.01, 0.08, 3), -0.35, 0.0, 0.25),
    Told("mortgaged_share", share(0.45), 0.50, 0.10, 0.25),
    Told("new_mortgages_12m", count(0.5, 1.3, 12), 0.45, 0.05),
    Told("seized", flag(0.06), 0.45, 0.05),
    Told("transfers_out_12m", count(0.4, 1.3, 12), 0.45, 0.05),
    Told("rent_arrears_months", count(0.6, 1.4, 24), 0.55, 0.10, 0.15),
    Told("rent_per_square_metre", amount(160, 0.5, 1), -0.20, 0.0, 0.15),
    Told("lease_months_left", count(16, 0.9, 120), -0.35, -0.05, 0.15),
    Told("fee_arrears_months", count(0.7, 1.3, 24), 0.50, 0.10, 0.10),
    Told("vacancy_of_building", share(0.15), 0.30),
    Told("district_class", classes("core", "inner", "outer", "fringe"), 0.20),
)
"""What stands behind a company: property, mortgages, seizures, rents."""

TAX: Final = (
    Told("taxed_turnover_12m", amount(11_000_000, 1.3, -3), -0.35, -0.15),
    Told("turnover_trend_12m", level(0.02, 0.3), -0.50, -0.10),
    Told("vat_paid_12m", amount(420_000, 1.4, -2), -0.40, -0.10),
    Told("input_output_ratio", level(0.82, 0.15), 0.40, 0.05),
    Told("late_filings_12m", count(0.6, 1.3, 12), 0.55, 0.10),
    Told("tax_arrears", amount(9_000, 1.8, 0), 0.55, 0.10, 0.30),
    Told("credit_class", classes("A", "B", "M", "C", "D"), 0.50, 0.10),
    Told("invoices_cancelled", share(0.04), 0.35),
    Told("insured_employees", count(15, 1.1, 5000), -0.35, -0.10, 0.05),
    Told("customers_12m", count(22, 1.0, 3000), -0.30, -0.05),
)
"""A tax bureau: turnover as declared, arrears, filings."""

PROCUREMENT: Final = (
    Told("bids_12m", count(6, 1.0, 300), -0.25),
    Told("won_share", share(0.22), -0.40),
    Told("contract_value_12m", amount(1_300_000, 1.5, -3), -0.35, -0.05, 0.2),
    Told("late_deliveries", count(0.7, 1.3, 40), 0.55, 0.05),
    Told("penalties", amount(4_000, 1.6, 0), 0.45, 0.05, 0.4),
    Told("largest_buyer_share", share(0.45), 0.30),
    Told("days_to_payment", level(74, 28, 0), 0.45, 0.05),
    Told("buyer_rating", level(4.1, 0.5, 1), -0.45),
)
"""A procurement platform: tenders, deliveries, payments."""

COURTS: Final = (
    Told("claims_against_24m", count(0.5, 1.5, 60), 0.55, 0.10),
    Told("claimed_amount", amount(60_000, 1.8, -2), 0.45, 0.10, 0.5),
    Told("enforcements_24m", count(0.2, 1.6, 20), 0.55, 0.10),
    Told("claims_by_it_24m", count(0.5, 1.3, 60), 0.15),
    Told("owner_changed_24m", flag(0.12), 0.35),
    Told("licence_warnings", count(0.2, 1.4, 10), 0.35),
)
"""Courts and registers: claims, enforcement, changes of owner."""

ACCOUNT: Final = (
    Told("monthly_income", amount(9_000, 0.5, -1), -0.35, missing=0.03),
    Told("loan_amount", amount(60_000, 0.7, -2), 0.15),
    Told("account_balance", amount(12_000, 1.3, 0), -0.40),
    Told("card_use", share(0.45), 0.45),
    Told("days_overdue_12m", count(0.6, 1.4, 89), 0.50),
    Told("years_with_bank", count(5.0, 0.7, 30), -0.25),
    Told("inquiries_6m", count(1.2, 0.9, 20), 0.30),
    Told("housing", classes("owned", "mortgaged", "family", "rented"), 0.20),
)
"""A bank's consumers: account, card, loan."""
