"""What scores are worth as evidence: intervals, reliability, comparisons, controls."""
