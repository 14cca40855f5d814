"""Data quality: rules as Great Expectations suites over the canonical tables, each with its reason and its remedy."""
