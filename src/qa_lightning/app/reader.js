// The documents, the answers marked in them, and what is selected. Gradio gives `element`, `props`
// (documents, result, history, words), `watch` and `trigger`; what is triggered goes to page.py:
// 'mend', 'refuse', 'drop', 'recall', 'export'. Python counts characters, the browser UTF-16 units.

const find = (name) => element.querySelector(`.qa-${name}`);
const columns = new Map(); // key → {section, blocks: [{start, end, node, text, marked}]}
const say = (name) => props.words[name] ?? name;
const percent = (share) => (share > 0 && share < .005 ? "< 1 %" : `${Math.round(100 * share)} %`);

function make(tag, settings = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const button = (text, onclick, settings = {}) =>
  make("button", { type: "button", onclick, ...settings }, text);

// Characters and units differ only where a text has characters beyond U+FFFF.
const isWide = (text) => /[\ud800-\udfff]/.test(text);
const characters = (text) => (isWide(text) ? [...text].length : text.length);
const units = (text, count) =>
  isWide(text) ? [...text].slice(0, count).join("").length : count;

function column(shown) {
  const body = make("div", { class: "qa-text" });
  const blocks = [];
  let page = null, into = body;
  for (const [start, onPage, kind, text] of shown.blocks) {
    if (onPage !== null && onPage !== page) {
      into = make("div", { class: "qa-page", "data-page": onPage },
        make("div", { class: "qa-number" }));
      body.append(into);
      page = onPage;
    }
    const node = make("p", { class: `qa-block qa-${kind}` }, text);
    blocks.push({ start, end: start + characters(text), node, text, marked: false });
    into.append(node);
  }
  const section = make("section", { class: "qa-document", "data-key": shown.key });
  const scroller = make("div", { class: "qa-scroller", tabindex: "0", role: "region",
    "aria-label": shown.name, onkeydown: moveByWord }, body);
  section.append(
    make("header", {},
      make("h3", {}, shown.name),
      button("", () => trigger("refuse", { key: shown.key }), { class: "qa-refuse", hidden: "" }),
      button("×", () => trigger("drop", { key: shown.key }), { class: "qa-drop" })),
    ...(shown.blank ? [make("p", { class: "qa-note", "data-pages": shown.blank })] : []),
    scroller);
  return { section, blocks };
}

function drawDocuments() {
  const place = find("documents");
  const open = props.documents ?? [];
  for (const shown of open) if (!columns.has(shown.key)) columns.set(shown.key, column(shown));
  const keys = new Set(open.map((shown) => shown.key));
  for (const key of [...columns.keys()]) if (!keys.has(key)) columns.delete(key);
  place.replaceChildren(...open.map((shown) => columns.get(shown.key).section));
  place.dataset.count = open.length;
}

// Cut a block where answers begin and end; a piece that several cover carries all their ranks.
function paint(block, answers) {
  if (block.marked) block.node.textContent = block.text;
  const here = answers.filter((answer) => answer.start < block.end && answer.end > block.start);
  block.marked = here.length > 0;
  if (!block.marked) return;
  const cuts = new Set([block.start, block.end]);
  for (const answer of here) {
    cuts.add(Math.max(answer.start, block.start)).add(Math.min(answer.end, block.end));
  }
  const places = [...cuts].sort((a, b) => a - b);
  const pieces = places.slice(1).map((end, index) => {
    const start = places[index];
    const text = block.text.slice(
      units(block.text, start - block.start), units(block.text, end - block.start));
    const ranks = here.filter((answer) => answer.start <= start && answer.end >= end)
      .map((answer) => answer.rank);
    return ranks.length
      ? make("mark", { "data-ranks": ranks.join(" "), "data-rank": Math.min(...ranks),
          tabindex: "-1" }, text)
      : text;
  });
  block.node.replaceChildren(...pieces);
}

const marksOf = (rank) => element.querySelectorAll(`mark[data-ranks~="${rank}"]`);

function choose(answer, isAsked) {
  for (const node of element.querySelectorAll(".qa-chosen")) node.classList.remove("qa-chosen");
  for (const node of element.querySelectorAll(".qa-answer [aria-current]")) {
    node.removeAttribute("aria-current");
  }
  const marks = marksOf(answer.rank);
  for (const mark of marks) mark.classList.add("qa-chosen");
  element.querySelector(`.qa-answer[data-rank="${answer.rank}"] .qa-go`)
    ?.setAttribute("aria-current", "true");
  if (!marks.length) return;
  bring(marks[0], isAsked, 4);
  if (isAsked) marks[0].focus({ preventScroll: true });
}

// Pages that were never drawn have guessed heights: what is brought into view may move again.
function bring(mark, isAsked, tries) {
  const [left, top] = [scrollX, scrollY];
  mark.scrollIntoView({ block: "center", inline: "nearest" });
  if (!isAsked) scrollTo(left, top);
  if (tries > 0 && mark.isConnected) requestAnimationFrame(() => bring(mark, isAsked, tries - 1));
}

const placed = ([kind, number]) => `${say(kind)} ${number}`;

function answerItem(answer) {
  const name = props.documents.length > 1 ? `${answer.name}, ` : "";
  const where = `${percent(answer.confidence)} · ${name}${placed(answer.place)}`;
  const go = button("", () => choose(answer, true), { class: "qa-go" });
  go.append(make("span", { class: "qa-words" }, answer.text),
    make("span", { class: "qa-where" }, where));
  return make("li", { class: "qa-answer", "data-rank": answer.rank }, go,
    button(say("right"), () => trigger("mend", answer), { class: "qa-right" }));
}

function drawAnswers() {
  const result = props.result;
  const answers = result?.answers ?? [];
  for (const [key, { blocks }] of columns) {
    const here = answers.filter((answer) => answer.key === key);
    for (const block of blocks) if (block.marked || here.length) paint(block, here);
  }
  const place = find("answers");
  place.hidden = !result;
  if (!result) return place.replaceChildren();
  const none = result.none === null ? "" : ` (${percent(result.none)})`;
  const refusal = result.given ? [] : [make("p", { class: "qa-none" }, say("no_answer") + none)];
  if (refusal.length && answers.length) refusal.push(make("p", { class: "qa-hint" }, say("would_be")));
  place.replaceChildren(
    make("h3", { class: "qa-question" }, result.question),
    ...refusal,
    make("ol", { class: result.given ? "" : "qa-doubted" },
      ...answers.map(answerItem)),
    make("p", { class: "qa-hint" }, say("correct_hint")));
  if (answers.length) choose(answers[0], false);
}

function drawHistory() {
  const asked = props.history ?? [];
  const place = find("history");
  place.hidden = !asked.length;
  const items = asked.map((one, number) => make("li", {},
    button(`${one.question} — ${one.answer ?? say("no_answer")} (${percent(one.of)})`,
      () => trigger("recall", { number }))));
  place.replaceChildren(
    make("summary", {}, `${say("history")} (${asked.length})`),
    make("ol", { reversed: "" }, ...items.reverse()),
    button(say("csv"), () => trigger("export", { kind: "csv" })),
    button(say("json"), () => trigger("export", { kind: "json" })));
}

// Gradio makes this button anew after each upload, with a name of its own.
function nameUpload() {
  document.querySelector(".qa-files button.upload-container")?.setAttribute("aria-label", say("drop"));
}

function drawWords() {
  const root = document.documentElement;
  for (const name of ["drop", "wait"]) {  // in the place of Gradio's own, which ask the browser
    root.style.setProperty(`--qa-${name}`, JSON.stringify(say(name)));
  }
  root.lang = say("lang");
  nameUpload();
  const begin = find("begin");
  begin.textContent = say("begin");
  begin.hidden = Boolean(props.documents?.length || props.result);
  for (const node of element.querySelectorAll(".qa-page")) {
    node.firstChild.textContent = `${say("page")} ${node.dataset.page}`;
  }
  for (const node of element.querySelectorAll(".qa-note")) {
    node.textContent = say("blank_pages").replace("{pages}", node.dataset.pages);
  }
  for (const node of element.querySelectorAll(".qa-refuse")) {
    node.textContent = say("none_here");
    node.hidden = !props.result;
  }
  for (const node of element.querySelectorAll(".qa-drop")) {
    node.setAttribute("aria-label",
      `${say("close")}: ${node.parentNode.querySelector("h3").textContent}`);
  }
}

// What is selected, as characters of its document: counted from its block, not searched for.
function selected() {
  const selection = getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  const parts = [];
  for (const [key, { section, blocks }] of columns) {
    if (!range.intersectsNode(section)) continue;
    const touched = blocks.filter(({ node }) => range.intersectsNode(node));
    if (!touched.length) continue;
    const first = touched[0], last = touched[touched.length - 1];
    const start = first.start + before(first.node, range.startContainer, range.startOffset, 0);
    const end = last.start
      + before(last.node, range.endContainer, range.endOffset, last.end - last.start);
    if (end > start) parts.push({ key, start, end, words: selection.toString() });
  }
  return parts.length > 1 ? { isSplit: true, words: "" } : parts[0] ?? null;
}

function before(node, container, offset, outside) {
  if (!node.contains(container)) return outside;
  const range = document.createRange();
  range.setStart(node, 0);
  range.setEnd(container, offset);
  return characters(range.toString());
}

// Without a mouse: arrows go from word to word, with Shift they take in the next one.
function moveByWord(event) {
  const side = { ArrowRight: "forward", ArrowLeft: "backward" }[event.key];
  if (!side || event.ctrlKey || event.altKey || event.metaKey) return;
  const selection = getSelection();
  if (!selection.rangeCount || !event.currentTarget.contains(selection.anchorNode)) {
    const start = event.currentTarget.querySelector("mark.qa-chosen")
      ?? event.currentTarget.querySelector(".qa-block");
    selection.setBaseAndExtent(start, 0, start, 0);
  } else if (!event.shiftKey) {
    if (side === "forward") selection.collapseToEnd();
    else selection.collapseToStart();
  }
  event.preventDefault();
  selection.modify("extend", side, "word");
}

let taken = null;

function drawSelection() {
  taken = selected();
  const bar = find("selection");
  bar.hidden = !taken || !props.result || !(taken.isSplit || taken.words.trim());
  if (bar.hidden) return;
  bar.classList.toggle("qa-split", Boolean(taken.isSplit));
  bar.querySelector("p").textContent = say("one_document");
  const words = taken.words.trim();
  const short = words.length > 90 ? `${words.slice(0, 60)} … ${words.slice(-25)}` : words;
  bar.querySelector("q").textContent = short;
  bar.querySelector("button").textContent = say("this_is_it");
}

function draw() {
  drawDocuments();
  drawAnswers();
  drawHistory();
  drawWords();
}

// What Gradio tells screen readers is in the browser's language; answers and messages tell themselves.
function sayStatus() {
  const status = document.querySelector("div.sr-only[role=status]")?.firstChild;
  if (!status?.data.trim() || status.data === say("wait")) return;
  const isWorking = document.querySelector("[data-testid=status-tracker]:not(.hide)");
  status.data = isWorking ? say("wait") : "";
}

// What Gradio itself tells in a corner (a failed upload, a lost connection) is in English alone.
new MutationObserver(() => {
  nameUpload();
  sayStatus();
  const ours = ["left", "failed"].map(say);
  for (const node of document.querySelectorAll(".toast-message-text:not([data-qa])")) {
    node.dataset.qa = "";
    if (!ours.includes(node.textContent.trim())) node.textContent = say("gradio");
  }
}).observe(document.body, { childList: true, characterData: true, subtree: true });
document.addEventListener("selectionchange", drawSelection);
find("selection").querySelector("button").addEventListener("click", () => {
  if (taken && !taken.isSplit) trigger("mend", taken);
  getSelection().removeAllRanges();
});
watch(["documents", "result", "history", "words"], draw);
draw();
