"use strict";
document.body.classList.add("live");
for (const section of document.querySelectorAll(".case")) {
  const data = section.dataset;
  const stage = section.querySelector(".stage");
  const slider = stage.querySelector("input");
  const frame = stage.querySelector(".frame");
  const versions = [...section.querySelectorAll(".versions figure")].map((figure) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 216;
    figure.prepend(canvas);
    return { name: figure.dataset.name, image: figure.querySelector("img"), canvas };
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

  const enlarge = (across, along) => {
    const keep = (center, length) => Math.min(Math.max(center - side / 2 / length, 0), 1 - side / length);
    const x = keep(across, data.width), y = keep(along, data.height);
    Object.assign(frame.style, {
      left: 100 * x + "%", top: 100 * y + "%",
      width: (100 * side) / data.width + "%", height: (100 * side) / data.height + "%",
    });
    for (const { image, canvas } of versions) {
      const pen = canvas.getContext("2d");
      const w = image.naturalWidth, h = image.naturalHeight;
      pen.imageSmoothingEnabled = false;
      pen.drawImage(image, x * w, y * h, (side / data.width) * w, (side / data.height) * h, 0, 0, canvas.width, canvas.height);
    }
  };
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    enlarge((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  slider.addEventListener("input", () => stage.style.setProperty("--cut", slider.value / 10 + "%"));
  stage.addEventListener("pointermove", (event) => held || follow(event));
  stage.addEventListener("dblclick", (event) => { held = !held; follow(event); });
  Promise.all(versions.map((v) => v.image.decode().catch(() => {}))).then(() =>
    enlarge(Number(data.across), Number(data.along)));
}
