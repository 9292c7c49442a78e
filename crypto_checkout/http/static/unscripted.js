addEventListener("load", () => {
  const seconds = Number(document.getElementById("payment").dataset.refresh);
  if (seconds && !document.documentElement.classList.contains("js")) setTimeout(() => location.reload(), seconds * 1000);
});
