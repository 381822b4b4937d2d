"use strict";
document.body.classList.add("live");

const prepare = (section) => {
  if (section.dataset.ready) return;
  section.dataset.ready = "yes";
  const data = section.dataset;
  const stage = section.querySelector(".stage");
  const slider = stage.querySelector("input");
  const frame = stage.querySelector(".frame");
  const versions = [...section.querySelectorAll(".versions figure")].map((figure) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 216;
    figure.prepend(canvas);
    return { name: figure.dataset.name, image: figure.querySelector("img"), crop: figure.dataset.crop, canvas };
  });
  const side = Math.min(Number(data.detail), Number(data.width), Number(data.height));
  let held = false;

  const show = (which, version) => {
    const image = stage.querySelector("img." + which);
    image.src = version.image.src;
    image.alt = version.name;
    stage.querySelector(".of-" + which).textContent = version.name;
    section.querySelector(`select[data-side=${which}]`).value = version.name;
  };
  for (const which of ["left", "right"]) {
    const choice = section.querySelector(`select[data-side=${which}]`);
    choice.append(...versions.map((version) => new Option(version.name)));
    choice.addEventListener("change", () => show(which, versions[choice.selectedIndex]));
  }
  show("left", versions[0]);
  show("right", versions.find((v) => v.name === data.best));
  for (const button of section.querySelectorAll("[data-way]")) {
    button.addEventListener("click", () => {
      const on = section.classList.toggle(button.dataset.way);
      button.setAttribute("aria-pressed", on);
    });
  }

  const draw = (canvas, image, x, y, w, h) => {
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.drawImage(image, x, y, w, h, 0, 0, canvas.width, canvas.height);
  };
  const enlarge = (across, along) => {
    const keep = (center, length) => Math.min(Math.max(center - side / 2 / length, 0), 1 - side / length);
    const x = keep(across, data.width), y = keep(along, data.height);
    Object.assign(frame.style, {
      left: 100 * x + "%", top: 100 * y + "%",
      width: (100 * side) / data.width + "%", height: (100 * side) / data.height + "%",
    });
    for (const { image, canvas } of versions) {
      const w = image.naturalWidth, h = image.naturalHeight;
      draw(canvas, image, x * w, y * h, (side / data.width) * w, (side / data.height) * h);
    }
  };
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    enlarge((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  slider.addEventListener("input", () => stage.style.setProperty("--cut", slider.value / 10 + "%"));
  for (const kind of ["pointermove", "pointerdown"]) stage.addEventListener(kind, (event) => held || follow(event));
  stage.addEventListener("dblclick", (event) => { held = !held; follow(event); });
  Promise.all(versions.map((v) => v.image.decode().catch(() => {}))).then(() => {
    enlarge(Number(data.across), Number(data.along));
    for (const { crop, canvas } of versions) {  // the page's picture is reduced: its detail is not
      if (!crop) continue;
      const image = new Image();
      image.onload = () => draw(canvas, image, 0, 0, image.width, image.height);
      image.src = crop;
    }
  });
};

const sections = [...document.querySelectorAll(".case")];
for (const section of sections) {
  if (section.open) prepare(section);
  section.addEventListener("toggle", () => section.open && prepare(section));
}
const open = () => {
  const section = sections.find((s) => "#" + s.id === location.hash);
  if (!section) return;
  section.open = true;
  section.scrollIntoView();
};
addEventListener("hashchange", open);
open();

for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const text = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "copied";
    } catch {  // no clipboard for this page: leave the text selected
      getSelection().selectAllChildren(text);
    }
  });
}
