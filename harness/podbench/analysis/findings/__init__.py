"""What the figures support: comparisons, price, outliers, caveats."""
