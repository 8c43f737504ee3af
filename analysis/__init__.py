"""The judge: counts in, a verdict with its evidence out."""
