/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Shows what /health says, and goes on showing it. Whatever comes from the daemon gets into the
 * page as text (append() and textContent) and never as markup: names and error texts are others' words.
 */

"use strict";

const PAUSE_MS = 1000; /* between two questions */
const PAUSE_MAX_MS = 10000;
const PAUSE_HIDDEN_MS = 30000;
const PAUSE_LOST_MS = 2000;
const ANSWER_MS = 5000; /* what takes longer is no contact */
const HISTORY_MS = 3000; /* one check's history is asked for so often at most */
const SILENCES_MS = 10000;
const NEWS_MAX = 3; /* more changes at once are counted, not read out */
const RECENT = 20;
const COLUMNS_MAX = 60;

const STATUSES = ["unhealthy", "error", "unknown", "degraded", "healthy"]; /* by urgency */

const page = {
        etag: null,
        checks: new Map(), /* name -> what the daemon says of it */
        groups: new Map(),
        rows: new Map(),
        detailed: null, /* whether this reader gets more than statuses */
        uptimeSince: 0,
        clockAhead: 0, /* seconds the daemon's clock is ahead of this one */
        heardAt: null,
        lost: false,
        timer: null,
        asking: false,
        silencesAt: 0,
        silenced: null, /* which checks were, when the silences were asked for */
};

const by = (id) => document.getElementById(id);

function element(tag, className, ...content) {
        const made = document.createElement(tag);

        if (className)
                made.className = className;
        made.append(...content);
        return made;
}

function drawing(tag, attributes, ...content) {
        const made = document.createElementNS("http://www.w3.org/2000/svg", tag);

        for (const [name, value] of Object.entries(attributes))
                made.setAttribute(name, value);
        made.append(...content);
        return made;
}

/* Writes only what differs, so that a page at rest costs nothing. */
function setText(node, text) {
        if (node.textContent !== text)
                node.textContent = text;
}

/*
 * Makes these the children of parent, in this order, and moves as few as can be: one that goes up
 * or down is one move.
 */
function place(parent, wanted) {
        let at = parent.firstElementChild;

        for (const node of wanted) {
                if (at && node !== at && node === at.nextElementSibling) {
                        at.remove();
                        at = node;
                }
                if (node === at)
                        at = at.nextElementSibling;
                else
                        parent.insertBefore(node, at);
        }
        while (at) {
                const next = at.nextElementSibling;

                at.remove();
                at = next;
        }
}

/* Times */

const now = () => Date.now() / 1000 + page.clockAhead;
const local = (seconds) => new Date((seconds - page.clockAhead) * 1000);
const dateText = (seconds) => local(seconds).toLocaleString("sv-SE");
const clockText = (seconds) => local(seconds).toLocaleTimeString("sv-SE");
const heardText = () => new Date(page.heardAt).toLocaleTimeString("sv-SE");
const minuteText = (seconds) => clockText(seconds).slice(0, 5);

function spanText(seconds) {
        const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
        let rest = Math.max(0, Math.floor(seconds));
        const parts = [];

        for (const [unit, length] of units) {
                const count = Math.floor(rest / length);

                rest -= count * length;
                if (count > 0)
                        parts.push(`${count}${unit}`);
                /* Hours say nothing of days, but of minutes. */
                if (parts.length === 2 || (parts.length === 1 && count === 0))
                        break;
        }
        return parts.join(" ") || "0s";
}

function msText(ms) {
        if (ms >= 10000)
                return `${(ms / 1000).toFixed(1)} s`;
        return `${ms >= 100 ? Math.round(ms) : ms.toFixed(ms >= 10 ? 1 : 2)} ms`;
}

const percentText = (ratio) => `${(Math.floor(ratio * 10000) / 100).toFixed(2)} %`;

/* What the daemon says of a check */

const isKnown = (status) => STATUSES.includes(status);
const rank = (status) => isKnown(status) ? STATUSES.indexOf(status) : 0;
const isQuiet = (check) => Boolean(check.silenced || check.maintenance || check.blocked_by);
const reasonOf = (check) => check.reason || check.error || "";
const groupsOf = (check) => check.groups && check.groups.length > 0 ? check.groups : [""];

const isDetailed = (checks) => checks.size === 0 ||
                              [...checks.values()].some((check) => check.checked_at !== undefined);

function compareUrgency(a, b) {
        return rank(a.check.status) - rank(b.check.status) ||
               isQuiet(a.check) - isQuiet(b.check) ||
               (b.check.required === true) - (a.check.required === true);
}

