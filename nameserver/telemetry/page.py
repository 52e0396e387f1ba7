"""The status page: one HTML document that needs nothing else, drawn from a `Snapshot`.

    facts (who, since when, which configuration) · tiles (zones by state) · workers · zones, the troubled ones first

Names and details may hold anything, so every text goes through `_text`. Style and script are inline and allowed by
their hashes alone (Content Security Policy, in the page itself), so markup that slipped through would still not run.
The script refreshes the page in place, filters and sorts; without it the page is whole, only still.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape as escape_html

from nameserver.telemetry import words
from nameserver.telemetry.advice import advise
from nameserver.telemetry.log import escape
from nameserver.telemetry.status import ZONE_STATES, ServerStatus, Snapshot, WorkerStatus, ZoneStatus

MAX_ROWS = 2000  # zones on the page; the rest is for `nameserver status` and the metrics
_ROWS_PER_CHUNK = 200

_GOOD, _BUSY, _WARN, _BAD = "good", "busy", "warn", "bad"
_TONES = {
    "serving": _GOOD,
    "refreshing": _BUSY,
    "retrying": _WARN,
    "serial-backwards": _WARN,
    "never-transferred": _BAD,
    "expired": _BAD,
    "not-loaded": _BAD,
    "paused": _WARN,
}
_TONE_ORDER = {_BAD: 0, _WARN: 1, _BUSY: 2, _GOOD: 2}  # a passing refresh must not make rows jump

_STYLE = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1c2330;--dim:#667085;--line:#e3e7ee;
--good:#12805c;--busy:#2563eb;--warn:#b45309;--bad:#c8232c;--hover:#f0f4fa}
@media(prefers-color-scheme:dark){:root{--bg:#0f1319;--card:#171d26;--ink:#e6eaf0;--dim:#8d99ab;--line:#27303d;
--good:#3ecf97;--busy:#6ea0ff;--warn:#f5b041;--bad:#ff6b70;--hover:#1d2531}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1400px;margin:0 auto;padding:24px 20px 60px}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:4px 14px;margin-bottom:18px}
h1{font-size:22px;margin:0;letter-spacing:-.01em}
h2{font-size:15px;margin:30px 0 10px;color:var(--dim);font-weight:600}
.dim{color:var(--dim)}
.num{font-variant-numeric:tabular-nums;white-space:nowrap}
.right{text-align:right}
.verdict{font-weight:650}
.good{color:var(--good)}.busy{color:var(--busy)}.warn{color:var(--warn)}.bad{color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:10px}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 14px}
.tile b{display:block;font-size:26px;line-height:1.25;font-variant-numeric:tabular-nums}
.tile.none b{color:var(--dim);font-weight:400}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 18px;margin:0}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
.notice{border-left:4px solid var(--warn);margin:10px 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(340px,1fr));gap:10px}
.scroll{overflow-x:auto;padding:0}
table{border-collapse:collapse;width:100%}
th,td{padding:7px 12px;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{font-size:12px;color:var(--dim);font-weight:600;white-space:nowrap}
th[data-sort]{cursor:pointer}
tr:last-child td{border-bottom:0}
tbody tr:hover{background:var(--hover)}
td.zone{font-weight:600;overflow-wrap:anywhere;min-width:170px}
td.why{font-weight:400;max-width:420px;overflow-wrap:anywhere}
.badge{white-space:nowrap;font-weight:600}
.badge::before{content:"";display:inline-block;width:9px;height:9px;border-radius:50%;
background:currentColor;margin-right:7px}
input{font:inherit;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:8px;
padding:6px 12px;width:280px;max-width:100%}
.bar{display:flex;justify-content:space-between;align-items:center;gap:14px;flex-wrap:wrap;margin:26px 0 10px}
.bar h2{margin:0}
"""

_SCRIPT = """
(function () {
  var filter = "", column = -1, down = false;
  function rows() { return Array.from(document.querySelectorAll("#zones tbody tr")); }
  function key(row) {
    var cell = row.cells[column], value = cell.dataset.key;
    return value === undefined ? cell.textContent.trim() : value === "" ? -Infinity : Number(value);
  }
  function apply() {
    rows().forEach(function (row) { row.hidden = row.textContent.toLowerCase().indexOf(filter) < 0; });
    if (column < 0) return;
    var body = document.querySelector("#zones tbody");
    rows().sort(function (a, b) {
      var x = key(a), y = key(b), order = x < y ? -1 : x > y ? 1 : 0;
      return down ? -order : order;
    }).forEach(function (row) { body.appendChild(row); });
  }
  function wire() {
    document.querySelectorAll("#zones th").forEach(function (head, index) {
      head.dataset.sort = "";
      head.onclick = function () { down = column === index && !down; column = index; apply(); };
    });
  }
  document.getElementById("filter").oninput = function (event) {
    filter = event.target.value.toLowerCase(); apply();
  };
  function refresh() {
    if (document.hidden) return;
    fetch(location.pathname, {cache: "no-store"}).then(function (answer) { return answer.text(); })
      .then(function (text) {
        var fresh = new DOMParser().parseFromString(text, "text/html");
        ["head", "overview", "zones"].forEach(function (id) {
          document.getElementById(id).replaceWith(fresh.getElementById(id));
        });
        document.body.style.opacity = 1;
        wire(); apply();
      }).catch(function () { document.body.style.opacity = 0.45; });
  }
  wire();
  setInterval(refresh, 5000);
})();
"""


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


