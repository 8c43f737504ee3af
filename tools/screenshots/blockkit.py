"""Block Kit as HTML, close to how Slack shows it: enough for the messages that Coalmine sends. Pure."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["channel_page"]

_DISC: Final = '<circle cx="12" cy="12" r="11" fill="{0}"/>'
_TICK: Final = '<path d="M6 12.5l4 4 8-9" fill="none" stroke="#fff" stroke-width="3"/>'
_CROSS: Final = '<path d="M5 5l14 14M19 5L5 19" stroke="#dd2e44" stroke-width="4.5"/>'
_BARS: Final = (
    '<rect width="24" height="24" rx="5" fill="#3b88c3"/><path d="M9 6v12M15 6v12" stroke="#fff" stroke-width="3.5"/>'
)
_HAND: Final = (
    '<path d="M5 12V7a1.6 1.6 0 013.2 0V4a1.6 1.6 0 013.2 0V3a1.6 1.6 0 013.2 0v2a1.6 1.6 0 013.2 0v9l1.6-2.5a1.6 1.6 0 012.6 1.8'
    'L18.5 19c-1.5 2.6-3.5 4-6.5 4-4.5 0-7-3-7-7.5z" fill="#ffcc4d"/>'
)
_ROCKET: Final = (
    '<path d="M21 3c-6 0-10 3-13 8l5 5c5-3 8-7 8-13z" fill="#a0041e"/><path d="M8 11l-5 1 3 3zM13 16l-1 5-3-3z" fill="#ffac33"/>'
    '<circle cx="15.5" cy="8.5" r="2.2" fill="#8899a6"/>'
)
_BACK: Final = (
    '<rect width="24" height="24" rx="5" fill="#3b88c3"/><path d="M12 6v12l-8-6zM20 6v12l-8-6z" fill="#fff"/>'
)
_EMOJI: Final[Mapping[str, str]] = {
    "✅": '<rect width="24" height="24" rx="5" fill="#77b255"/>' + _TICK,
    "❌": _CROSS,
    "🔵": _DISC.format("#3b88c3"),
    "⏸️": _BARS,
    "✋": _HAND,
    "🚀": _ROCKET,
    "⏪": _BACK,
}
"""Slack shows emoji as pictures of its own, too."""

_STYLE: Final = """
* { box-sizing: border-box; margin: 0 }
body { font: 15px/1.46 Lato, "Helvetica Neue", "DejaVu Sans", sans-serif; font-size: 13.5px; color: #1d1c1d; background: #fff;
  display: flex; width: 1180px }