const compareNames = (a, b) => a.name < b.name ? -1 : Number(a.name > b.name);

function marksOf(check) {
        const marks = [];

        if (check.breaker && check.breaker.position !== "closed")
                marks.push(`breaker ${check.breaker.position}`);
        if (check.silenced)
                marks.push("silenced");
        if (check.maintenance)
                marks.push("maintenance");
        if (check.flapping)
                marks.push("flapping");
        if (check.blocked_by)
                marks.push(`blocked by ${check.blocked_by}`);
        if (check.required === false && check.status !== "healthy")
                marks.push("optional");
        return marks;
}

function breakerText(breaker) {
        if (breaker.position !== "open" || !breaker.next_attempt)
                return breaker.position;
        return `open: its server is left alone until ${clockText(breaker.next_attempt)}`;
}

function silencedText(silence) {
        return `until ${dateText(silence.until)} by ${silence.author}: ${silence.reason}`;
}

/* Pairs of term and text; what is absent is left out. */
function factsOf(check) {
        const facts = [];
        const add = (term, present, text) => {
                if (present)
                        facts.push([term, text()]);
        };

        add("Description", check.description, () => check.description);
        add("Type", check.type, () => `${check.type}, ${check.required ? "required" : "optional"}`);
        add("Status", true, () => `${check.status} since ${dateText(check.since)}`);
        add("Last result", check.checked_at, () => `${check.last_status}, at ` +
            clockText(check.checked_at) +
            (check.duration_ms === null ? "" : `, took ${msText(check.duration_ms)}`));
        add("Last result", !check.checked_at, () => "none yet");
        add("Reason", check.reason, () => check.reason);
        add("Error", check.error && check.error !== check.reason, () => check.error);
        add("Failures", check.consecutive_failures > 0,
            () => `${check.consecutive_failures} in a row`);
        add("Blocked by", check.blocked_by, () => `${check.blocked_by}, which fails`);
        add("Silenced", check.silenced, () => silencedText(check.silenced));
        add("Maintenance", check.maintenance, () => check.maintenance_until
                ? `until ${dateText(check.maintenance_until)}` : "now");
        add("Flapping", check.flapping, () => "it changes often");
        add("Breaker", check.breaker, () => breakerText(check.breaker));
        add("Groups", check.groups, () => check.groups.join(", "));
        add("Next run", check.next_run, () => clockText(check.next_run));
        return facts;
}

function showPairs(list, pairs) {
        const nodes = list.children;

        if (nodes.length !== 2 * pairs.length)
                list.replaceChildren(...pairs.flatMap(() => [element("dt"), element("dd")]));
        pairs.forEach(([term, text], i) => {
                setText(nodes[2 * i], term);
                setText(nodes[2 * i + 1], text);
        });
}

/* Charts: drawn from /health/history, each with its content in words. */

function figure(title, words, marks, from, to) {
        const chart = drawing("svg", { class: "chart", viewBox: "0 0 600 100", role: "img",
                                       preserveAspectRatio: "none",
                                       "aria-label": `${title}: ${words}` }, ...marks);

        return element("figure", "",
                       element("figcaption", "", element("b", "", title), words), chart,
                       element("div", "span", element("span", "", from), element("span", "", to)));
}

function box(className, x, y, width, height) {
        return drawing("rect", { class: className, x: x.toFixed(1), y: y.toFixed(1),
                                 width: width.toFixed(1), height: height.toFixed(1) });
}

function resultsFigure(history) {
        const samples = history.samples;
        const longest = Math.max(0.001, ...samples.map((sample) => sample.duration_ms));
        const step = 600 / Math.max(RECENT, samples.length);
        const failed = samples.filter((sample) => rank(sample.status) < rank("degraded")).length;
        const marks = [];

        samples.forEach((sample, i) => {
                const bad = rank(sample.status) < rank("degraded");
                const height = Math.max(3, 90 * sample.duration_ms / longest);

                /* A failure fills its column to the top: a shape, and not a colour alone. */
                if (bad)
                        marks.push(box("band", i * step, 0, step, 100));
                marks.push(box(bad ? "bad" : "ok", i * step + step * 0.15, 100 - height,
                               step * 0.7, height));
        });
        const duration = history.duration_ms;
        const words = `${failed} of ${samples.length} failed; half took up to ` +
                      `${msText(duration.p50)}, 99 % up to ${msText(duration.p99)}, the longest ` +
                      `${msText(longest)}.`;
        return figure(`Latency of the last ${samples.length} results`, words, marks,
                      clockText(samples[0].at), clockText(samples[samples.length - 1].at));
}

