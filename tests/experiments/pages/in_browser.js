// What a person would trip over, found by the browser itself: put into a page, it leaves its findings in <pre id=found>.
(() => {
  const found = [];
  const visible = (e) => e.getClientRects().length > 0;
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.5) return colour;
    }
    return [255, 255, 255];
  };
  const shown = (where) => `${where.tagName.toLowerCase()} "${where.textContent.trim().slice(0, 40)}"`;
  const name = (e) => e.getAttribute("aria-label") || e.textContent.trim();

  for (const language of ["en", "zh"]) {
    document.getElementById(`lang-${language}`).checked = true;
    const root = document.documentElement;
    if (root.scrollWidth > innerWidth) {
      const wide = [...document.querySelectorAll("main *")].filter((e) =>
        e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, figure.wide, pre"));
      found.push(`${language}: wider than the window by ${root.scrollWidth - innerWidth}: ${wide.slice(0, 3).map(shown)}`);
    }
    const other = language === "en" ? "zh-Hans" : "en";
    const own = language === "en" ? "en" : "zh-Hans";
    for (const e of document.querySelectorAll(`main [lang="${other}"]`))
      if (visible(e)) found.push(`${language}: ${shown(e)} is of the other language`);
    for (const e of document.querySelectorAll(`main span[lang="${own}"]`))
      if (visible(e.parentElement) && !e.textContent.trim()) found.push(`${language}: an empty text in ${shown(e.parentElement)}`);
    for (const e of document.querySelectorAll("main *")) {
      const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
      if (!text || !visible(e) || e.closest("svg") || e.closest("details:not([open])")) continue;
      const style = getComputedStyle(e);
      const pair = [luminance(rgb(style.color)), luminance(behind(e))].sort((a, b) => b - a);
      const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
      if (ratio < 4.5) found.push(`${language}: contrast ${ratio.toFixed(1)} of ${shown(e)}`);
    }
  }
  let level = 0;
  for (const h of document.querySelectorAll("h1, h2, h3, h4")) {
    const now = Number(h.tagName[1]);
    if (now > level + 1) found.push(`${shown(h)} skips a level`);
    level = now;
  }
  if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
  if (document.querySelectorAll("main").length !== 1) found.push("not one main");
  if (!document.documentElement.lang) found.push("the page has no language");
  for (const e of document.querySelectorAll("svg"))
    if (e.getAttribute("role") === "img" && !document.getElementById(e.getAttribute("aria-labelledby"))?.textContent.trim())
      found.push("a picture without a name");
  for (const e of document.querySelectorAll("a, input, [role=region], summary, nav"))
    if (!name(e)) found.push(`${e.tagName} without a name`);
  for (const e of document.querySelectorAll(".scroll, pre"))
    if (e.scrollWidth > e.clientWidth && e.tabIndex < 0) found.push(`${shown(e)} scrolls, and no key reaches it`);
  for (const e of document.querySelectorAll("th")) if (!e.scope) found.push(`${shown(e)} has no scope`);
  for (const e of document.querySelectorAll("a[href], input, summary, .scroll")) {
    if (!visible(e)) continue;
    e.focus();
    if (document.activeElement !== e) found.push(`${shown(e)} cannot be reached by a key`);
  }
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  if (new Set(ids).size < ids.length) found.push("an id twice");
  const pre = document.createElement("pre");
  pre.id = "found";
  pre.textContent = JSON.stringify({ width: innerWidth, found });
  document.body.append(pre);
})();
