"""From errors to a decision: rules, replayed on traces or while measuring."""