/* The day in columns of whole buckets; one that has no result is left empty. */
function columnsOf(history) {
        const end = history.timestamp;
        const bucket = history.minutes[0].seconds;
        const seconds = Math.min(86400, Math.max(1800, end - history.minutes[0].at));
        const width = bucket * Math.ceil(seconds / bucket / COLUMNS_MAX);
        const count = Math.ceil(seconds / width);
        const columns = new Array(count);

        for (const minute of history.minutes) {
                const i = count - 1 - Math.floor((end - minute.at) / width);

                if (i < 0 || i >= count)
                        continue;
                const column = columns[i] ||= { count: 0, failures: 0, total: 0, most: 0 };

                column.count += minute.count;
                column.failures += minute.failures;
                column.total += minute.mean_ms * minute.count;
                column.most = Math.max(column.most, minute.max_ms);
        }
        return { columns, from: minuteText(end - count * width), to: minuteText(end),
                 span: spanText(count * width) };
}

function latencyFigure(day) {
        const step = 600 / day.columns.length;
        const most = Math.max(0.001, ...day.columns.filter(Boolean).map((column) => column.most));
        const marks = [];
        let line = "", gap = true, count = 0, total = 0;

        day.columns.forEach((column, i) => {
                const height = 90 * column.most / most;
                const mean = column.total / column.count;

                marks.push(box("most", i * step, 100 - height, step, height));
                /* A column of its own is a line too. */
                gap ||= !day.columns[i - 1];
                const y = (100 - 90 * mean / most).toFixed(1);

                line += `${gap ? "M" : "L"}${i * step} ${y}h${step}`;
                gap = false;
                count += column.count;
                total += column.total;
        });
        marks.push(drawing("path", { class: "mean", d: line }));
        return figure(`Latency, ${day.span}`,
                      `the line is the mean, ${msText(total / count)} overall; the grey the ` +
                      `longest, ${msText(most)}.`, marks, day.from, day.to);
}

function availabilityFigure(history, day) {
        const step = 600 / day.columns.length;
        const marks = [];
        const words = (name, window) => window.ratio === null ? `nothing in ${name}`
                : `${percentText(window.ratio)} in ${name} (${window.failures} of ` +
                  `${window.count} failed)`;

        day.columns.forEach((column, i) => {
                const bad = 100 * column.failures / column.count;

                marks.push(box("ok", i * step, 10 + bad * 0.9, step * 0.9, 90 - bad * 0.9));
                if (bad > 0)
                        marks.push(box("bad", i * step, 0, step * 0.9,
                                       Math.max(14, 10 + bad * 0.9)));
        });
        return figure(`Availability, ${day.span}`,
                      `${words("1 h", history.availability["1h"])}, ` +
                      `${words("24 h", history.availability["24h"])}. Failures hang from the top.`,
                      marks, day.from, day.to);
}

function changesList(history) {
        const list = element("ol", "changes");

        for (const change of history.transitions.slice().reverse())
                list.append(element("li", "", `${dateText(change.at)}: from ${change.from} to ` +
                                              `${change.to}`));
        return list;
}

const noHistory = () => [element("p", "", "There are no results to draw yet.")];

function historyParts(history) {
        if (history.samples.length === 0 || history.minutes.length === 0)
                return noHistory();
        const day = columnsOf(history);
        const charts = element("div", "charts", resultsFigure(history), latencyFigure(day),
                               availabilityFigure(history, day));

        if (history.transitions.length === 0)
                return [charts];
        return [charts, element("h3", "", "Changes"), changesList(history)];
}

/* One check in one group. */
class Row {
        constructor(name, detailed) {
                const span = (className) => element("span", className);

                this.name = name;
                this.check = null;
                this.item = element("li", "check");
                this.word = span("word");
                this.why = span("why");
                this.marks = span("marks");
                this.markText = "";
                this.since = span("since");
                this.age = span("age");
                const label = element("span", "name", element("bdi", "", name));
                const shape = span("shape");

                shape.setAttribute("aria-hidden", "true");
                /* The spaces part the words for who hears them. */
                this.row = element(detailed ? "summary" : "div", "row", shape, label, " ",
                                   this.word, " ");
                if (detailed)
                        this.addDetails(span);
                else
                        this.item.append(this.row);
        }

