// Says what is wrong with what is shown, a line each, behind the colour scheme: in `pre#found` of the page.
(() => {
  const faults = [];
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const area = (element) => element.getBoundingClientRect();
  const holds = (outer, inner) =>
    outer.left <= inner.left + 1 && outer.right >= inner.right - 1 && outer.top <= inner.top + 1 && outer.bottom >= inner.bottom - 1;
  const touch = (one, other) =>
    one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
  const name = (element) => JSON.stringify(element.textContent.trim().slice(0, 40));

  // WCAG 2, "Contrast (Minimum)".
  const luminance = (color) => {
    const parts = color.match(/[\d.]+/g).slice(0, 3).map((part) => part / 255);
    const [red, green, blue] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const readable = (element, color, ground) => {
    const [bright, dim] = [luminance(color), luminance(ground)].sort((one, other) => other - one);
    const contrast = (bright + 0.05) / (dim + 0.05);
    if (contrast < 4.5) faults.push(`${name(element)} cannot be read: ${color} on ${ground} is ${contrast.toFixed(1)}`);
  };
  const fill = (element) => getComputedStyle(element).fill;

  // A graph: texts in boxes, and boxes apart.
  const boxes = [...document.querySelectorAll("svg > g > rect")].filter(() => document.querySelector("svg .page"));
  boxes.forEach((box, index) => {
    const texts = [...box.parentElement.querySelectorAll("text")];
    texts.filter((text) => !holds(area(box), area(text))).forEach((text) => faults.push(`${name(text)} is not in its box`));
    texts.forEach((text) => readable(text, fill(text), fill(box)));
    const others = boxes.slice(index + 1).filter((other) => touch(area(box), area(other)));
    others.forEach((other) => faults.push(`${name(box.parentElement)} lies on ${name(other.parentElement)}`));
  });
  const page = document.querySelector("svg .page");
  if (page) {
    const headings = [...document.querySelectorAll("svg > text")];
    headings.forEach((text) => readable(text, fill(text), fill(page)));
    [...headings, ...boxes].filter((shown) => !holds(area(page), area(shown))).forEach((shown) => faults.push(`${name(shown)} is not in the picture`));
    headings.forEach((one, index) =>
      headings.slice(index + 1).filter((other) => touch(area(one), area(other))).forEach((other) => faults.push(`${name(one)} lies on ${name(other)}`)));
  }

  // A chart: labels in it, each apart from the other labels and from all bars but the one that it is in.
  const chart = document.querySelector(".chart svg");
  if (chart) {
    const ground = getComputedStyle(document.body).backgroundColor;
    const texts = [...chart.querySelectorAll("text")];
    const bars = [...chart.querySelectorAll("rect")];
    texts.filter((text) => !holds(area(chart), area(text))).forEach((text) => faults.push(`${name(text)} is not in the chart`));
    texts.forEach((text, index) => {
      const others = texts.slice(index + 1).filter((other) => touch(area(text), area(other)));
      others.forEach((other) => faults.push(`${name(text)} lies on ${name(other)}`));
      const bar = bars.find((bar) => touch(area(text), area(bar)));
      const inside = text.classList.contains("inside");
      if (inside && !(bar && holds(area(bar), area(text)))) faults.push(`${name(text)} is not in its bar`);
      if (!inside && bar) faults.push(`${name(text)} lies on a bar`);
      readable(text, fill(text), inside && bar ? fill(bar) : ground);
    });
    // A bar is beside its name, and a name that has no room ends with dots.
    const names = [...document.querySelectorAll(".names div:not(.heading)")];
    if (names.length !== bars.length) faults.push(`${names.length} names for ${bars.length} bars`);
    names.forEach((of, index) => {
      const bar = area(bars[index]);
      if (!(area(of).top <= bar.top && area(of).bottom >= bar.bottom)) faults.push(`the bar of ${name(of)} is not beside it`);
      if (of.scrollWidth > of.clientWidth && getComputedStyle(of).textOverflow !== "ellipsis") faults.push(`${name(of)} is cut off`);
    });
    // A heading may reach over the chart, where its row has no bar.
    const headings = [...document.querySelectorAll(".names .heading")].map((heading) => {
      const range = document.createRange();
      range.selectNodeContents(heading);
      return [heading, range.getBoundingClientRect()];
    });
    headings.forEach(([heading, shown]) => {
      if (shown.right > area(chart).right || [...texts, ...bars].some((other) => touch(shown, area(other)))) faults.push(`${name(heading)} is not in its row`);
    });
    document.querySelectorAll("h1, p, th, td, .names div").forEach((text) => {
      if (text.textContent.trim()) readable(text, getComputedStyle(text).color, ground);
    });
    if (document.documentElement.scrollWidth > innerWidth) faults.push(`the page is ${document.documentElement.scrollWidth} wide, and its window ${innerWidth}`);
  }

  const found = document.createElement("pre");
  found.id = "found";
  found.textContent = [dark ? "dark" : "light", ...faults].join("\n") + "\n";
  document.body.append(found);
})();
