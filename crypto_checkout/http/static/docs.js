// Copy buttons on code, and results while one types. Without it code is selected by hand, and the form searches.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const field = document.getElementById("q");
  const panel = document.getElementById("found");
  const announcer = document.getElementById("announcer");

  function say(text) {
    announcer.textContent = text;
  }

  // --- Copy buttons ---------------------------------------------------------------------------------------------------

  function copied(block) {
    const text = block.textContent;
    if (!block.classList.contains("console")) return text;
    // The commands alone, without the prompt, which may name the machine, and what they print.
    const lines = [];
    let goesOn = false;
    for (const line of text.split("\n")) {
      if (goesOn || /^\w*\$ /.test(line)) {
        lines.push(line.replace(/^\w*\$ /, ""));
        goesOn = line.endsWith("\\");
      }
    }
    return `${lines.join("\n")}\n`;
  }

  async function copy(button) {
    const block = button.previousElementSibling;
    let label = "Copied";
    try {
      await navigator.clipboard.writeText(copied(block));
    } catch {
      // Plain http has no clipboard: select the text instead.
      getSelection().selectAllChildren(block);
      label = "Press Ctrl+C";
    }
    button.textContent = label;
    say(label);
    setTimeout(() => { button.textContent = "Copy"; say(""); }, 2500);
  }

  for (const block of document.querySelectorAll("pre:not(.printed)")) {
    const frame = document.createElement("div");
    frame.className = "code";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy code");
    button.addEventListener("click", () => copy(button));
    block.replaceWith(frame);
    frame.append(block, button);
  }

  // --- Search: the ranking is that of search.py ---------------------------------------------------------------------

  const MOST_SHOWN = 8;
  const MOST_WORDS = 8;
  const WEIGHTS = { title: 12, heading: 6, page: 2, text: 1 };
  let index;

  function wordsOf(query) {
    return [...new Set(query.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])].slice(0, MOST_WORDS);
  }

  function match(word, text) {
    const lowered = text.toLowerCase();
    if (!lowered.includes(word)) return 0;
    if (new RegExp(`(?<![\\p{L}\\p{N}])${word}(?![\\p{L}\\p{N}])`, "u").test(lowered)) return 1.25;
    return new RegExp(`(?<![\\p{L}\\p{N}])${word}`, "u").test(lowered) ? 1 : 0.25;
  }

  function score([, page, heading, text], wanted) {
    let total = 0;
    for (const word of wanted) {
      const isTitle = page === heading;
      let found = match(word, heading) * (isTitle ? WEIGHTS.title : WEIGHTS.heading) + match(word, text) * WEIGHTS.text;
      if (!isTitle) found += match(word, page) * WEIGHTS.page;
      if (!found) return 0;
      total += found;
    }
    return total;
  }

  function ranked(sections, wanted) {
    return sections
      .map((section, place) => ({ section, place, score: score(section, wanted) }))
      .filter((each) => each.score > 0)
      .sort((one, other) => other.score - one.score || one.place - other.place)
      .map((each) => each.section);
  }

  function marked(text, wanted) {
    const pattern = new RegExp(`(${[...wanted].sort((a, b) => b.length - a.length).join("|")})`, "giu");
    return text.split(pattern).map((part, place) => {
      if (place % 2 === 0) return part;
      const mark = document.createElement("mark");
      mark.textContent = part;
      return mark;
    });
  }

  function line([url, page, heading], wanted) {
    const link = document.createElement("a");
    link.href = url;
    const where = document.createElement("span");
    where.className = "where";
    where.textContent = page === heading ? "Page" : page;
    link.append(...marked(heading, wanted), " ", where);
    const item = document.createElement("li");
    item.append(link);
    return item;
  }

  function close() {
    panel.hidden = true;
    panel.replaceChildren();
  }

  async function show() {
    const wanted = wordsOf(field.value);
    if (!wanted.length) {
      say("");
      close();
      return;
    }
    let sections;
    try {
      index ??= fetch(field.dataset.index).then((answer) => answer.json());
      sections = await index;
    } catch {
      index = undefined; // The next letter tries again, and Return still sends the form.
      return;
    }
    if (wanted.join() !== wordsOf(field.value).join()) return; // typed on meanwhile
    const found = ranked(sections, wanted);
    const list = document.createElement("ul");
    list.append(...found.slice(0, MOST_SHOWN).map((section) => line(section, wanted)));
    const rest = document.createElement("p");
    rest.textContent = found.length ? "" : "Nothing found.";
    if (found.length > MOST_SHOWN) {
      const all = document.createElement("a");
      all.href = `/docs/search?q=${encodeURIComponent(field.value)}`;
      all.textContent = "All results";
      rest.append(all);
    }
    panel.replaceChildren(list, ...(rest.hasChildNodes() ? [rest] : []));
    panel.hidden = false;
    say(`${found.length} ${found.length === 1 ? "result" : "results"}`);
  }

  field.addEventListener("input", show);
  field.addEventListener("focus", () => { if (panel.hidden && document.activeElement === field && field.dataset.typed) show(); });
  field.addEventListener("input", () => { field.dataset.typed = "yes"; });

  field.form.addEventListener("keydown", (event) => {
    const links = [...panel.querySelectorAll("a")];
    const place = links.indexOf(document.activeElement);
    if (event.key === "Escape" && !panel.hidden) {
      event.preventDefault();
      field.focus();
      close();
    } else if (event.key === "ArrowDown" && links.length) {
      event.preventDefault();
      links[Math.min(place + 1, links.length - 1)].focus();
    } else if (event.key === "ArrowUp" && place >= 0) {
      event.preventDefault();
      (place ? links[place - 1] : field).focus();
    }
  });

  field.form.addEventListener("focusout", (event) => {
    if (!field.form.contains(event.relatedTarget)) close();
  });

  // Safari gives a clicked link no focus: without this the results would close before the click.
  panel.addEventListener("mousedown", (event) => event.preventDefault());
  panel.addEventListener("click", (event) => { if (event.target.closest("a")) close(); });

  // The key that sites of documentation use: / goes to the search.
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      field.focus();
    }
  });
});
