// The receipt's button for printing, which works with this script only.
"use strict";

document.documentElement.classList.add("js");
document.getElementById("print").addEventListener("click", () => print());
