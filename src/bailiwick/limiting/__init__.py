"""Where the buckets of rate limits are kept; the arithmetic is in `bailiwick.domain.limits`."""
