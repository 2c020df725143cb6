"""What a schema cannot say of values that are good."""

import os
from datetime import datetime, timedelta
from ipaddress import ip_network

import schemathesis
from hypothesis import strategies as st

NOW = datetime.fromisoformat(os.environ["NOW"].replace("Z", "+00:00"))

# An end lies ahead, by no more than the longest life of a token.
ahead = st.integers(min_value=2, max_value=360).map(lambda days: NOW + timedelta(days=days))
schemathesis.openapi.format("date", ahead.map(lambda end: end.strftime("%Y-%m-%d")))
schemathesis.openapi.format("date-time", ahead.map(lambda end: end.strftime("%Y-%m-%dT%H:%M:%S+01:00")))

# A block is named by its first address.
v4 = st.tuples(st.ip_addresses(v=4), st.integers(0, 32))
v6 = st.tuples(st.ip_addresses(v=6, network="2000::/3"), st.integers(3, 128))
block = st.one_of(v4, v6).map(lambda pair: str(ip_network(f"{pair[0]}/{pair[1]}", strict=False)))
schemathesis.openapi.format("cidr", block)
