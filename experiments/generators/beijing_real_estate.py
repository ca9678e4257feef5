"""Companies of a Beijing bank and what a real-estate data company knows of them: 14 features, in-loan warning.

The bank watches loans that are running: balances at the end of a month, limits, the company's account, its capital.
The partner sees what stands behind the company: property, mortgages, seizures, rents.
"""

from experiments.generators.population import Party, Population, Told
from experiments.generators.shapes import amount, classes, count, flag, level, share

_INDUSTRIES = (
    "information", "science", "education", "services", "trade", "logistics", "manufacturing", "catering", "building",
    "textiles",
)  # fmt: skip

BEIJING_REAL_ESTATE = Population(
    about="companies with running loans; a partner with 14 real-estate features",
    bad=0.10,
    calibrated=("precision@0.05", 0.04),
    parties={
        "bank": Party(
            weight=1.8,
            columns=(
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
            ),
        ),
        "real estate": Party(
            weight=0.72,
            skew=0.8,
            columns=(
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
            ),
        ),
    },
)
