"""Use cases: who asks, may they, what it takes, what it cost. No HTTP, no SQL, no driver."""
