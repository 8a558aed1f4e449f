"""Model cards: `card` writes one per checkpoint, `results` says what it reached."""

from bench.report.cards.card import write_cards

__all__ = ["write_cards"]
