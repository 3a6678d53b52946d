"""What answers tool calls in a replay: tapes, simulators, and chains of them."""
