// What a browser can add: copying with one press, and times in the reader's own zone. All works without it.
"use strict";

document.documentElement.classList.add("js");

document.addEventListener("DOMContentLoaded", () => {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = time.textContent;
    const style = { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" };
    // Tables have no room for what is the same in most rows.
    const isInTable = time.closest(".table") !== null;
    if (!isInTable || at.getFullYear() !== new Date().getFullYear()) style.year = "numeric";
    if (!isInTable) style.timeZoneName = "short";
    time.textContent = at.toLocaleString(undefined, style);
  }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const said = document.getElementById("announcer");
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    button.textContent = "Copied";
    said.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C";
    said.textContent = "Selected. Copy it with the keyboard.";
  }
  setTimeout(() => { button.textContent = before; said.textContent = ""; }, 2500);
});