main { width: 700px; border-right: 1px solid #dddddd } aside { width: 480px }
h1 { font-size: 15px; padding: 12px 20px; border-bottom: 1px solid #dddddd }
.message { display: flex; gap: 10px; padding: 12px 20px }
.face { flex: none; width: 36px; height: 36px; border-radius: 6px; background: #1f2937; color: #ffd54a; font: 700 17px/36px "DejaVu Sans";
  text-align: center }
.body { flex: 1; min-width: 0 }
.who b { font-size: 14px } .who i { font: 700 9px/1 "DejaVu Sans"; background: #e8e8e8; color: #616061; padding: 2px 3px; border-radius: 2px }
.who time, .context { color: #616061; font-size: 12px }
h2 { font-size: 16.5px; margin: 6px 0 } .section { margin: 5px 0 } .context { margin: 6px 0 }
.fields { display: grid; grid-template-columns: 1fr 1fr; gap: 8px; margin: 8px 0 }
.actions { display: flex; gap: 8px; margin: 10px 0 2px }
.actions span { border: 1px solid #bbb; border-radius: 4px; padding: 5px 12px; font-weight: 700; font-size: 12.5px }
.actions .primary { background: #007a5a; border-color: #007a5a; color: #fff } .actions .danger { background: #e01e5a; border-color: #e01e5a; color: #fff }
code { font: 12px "DejaVu Sans Mono", monospace; color: #c01343; background: #f6f6f6; border: 1px solid #dddddd; border-radius: 3px; padding: 1px 4px; white-space: pre-wrap }
a { color: #1264a3; text-decoration: none } .at { color: #1264a3; background: #e8f5fa; border-radius: 3px; padding: 0 2px }
svg { width: 1.15em; height: 1.15em; vertical-align: -0.2em } .replies { color: #1264a3; font-weight: 700; font-size: 12px; margin-top: 6px }
"""


def channel_page(
    title: str,
    messages: Iterable[Mapping[str, Any]],
    thread: Iterable[Mapping[str, Any]],
    names: Mapping[str, str],
) -> str:
    """Return a page with a channel and, beside it, a thread.

    Args:
        title: The channel's name.
        messages: As conversations.history returns them, oldest first.
        thread: As conversations.replies returns them.
        names: Of people and user groups, by their ids.
    """
    replies = list(thread)
    shown = "".join(_message(m, names, replies=len(replies)) for m in messages)
    beside = "".join(_message(m, names) for m in replies)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<body><main><h1># {title}</h1>{shown}</main><aside><h1>Thread</h1>{beside}</aside></body></html>"
    )


def _message(message: Mapping[str, Any], names: Mapping[str, str], replies: int = 0) -> str:
    blocks = "".join(_BLOCKS[block["type"]](block, names) for block in message["blocks"])
    at = _time(float(message["ts"]))
    more = f'<div class="replies">{replies} replies</div>' if replies else ""
    who = f'<div class="who"><b>Coalmine</b> <i>APP</i> <time>{at}</time></div>'
    return f'<div class="message"><div class="face">C</div><div class="body">{who}{blocks}{more}</div></div>'


def _header(block: Mapping[str, Any], _names: Mapping[str, str]) -> str:
    return f"<h2>{_pictures(_plain(block['text']['text']))}</h2>"


def _section(block: Mapping[str, Any], names: Mapping[str, str]) -> str:
    if "fields" in block:
        columns = "".join(f"<div>{_markup(f['text'], names)}</div>" for f in block["fields"])
        return f'<div class="fields">{columns}</div>'
    return f'<div class="section">{_markup(block["text"]["text"], names)}</div>'


def _context(block: Mapping[str, Any], names: Mapping[str, str]) -> str:
    return f'<div class="context">{" ".join(_markup(e["text"], names) for e in block["elements"])}</div>'


def _actions(block: Mapping[str, Any], _names: Mapping[str, str]) -> str:
    made = (f'<span class="{e.get("style", "")}">{_plain(e["text"]["text"])}</span>' for e in block["elements"])
    return f'<div class="actions">{"".join(made)}</div>'


_BLOCKS: Final = {"header": _header, "section": _section, "context": _context, "actions": _actions}


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _markup(text: str, names: Mapping[str, str]) -> str:
    """Return Slack's markup as HTML; everything else in it is escaped already."""
    made = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", re.sub(r"<([^>]+)>", lambda m: _tag(m[1], names), text))
    made = re.sub(r"(?<![\w*])\*([^*\n]+)\*(?![\w*])", r"<b>\1</b>", made)
    return _pictures(made.replace("\n", "<br>"))


def _tag(inside: str, names: Mapping[str, str]) -> str:
    if inside.startswith("!date^"):
        return _time(float(inside.split("^")[1]))
    if inside.startswith(("@", "!subteam^")):
        who = inside.removeprefix("!subteam^").removeprefix("@")
        return f'<span class="at">@{names.get(who, who)}</span>'
    url, _, words = inside.partition("|")
    return f'<a href="{url}">{words or url}</a>'


def _time(at: float) -> str:
    return f"{dt.datetime.fromtimestamp(at, dt.UTC):%H:%M:%S}"


def _pictures(html: str) -> str:
    for emoji, drawing in _EMOJI.items():
        html = html.replace(emoji, f'<svg viewBox="0 0 24 24" role="img" aria-label="{emoji}">{drawing}</svg>')
    return html
