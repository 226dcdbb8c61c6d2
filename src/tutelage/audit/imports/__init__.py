"""Results that were not made here: spreadsheets, files of separated values, logs and names, read as claims."""

from tutelage.audit.imports.claim import Claim
from tutelage.audit.imports.reading import read_claims, write_claims

__all__ = ["Claim", "read_claims", "write_claims"]