        addDetails(span) {
                const text = element("span", "text", this.why, " ", this.marks);

                this.passes = drawing("path", { class: "pass" });
                this.failures = drawing("path", { class: "fail" });
                this.row.append(text, " ",
                                drawing("svg", { class: "recent", viewBox: "0 0 80 20",
                                                 "aria-hidden": "true" },
                                        this.passes, this.failures), " ",
                                element("span", "when", this.since, " ", this.age));
                this.facts = element("dl", "facts");
                this.history = element("div", "history");
                this.measuredTitle = element("h3", "", "Measured");
                this.measuredTitle.hidden = true;
                this.measured = element("dl", "facts");
                this.details = element("details", "", this.row,
                                       element("div", "more", this.facts, this.history,
                                               this.measuredTitle, this.measured));
                this.details.addEventListener("toggle", () => this.refreshMore(true));
                this.askedAt = 0;
                this.askedFor = null;
                this.item.append(this.details);
        }

        update(check) {
                this.check = check;
                if (this.item.dataset.status !== check.status)
                        this.item.dataset.status = check.status;
                setText(this.word, check.status);
                if (!this.details)
                        return;
                setText(this.why, check.status === "healthy" && check.last_status === "healthy"
                        ? check.description || "" : reasonOf(check));
                this.updateMarks(marksOf(check));
                if (check.recent !== this.recent)
                        this.drawRecent(check.recent || "");
                this.tick();
                this.refreshMore(false);
        }

        updateMarks(marks) {
                const text = marks.join("\n");

                if (text === this.markText)
                        return;
                this.markText = text;
                this.marks.replaceChildren(...marks.flatMap(
                        (mark) => [element("span", "", mark), " "]));
        }

        /* A short stroke for each result that passed, a tall one for each that failed. */
        drawRecent(recent) {
                let passes = "", failures = "";

                [...recent].forEach((letter, i) => {
                        const x = 80 - 4 * (recent.length - i) + 2;

                        if (letter === "h" || letter === "d")
                                passes += `M${x} 20v-6`;
                        else
                                failures += `M${x} 20v-18`;
                });
                this.recent = recent;
                this.passes.setAttribute("d", passes);
                this.failures.setAttribute("d", failures);
        }

        tick() {
                const { since, checked_at: checkedAt } = this.check;

                if (!this.details || this.item.hidden)
                        return;
                setText(this.since, since ? `for ${spanText(now() - since)}` : "");
                setText(this.age, checkedAt ? `checked ${spanText(now() - checkedAt)} ago`
                                            : "not checked yet");
        }

        /* What only an opened check shows. */
        refreshMore(opened) {
                if (!this.details.open)
                        return;
                showPairs(this.facts, factsOf(this.check));
                if (opened || (this.askedFor !== this.check.checked_at &&
                               performance.now() - this.askedAt >= HISTORY_MS))
                        void this.askMore();
        }

        showMeasured(details) {
                const pairs = Object.entries(details).map(([name, value]) => [name, String(value)]);

                this.measuredTitle.hidden = pairs.length === 0;
                showPairs(this.measured, pairs);
        }

        async askMore() {
                const name = encodeURIComponent(this.name);

                this.askedAt = performance.now();
                this.askedFor = this.check.checked_at;
                try {
                        const whole = await ask(`health/checks/${name}?always=200`);

                        this.showMeasured((await whole.json()).checks?.[this.name]?.details || {});
                        /* A check whose file is broken has none, and no result either. */
                        const history = this.askedFor
                                ? await ask(`health/history?check=${name}`) : null;

                        this.history.replaceChildren(...(history?.ok
                                ? historyParts(await history.json()) : noHistory()));
                } catch (error) {
                        /* The page says it when contact is lost; what was drawn stays. */
                        this.askedFor = null;
                        if (!(error instanceof TypeError || error instanceof DOMException))
                                throw error;
                }
        }
}

class Group {
        constructor(name) {
                const id = `group-${Group.made++}`;

                this.name = name;
                this.title = element("span");
                this.count = element("small");
                const heading = element("h2", "", this.title, " ", this.count);

                heading.id = id;
                this.list = element("ul", "checks");
                this.list.setAttribute("role", "list");
                this.section = element("section", "", heading, this.list);
                this.section.setAttribute("aria-labelledby", id);
                this.rows = [];
        }

