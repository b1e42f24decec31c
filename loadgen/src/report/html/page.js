// Shows the values of the column that is pointed at in a line below the plot. All of them stand in the page without it.
for (const svg of document.querySelectorAll("figure svg")) {
  const hits = svg.querySelectorAll(".hits rect");
  if (!hits.length) continue;
  const readout = document.createElement("div");
  readout.className = "readout";
  svg.after(readout);
  for (const hit of hits) {
    const title = hit.querySelector("title");
    const text = title.textContent;
    title.remove();
    hit.addEventListener("pointerenter", () => { hit.classList.add("on"); readout.textContent = text; });
    hit.addEventListener("pointerleave", () => { hit.classList.remove("on"); readout.textContent = ""; });
  }
}
