"""Every port of a run, all on loopback: out of the way of servers that people run by hand."""

from typing import Final

MOCK_JSON: Final = 18601
MOCK_STREAM: Final = 18602
NGINX_JSON: Final = 18611
NGINX_STREAM: Final = 18612
OURS: Final = 18620
OURS_LEDGER_EMPTY: Final = 18621
OURS_LEDGER_FULL: Final = 18622
OURS_DOORS: Final = 18623
OURS_TOKENS: Final = 18624
OURS_TOOLS: Final = 18625
OURS_BUDGETS: Final = 18626
LITELLM: Final = 18630
PORTKEY: Final = 18640