        update() {
                const failing = this.rows.filter((row) => row.check.status !== "healthy").length;
                const only = page.groups.size === 1;

                this.rows.sort((a, b) => compareUrgency(a, b) || compareNames(a, b));
                setText(this.title, this.name || (only ? "Checks" : "In no group"));
                setText(this.count, failing > 0 ? `${failing} of ${this.rows.length} not healthy`
                                                : `all ${this.rows.length} healthy`);
                place(this.list, this.rows.map((row) => row.item));
        }
}
Group.made = 0;

/* The one with the most urgent check first; what is in no group last. */
function compareGroups(a, b) {
        return (a.name === "") - (b.name === "") ||
               compareUrgency(a.rows[0], b.rows[0]) || compareNames(a, b);
}

function groupFor(name) {
        let group = page.groups.get(name);

        if (!group) {
                group = new Group(name);
                page.groups.set(name, group);
        }
        return group;
}

function showChecks(checks) {
        const focused = document.activeElement;
        const seen = new Set();

        for (const group of page.groups.values())
                group.rows = [];
        for (const [name, check] of checks)
                for (const groupName of groupsOf(check)) {
                        /* Names of files and words: neither has a line break. */
                        const key = `${groupName}\n${name}`;
                        let row = page.rows.get(key);

                        if (!row) {
                                row = new Row(name, page.detailed);
                                page.rows.set(key, row);
                        }
                        row.update(check);
                        seen.add(key);
                        groupFor(groupName).rows.push(row);
                }
        for (const key of page.rows.keys())
                if (!seen.has(key))
                        page.rows.delete(key);
        for (const [name, group] of page.groups)
                if (group.rows.length === 0)
                        page.groups.delete(name);
        for (const group of page.groups.values())
                group.update();
        place(by("groups"), [...page.groups.values()].sort(compareGroups)
                .map((group) => group.section));
        /* What moves loses the focus. */
        if (focused !== document.activeElement && focused.isConnected)
                focused.focus({ preventScroll: true });
}

function countText(checks) {
        const counts = new Map();

        for (const check of checks.values())
                counts.set(check.status, (counts.get(check.status) || 0) + 1);
        return [...counts].sort(([a], [b]) => rank(a) - rank(b))
                .map(([status, count]) => `${count} ${status}`).join(", ");
}

function showSummary() {
        const uptime = spanText(now() - page.uptimeSince);

        setText(by("summary"), `${countText(page.checks) || "No checks"}. healthd up ${uptime}. ` +
                               `Last answer at ${heardText()}.`);
}

function showNote() {
        let text = "";

        if (page.checks.size === 0)
                text = "There are no checks: put one into /etc/healthd/checks, see healthd.check(5).";
        else if (!page.detailed)
                text = "You see statuses alone: Details= in healthd.conf says who sees more.";
        setText(by("note"), text);
        by("note").hidden = text === "";
}

/* Says what changed to who does not see it. */
function tellNews(before, after) {
        const changed = [...after].filter(([name, check]) => before.has(name) &&
                                          before.get(name).status !== check.status);

        if (changed.length > NEWS_MAX)
                setText(by("news"), `${changed.length} checks have changed. Now: ` +
                                    `${countText(after)}.`);
        else if (changed.length > 0)
                setText(by("news"), changed.map(([name, check]) => `${name} is ${check.status}` +
                        (check.status !== "healthy" && reasonOf(check)
                                ? `: ${reasonOf(check)}` : "")).join(". "));
}

function show(health) {
        const checks = new Map(Object.entries(health.checks));
        const detailed = isDetailed(checks);

        if (page.detailed !== detailed) {
                page.detailed = detailed;
                page.rows.clear();
        }
        page.clockAhead = health.timestamp - Date.now() / 1000;
        page.uptimeSince = health.timestamp - health.uptime;
        by("overall").dataset.status = health.status;
        setText(by("verdict"), `is ${health.status}`);
        document.title = `${health.status}: ${location.host}`;
        tellNews(page.checks, checks);
        page.checks = checks;
        showChecks(checks);
        showNote();
        filterRows();
}

/* Filter */

function filterRows() {
        const wanted = by("filter").value.trim().toLowerCase();
        const onlyFailing = by("only-failing").checked;
        let shown = 0, total = 0;

        for (const group of page.groups.values()) {
                let left = 0;

                for (const row of group.rows) {
                        const hidden = !rowMatches(row, group.name, wanted, onlyFailing);

                        if (row.item.hidden !== hidden)
                                row.item.hidden = hidden;
                        left += !hidden;
                }
                group.section.hidden = left === 0;
                shown += left;
                total += group.rows.length;
        }
        setText(by("shown"), wanted || onlyFailing ? `${shown} of ${total} shown` : "");
}

