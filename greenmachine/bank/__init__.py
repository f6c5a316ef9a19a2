"""A bank: the boundary values of many expressions on many networks, stored on disk."""

from greenmachine.bank.bank import DESCRIPTION, Bank, BankFacts, Family, Vectors
from greenmachine.bank.build import build, capture_spec
from greenmachine.bank.evaluator import BankEvaluator
from greenmachine.bank.leaves import Sieve, leaves_of, readable

__all__ = [
    "DESCRIPTION",
    "Bank",
    "BankEvaluator",
    "BankFacts",
    "Family",
    "Sieve",
    "Vectors",
    "build",
    "capture_spec",
    "leaves_of",
    "readable",
]
