"""What was understood of a request or a reply, as it may be written down."""

from __future__ import annotations

from dataclasses import replace

from policies.redaction.pseudonyms import Vault
from proxy.masking import mask_plain
from proxy.redactor import Redactor
from trajectory.conversation import Reply, ToolCall, ToolDefinition


def masked_reply(reply: Reply, redactor: Redactor, vault: Vault) -> Reply:
    calls = tuple(
        ToolCall(c.id, c.name, mask_plain(c.arguments, redactor, vault, key="arguments")) for c in reply.calls
    )
    text = mask_plain(reply.text, redactor, vault, key="content")
    return replace(reply, text=text, calls=calls)


def masked_tool(tool: ToolDefinition, redactor: Redactor, vault: Vault) -> ToolDefinition:
    described = mask_plain(tool.description, redactor, vault, key="description")
    return ToolDefinition(tool.name, described, mask_plain(tool.schema, redactor, vault))