function rowMatches(row, group, wanted, onlyFailing) {
        if (onlyFailing && row.check.status === "healthy")
                return false;
        return wanted === "" ||
               [row.name, group, row.check.status, reasonOf(row.check), row.check.description || "",
                row.markText].some((text) => text.toLowerCase().includes(wanted));
}

/* Silences */

function showSilences(silences) {
        by("silences").hidden = silences.length === 0;
        place(by("silence-list"), silences.map((silence) => element(
                "li", "", element("b", "", element("bdi", "", silence.check)), " ",
                `${silencedText(silence)} (id ${silence.id})`)));
}

/* The daemon */

function ask(path, headers = {}) {
        return fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
}

/* Returns what /health says, or null if nothing has changed. */
async function askHealth() {
        const response = await ask("health?recent=yes&always=200",
                                   page.etag ? { "If-None-Match": page.etag } : {});

        if (response.status === 304)
                return null;
        if (response.status !== 200)
                throw new Error(`the answer is HTTP ${response.status}`);
        const health = await response.json();

        if (!(health.checks instanceof Object) || typeof health.timestamp !== "number")
                throw new Error(`HTTP ${response.status}, and not from healthd`);
        page.etag = response.headers.get("ETag");
        return health;
}

/* The silences, asked for now and then and when other checks are silenced; or null. */
async function askSilences(health) {
        const checks = health ? new Map(Object.entries(health.checks)) : page.checks;
        const silenced = [...checks].filter(([, check]) => check.silenced)
                .map(([name, check]) => `${check.silenced.id} ${name}`).join("\n");

        if (!isDetailed(checks))
                return [];
        if (silenced === page.silenced && performance.now() - page.silencesAt < SILENCES_MS)
                return null;
        const response = await ask("health/silences");
        const silences = response.ok ? (await response.json()).silences : [];

        page.silenced = silenced;
        page.silencesAt = performance.now();
        return silences;
}

function whyLost(error) {
        if (error.name === "TimeoutError")
                return `there is no answer within ${ANSWER_MS / 1000} s`;
        return error instanceof TypeError ? "it cannot be reached" : error.message;
}

function showContact(error) {
        const lost = Boolean(error);
        const since = page.heardAt ? ` since ${heardText()}` : "";

        if (lost)
                setText(by("contact-lost"), `No contact with healthd${since}: ${whyLost(error)}. ` +
                        (page.heardAt ? "What is shown is as it was then. " : "") +
                        "This page goes on trying.");
        if (lost === page.lost)
                return;
        page.lost = lost;
        by("contact").hidden = !lost;
        document.body.classList.toggle("lost", lost);
        if (lost) {
                document.title = `no contact: ${location.host}`;
        } else {
                setText(by("contact-lost"), "");
                setText(by("news"), "healthd answers again.");
                /* So the title is written again. */
                page.etag = null;
        }
}

/* What is asked of the daemon and does not come is lost contact; anything else is a bug here. */
async function poll() {
        const begin = performance.now();

        clearTimeout(page.timer);
        if (page.asking)
                return;
        page.asking = true;
        try {
                await refresh();
        } finally {
                page.asking = false;
                page.timer = setTimeout(poll, pauseAfter(performance.now() - begin));
        }
}

async function refresh() {
        let health, silences;

        try {
                health = await askHealth();
                silences = await askSilences(health);
        } catch (error) {
                showContact(error);
                tick();
                return;
        }
        page.heardAt = Date.now();
        showContact(null);
        if (health)
                show(health);
        if (silences)
                showSilences(silences);
        tick();
}

/* A host with so many checks that asking is work is asked less often. */
function pauseAfter(costMs) {
        if (document.hidden)
                return PAUSE_HIDDEN_MS;
        if (page.lost)
                return PAUSE_LOST_MS;
        return Math.min(PAUSE_MAX_MS, Math.max(PAUSE_MS, 10 * costMs));
}

function tick() {
        if (document.hidden || !page.heardAt)
                return;
        if (page.lost)
                setText(by("contact-age"),
                        `That was ${spanText((Date.now() - page.heardAt) / 1000)} ago.`);
        showSummary();
        for (const row of page.rows.values())
                row.tick();
}

setText(by("host"), location.host);
by("filter").addEventListener("input", filterRows);
by("only-failing").addEventListener("change", filterRows);
document.addEventListener("visibilitychange", () => {
        if (!document.hidden)
                void poll();
});
setInterval(tick, 1000);
void poll();
