"""What Slack refuses: the limits of Block Kit (docs.slack.dev/reference/block-kit) and of message metadata."""

from __future__ import annotations

import re
from typing import Any

MOST_BLOCKS = 50
MOST_BLOCKS_OF_A_VIEW = 100


class InvalidError(Exception):
    """Slack would answer ``invalid_blocks``; the message says where."""


def check_blocks(blocks: Any, *, most: int = MOST_BLOCKS) -> None:
    _need(isinstance(blocks, list) and len(blocks) <= most, f"no more than {most} items allowed [json-pointer:/blocks]")
    seen: set[str] = set()
    for i, block in enumerate(blocks):
        where = f"[json-pointer:/blocks/{i}]"
        _need(isinstance(block, dict) and block.get("type") in _CHECKS, f"unsupported type {where}")
        _CHECKS[block["type"]](block, where)
        if "block_id" in block:
            _need(len(block["block_id"]) <= 255 and block["block_id"] not in seen, f"block_id {where}")
            seen.add(block["block_id"])


def check_view(view: Any) -> None:
    _need(isinstance(view, dict) and view.get("type") == "modal", "type [json-pointer:/view/type]")
    for part in ("title", "submit", "close"):
        if part in view or part == "title":
            _text(view.get(part), 24, f"[json-pointer:/view/{part}]", kinds={"plain_text"})
    _need(len(view.get("private_metadata", "")) <= 3000, "private_metadata [json-pointer:/view/private_metadata]")
    _need(len(view.get("callback_id", "")) <= 255, "callback_id [json-pointer:/view/callback_id]")
    check_blocks(view.get("blocks"), most=MOST_BLOCKS_OF_A_VIEW)
    inputs = any(block["type"] == "input" for block in view["blocks"])
    _need(not inputs or "submit" in view, "missing required field: submit [json-pointer:/view]")


def check_metadata(metadata: Any) -> None:
    _need(isinstance(metadata, dict) and set(metadata) <= {"event_type", "event_payload"}, "metadata")
    _need(bool(re.fullmatch("[a-zA-Z0-9_.-]{1,255}", str(metadata.get("event_type", "")))), "metadata.event_type")
    _need(isinstance(metadata.get("event_payload"), dict), "metadata.event_payload")


def _need(holds: bool, words: str) -> None:
    if not holds:
        raise InvalidError(f"[ERROR] {words}")


def _text(text: Any, most: int, where: str, kinds: set[str] | None = None) -> None:
    _need(isinstance(text, dict), f"missing required field: text {where}")
    _need(text.get("type") in (kinds or {"plain_text", "mrkdwn"}), f"text type {where}")
    _need(1 <= len(text.get("text", "")) <= most, f"must be between 1 and {most} characters {where}")
    _need(text["type"] == "plain_text" or "emoji" not in text, f"emoji goes with plain_text {where}")


def _header(block: dict[str, Any], where: str) -> None:
    _text(block.get("text"), 150, where, kinds={"plain_text"})


def _section(block: dict[str, Any], where: str) -> None:
    _need("text" in block or "fields" in block, f"missing required field: text {where}")
    if "text" in block:
        _text(block["text"], 3000, where)
    _need(1 <= len(block.get("fields", [0])) <= 10, f"fields {where}")
    for field in block.get("fields", []):
        _text(field, 2000, where)


def _context(block: dict[str, Any], where: str) -> None:
    _need(1 <= len(block.get("elements", [])) <= 10, f"elements {where}")
    for element in block["elements"]:
        _text(element, 2000, where)


def _actions(block: dict[str, Any], where: str) -> None:
    elements = block.get("elements", [])
    _need(1 <= len(elements) <= 25, f"elements {where}")
    _need(len({e.get("action_id") for e in elements}) == len(elements), f"action_id must be unique {where}")
    for element in elements:
        _need(element.get("type") == "button", f"unsupported element {where}")
        _text(element.get("text"), 75, where, kinds={"plain_text"})
        _need(1 <= len(element.get("action_id", "")) <= 255, f"action_id {where}")
        _need(len(element.get("value", "")) <= 2000, f"value {where}")
        _need(element.get("style", "primary") in {"primary", "danger"}, f"style {where}")


def _input(block: dict[str, Any], where: str) -> None:
    _text(block.get("label"), 2000, where, kinds={"plain_text"})
    element = block.get("element") or {}
    _need(element.get("type") == "plain_text_input", f"unsupported element {where}")
    _need(0 < element.get("max_length", 3000) <= 3000, f"max_length {where}")


_CHECKS = {
    "header": _header,
    "section": _section,
    "context": _context,
    "actions": _actions,
    "input": _input,
    "divider": lambda _block, _where: None,
}
