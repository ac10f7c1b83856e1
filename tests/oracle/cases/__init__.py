"""Cases worked out by hand from DOMAIN, at least one for each sentence of §6.1-6.11, §5, §4 and §2.2.

Times are seconds after an arbitrary START; a duration of 60 s unless a case says otherwise. The cases are data: the
oracle must satisfy them (test_oracle.py), and so must anything else that claims to follow DOMAIN.
"""

from __future__ import annotations

from tests.oracle.cases.carts import CART_TEMPLATE
from tests.oracle.cases.decisions import LATE, RAISE
from tests.oracle.cases.filters import BOOKED, CATEGORIES, COOL_DOWNS, PRECEDENCE, REPEATS, VALUES
from tests.oracle.cases.folding import FOLDING
from tests.oracle.cases.frozen import DUPLICATES, FROZEN
from tests.oracle.cases.instants import GREETING_TEMPLATES, INSTANT_TEMPLATES
from tests.oracle.cases.ledger import LEDGER
from tests.oracle.cases.lifecycle import LIFECYCLE
from tests.oracle.cases.nights import MANNERS, NIGHTS
from tests.oracle.cases.occurrences import IDENTITY, OCCURRENCES, ORDER
from tests.oracle.cases.purchases import PURCHASES
from tests.oracle.cases.recoveries import RECOVERIES
from tests.oracle.cases.steps import STEP_TEMPLATES
from tests.oracle.cases.stitched import STITCHED
from tests.oracle.cases.visits import BROWSE_TEMPLATE
from tests.oracle.cases.writing import START, Case, Expected

__all__ = ["CASES", "START", "Case", "Expected"]

CASES: list[Case] = [
    *FOLDING,
    *CART_TEMPLATE,
    *BROWSE_TEMPLATE,
    *LIFECYCLE,
    *ORDER,
    *OCCURRENCES,
    *RAISE,
    *LATE,
    *FROZEN,
    *DUPLICATES,
    *IDENTITY,
    *LEDGER,
    *STEP_TEMPLATES,
    *PURCHASES,
    *INSTANT_TEMPLATES,
    *GREETING_TEMPLATES,
    *VALUES,
    *CATEGORIES,
    *REPEATS,
    *COOL_DOWNS,
    *BOOKED,
    *PRECEDENCE,
    *NIGHTS,
    *MANNERS,
    *RECOVERIES,
    *STITCHED,
]
