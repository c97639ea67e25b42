"""What `make bench` runs: the gateway's cost a call, beside a plain proxy and two peers, in one run.

Guarantees: the gateway and all its children have core 0 to themselves, the load and the mock
provider have core 1; systems take turns in interleaved rounds, so that ratios within a run mean
something even where the machine drifts; everything stays on loopback and ends by itself; and no
figure is printed without its errors and its doubts beside it.
"""