_POLICY = (
    f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'"
)


def _text(value: object) -> str:
    """Any value as text that is safe between tags and in quoted attributes."""
    return escape_html(escape(str(value), 500), quote=True)


def _tone(zone: ZoneStatus) -> str:
    if not zone.answering:
        return _WARN if zone.state == "paused" else _BAD
    tone = _TONES.get(zone.state, _WARN)
    return _WARN if tone == _BAD or (tone == _GOOD and zone.last_reason) else tone


def render_page(snapshot: Snapshot) -> Iterator[bytes]:
    """The page in pieces, UTF-8."""
    server = snapshot.server
    zones = sorted(snapshot.zones, key=lambda zone: (_TONE_ORDER[_tone(zone)], zone.name))
    yield (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>nameserver</title>'
        f"<style>{_STYLE}</style></head><body><main>"
        f'{_header(server, zones)}<div id="overview">{_notices(server)}{_tiles(server)}'
        f'<h2>Server</h2><div class="cards">{_facts(server)}{_workers(server)}</div></div>'
        '<div class="bar"><h2>Zones</h2><input id="filter" type="search" placeholder="Filter: name, state, primary"'
        ' aria-label="Filter zones"></div>'
        '<div id="zones"><div class="card scroll"><table><thead><tr>'
        + "".join(f"<th{' class=right' if right else ''}>{title}</th>" for title, right in _COLUMNS)
        + "</tr></thead><tbody>"
    ).encode()
    shown = zones[:MAX_ROWS]
    for start in range(0, len(shown), _ROWS_PER_CHUNK):
        yield "".join(_row(zone, server.now) for zone in shown[start : start + _ROWS_PER_CHUNK]).encode()
    yield f"</tbody></table></div>{_more(len(zones))}</div></main><script>{_SCRIPT}</script></body></html>\n".encode()


def _more(count: int) -> str:
    if not count:
        return '<p class="dim">No zones are configured.</p>'
    if count <= MAX_ROWS:
        return ""
    rest = f"{count - MAX_ROWS:,}"
    return f'<p class="dim">… and {rest} more: <code>nameserver status</code> shows all.</p>'


def _header(server: ServerStatus, zones: list[ZoneStatus]) -> str:
    paused = sum(zone.state == "paused" for zone in zones)
    silent = sum(not zone.answering for zone in zones) - paused
    troubled = sum(_tone(zone) == _WARN for zone in zones) - paused
    if not any(worker.alive for worker in server.workers):
        tone, verdict = _BAD, "no worker answers queries"
    elif silent:
        tone, verdict = _BAD, f"{words.plural(silent, 'zone')} not answered"
    elif paused:
        tone, verdict = _WARN, f"{words.plural(paused, 'zone')} paused by command"
    elif troubled:
        tone, verdict = _WARN, f"all zones answered, {words.plural(troubled, 'zone')} in trouble"
    else:
        tone, verdict = _GOOD, "all zones answered"
    uptime = words.duration(max(server.now - server.started, 0))
    return (
        f'<header id="head"><h1>nameserver</h1><span class="verdict {tone}">{verdict}</span>'
        f'<span class="dim">{_text(server.version)} · up {uptime} · {words.timestamp(server.now)}</span></header>'
    )


def _notices(server: ServerStatus) -> str:
    notices = list(server.notices)
    if not server.last_reload_ok:
        message = f": {server.last_reload_message}" if server.last_reload_message else ""
        notices.append(f"the last reload failed and changed nothing{message}")
    return "".join(f'<div class="card notice">{_text(notice)}</div>' for notice in notices)


def _tiles(server: ServerStatus) -> str:
    def tile(state: str) -> str:
        count = server.zones_by_state.get(state, 0)
        tone = _TONES[state] if count else "none"
        return f'<div class="tile {tone}"><b>{count:,}</b>{_text(state)}</div>'

    return f'<div class="tiles">{"".join(map(tile, ZONE_STATES))}</div>'


