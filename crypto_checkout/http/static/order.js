// The form of a payment link: shows the total while the number is typed, and sends a form once. Without this script the
// page has a button for the total, and the server recognises a form that is sent twice.
"use strict";

(() => {
  const form = document.querySelector("form[data-price]");
  const field = document.getElementById("quantity");
  if (form && field) {
    const total = document.getElementById("total");
    const { price, currency } = form.dataset;
    const places = (price.split(".")[1] || "").length;
    const minor = Number(price.replace(".", ""));
    const format = new Intl.NumberFormat(document.documentElement.dataset.formats, {
      minimumFractionDigits: places,
      maximumFractionDigits: places,
    });
    const show = () => {
      const sum = minor * Number(field.value);
      const isGood = field.validity.valid && Number.isSafeInteger(sum);
      total.textContent = isGood ? `${format.format(sum / 10 ** places)} ${currency}` : "–";
    };
    field.addEventListener("input", show);
    document.documentElement.classList.add("js"); // hides the button for the total
  }

  let sent = false;
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-once]") || event.submitter?.formMethod === "get") return;
    if (sent) event.preventDefault();
    sent = true;
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) sent = false;
  });
})();