def _facts(server: ServerStatus) -> str:
    running, queued = server.transfers_in_progress, server.transfer_queue_length
    facts = {
        "listening on": ", ".join(server.listen) or "-",
        "configuration": server.config_path,
        "last load": f"{words.moment(server.last_reload, server.now)}, {'ok' if server.last_reload_ok else 'failed'}",
        "transfers in": f"{running.get('in', 0)} running, {queued.get('in', 0)} waiting",
        "transfers out": f"{running.get('out', 0)} running",
        "process": f"{server.pid}, {server.event_loop}",
    }
    rows = "".join(f"<dt>{name}</dt><dd>{_text(value)}</dd>" for name, value in facts.items())
    return f'<div class="card"><dl>{rows}</dl></div>'


def _workers(server: ServerStatus) -> str:
    def row(worker: WorkerStatus) -> str:
        tone, state = (_GOOD, "answering") if worker.alive else (_BAD, "down")
        restarts = f"{words.plural(worker.restarts, 'restart')}"
        behind = f", {words.plural(worker.zones_behind, 'zone')} behind" if worker.zones_behind else ""
        beat = words.moment(worker.last_heartbeat, server.now)
        return (
            f'<dt>worker {worker.index}</dt><dd><span class="badge {tone}">{state}</span> '
            f'<span class="dim">process {worker.pid or "-"}, {restarts}{behind}, heart-beat {beat}</span></dd>'
        )

    return f'<div class="card"><dl>{"".join(map(row, server.workers)) or "<dt>no workers</dt>"}</dl></div>'


_COLUMNS = (  # title, aligned to the right
    ("Zone", False),
    ("State", False),
    ("Serial", True),
    ("Changed", False),
    ("Confirmed", False),
    ("Next check", False),
    ("Expires", False),
    ("Primary", False),
    ("Records", True),
    ("Queries", True),
    ("Last problem", False),
)


def _row(zone: ZoneStatus, now: float) -> str:
    kind = "" if zone.type == "secondary" else f' <span class="dim">{_text(zone.type)}</span>'
    tone = _tone(zone)
    cells = [
        f'<td class="zone">{_text(zone.name)}{kind}</td>',
        f'<td data-key="{_TONE_ORDER[tone]}"><span class="badge {tone}">{_text(zone.state)}</span></td>',
        _cell(_serials(zone), zone.serial, right=True),
        *(_time_cell(when, now) for when in (zone.last_change, zone.last_success, zone.next_refresh, zone.expires)),
        f"<td>{_primaries(zone)}</td>",
        _cell(f"{zone.records:,}", zone.records, right=True),
        _cell(f"{zone.queries:,}", zone.queries, right=True),
        f'<td class="why">{_pause(zone)}{_problem(zone)}</td>',
    ]
    return f"<tr>{''.join(cells)}</tr>\n"


def _cell(html: str, key: float | None, *, right: bool = False, title: str = "") -> str:
    """A cell that sorts by `key`. `html` is markup already."""
    kind = "num right" if right else "num"
    hint = f' title="{title}"' if title else ""
    return f'<td class="{kind}" data-key="{"" if key is None else key}"{hint}>{html}</td>'


def _time_cell(when: float | None, now: float) -> str:
    html = '<span class="dim">-</span>' if when is None else words.moment(when, now)
    return _cell(html, when, title=words.timestamp(when))


def _serials(zone: ZoneStatus) -> str:
    held = "-" if zone.serial is None else str(zone.serial)
    if zone.primary_serial is None or zone.primary_serial == zone.serial:
        return held
    return f'{held}<br><span class="warn">primary {zone.primary_serial}</span>'


def _primaries(zone: ZoneStatus) -> str:
    def one(name: str, reason: str | None) -> str:
        return f'{_text(name)} <span class="warn">{_text(reason)}</span>' if reason else _text(name)

    return "<br>".join(_unique(one(each.name, each.last_reason) for each in zone.primaries)) or "-"


def _unique(parts: Iterable[str]) -> Iterator[str]:
    return iter(dict.fromkeys(parts))


def _pause(zone: ZoneStatus) -> str:
    if zone.pause is None:
        return ""
    asked = f"until {words.timestamp(zone.pause.until)}; {words.queries(zone.pause.queries)} meanwhile"
    return f"<b>queries get {_text(zone.pause.answer.upper())}</b> {asked}<br>"


def _problem(zone: ZoneStatus) -> str:
    if not zone.last_reason:
        return ""
    address = next((each.address for each in zone.primaries if each.last_reason == zone.last_reason), "")
    key = next((each.key for each in zone.primaries if each.last_reason == zone.last_reason), None)
    advice = advise(zone.last_reason, zone=zone.name, zone_type=zone.type, address=address, key=key)
    meaning = advice.meaning
    if zone.type == "primary":  # what to do is all here; with a secondary `why` has more to go by
        meaning += f" {advice.next_step}"
    detail = f'<br><span class="dim">{_text(zone.last_detail)}</span>' if zone.last_detail else ""
    return f"<b>{_text(zone.last_reason)}</b> {_text(meaning)}{detail}"
