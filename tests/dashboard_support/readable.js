/* Gives what is wrong with the page that is drawn; see readable.py. */
() => {
  const faults = new Set();
  const parts = text => {
    const found = (text.match(/[\d.]+(e-?\d+)?/g) || []).map(Number);
    return found.length < 3 ? null : [found[0], found[1], found[2], found.length > 3 ? found[3] : 1];
  };
  const over = (top, under) => {
    const a = top[3] + under[3] * (1 - top[3]);
    return a ? [0, 1, 2].map(k => (top[k] * top[3] + under[k] * under[3] * (1 - top[3])) / a).concat(a) : [0, 0, 0, 0];
  };
  const light = c => {
    const l = c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2];
  };
  const contrast = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const ground = element => {
    let found = [0, 0, 0, 0];
    for (let e = element; e && found[3] < 0.999; e = e.parentElement) {
      if (!(e instanceof HTMLElement)) continue;
      const style = getComputedStyle(e);
      if (style.backgroundImage !== "none") return null;
      found = over(found, parts(style.backgroundColor) || [0, 0, 0, 0]);
    }
    return over(found, [255, 255, 255, 1]);
  };
  const seen = element => {
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return false;
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && box.right > 0 && box.bottom + scrollY > 0;
  };
  const where = e => `${e.tagName.toLowerCase()}${e.id ? "#" + e.id : ""}.${String(e.className.baseVal ?? e.className)}`;

  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || !element || /^(SCRIPT|STYLE|NOSCRIPT|TITLE)$/i.test(element.tagName) || !seen(element)) continue;
    if (element.closest("[disabled], [aria-hidden=true], .heatmap-label")) continue; // of the heat map: see the style sheet
    const style = getComputedStyle(element), svg = element instanceof SVGElement;
    const ink = parts(svg ? style.fill : style.color), back = ground(element);
    if (!ink || !back) continue;
    const size = parseFloat(style.fontSize), bold = parseInt(style.fontWeight) >= 700;
    const least = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5, found = contrast(over(ink, back), back);
    if (found < least - 0.01) faults.add(`contrast ${found.toFixed(2)}: ${where(element)} "${text.slice(0, 40)}"`);
  }
  document.querySelectorAll("input[placeholder]").forEach(input => {
    if (!seen(input) || input.value) return;
    const ink = parts(getComputedStyle(input, "::placeholder").color), back = ground(input);
    const found = contrast(over(ink, back), back);
    if (found < 4.49) faults.add(`contrast ${found.toFixed(2)}: placeholder of ${where(input)}`);
  });

  const named = e => {
    const by = (e.getAttribute("aria-labelledby") || "").split(/\s+/).filter(Boolean);
    if (by.some(id => document.getElementById(id)?.textContent.trim())) return true;
    if ((e.getAttribute("aria-label") || "").trim() || (e.getAttribute("title") || "").trim()) return true;
    if (e.labels && [...e.labels].some(l => l.textContent.trim())) return true;
    if (e.tagName === "IMG") return e.hasAttribute("alt");
    return e.tagName !== "INPUT" && !!(e.textContent.trim() || e.querySelector("img[alt]:not([alt=''])"));
  };
  const controls = "a[href], button, input:not([type=hidden]), select, textarea, summary, img, [role=button], " +
    "[role=slider], [role=img], [role=region], [role=group], [role=combobox], [role=listbox], [role=option], progress";
  document.querySelectorAll(controls).forEach(e => {
    if (!seen(e)) return;
    if (!named(e)) faults.add(`no name: ${where(e)}`);
    if (!e.matches("a[href], button, input, summary, [role=button]") || e.closest("svg, .js-plotly-plot")) return;
    const box = e.getBoundingClientRect(), inline = getComputedStyle(e).display === "inline";
    if (!inline && (box.width < 24 || box.height < 24)) {
      // Small targets are well where nothing else is within a circle of 24 pixels (2.5.8).
      const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
      const near = [...document.querySelectorAll("a[href], button, input, summary")].some(o => {
        if (o === e || e.contains(o) || o.contains(e) || !seen(o)) return false;
        const b = o.getBoundingClientRect();
        const dx = Math.max(b.left - x, 0, x - b.right), dy = Math.max(b.top - y, 0, y - b.bottom);
        return Math.hypot(dx, dy) < 12;
      });
      if (near) faults.add(`target ${box.width.toFixed(0)} by ${box.height.toFixed(0)}: ${where(e)}`);
    }
  });

  const ids = new Map();
  document.querySelectorAll("[id]").forEach(e => ids.set(e.id, (ids.get(e.id) || 0) + 1));
  ids.forEach((n, id) => { if (n > 1 && !document.querySelector(`svg [id="${CSS.escape(id)}"]`)) faults.add(`id twice: ${id}`); });
  document.querySelectorAll("[aria-describedby], [aria-labelledby], [aria-controls][aria-expanded=true]").forEach(e => {
    for (const name of ["aria-describedby", "aria-labelledby"])
      for (const id of (e.getAttribute(name) || "").split(/\s+/).filter(Boolean))
        if (!document.getElementById(id)) faults.add(`${name} leads nowhere: ${where(e)}`);
  });
  let level = 0;
  document.querySelectorAll("h1, h2, h3, h4").forEach(h => {
    const now = Number(h.tagName[1]);
    if (seen(h) && now > level + 1) faults.add(`heading of level ${now} after ${level}: "${h.textContent.slice(0, 40)}"`);
    if (seen(h)) level = now;
  });
  if (!document.documentElement.lang) faults.add("no language");
  if (!document.title.trim()) faults.add("no title");
  document.querySelectorAll("ul, ol").forEach(list => {
    if ([...list.children].some(c => !/^(LI|SCRIPT|TEMPLATE)$/.test(c.tagName))) faults.add(`list of other things: ${where(list)}`);
  });
  if (document.querySelectorAll("main").length !== 1) faults.add("not one main part");
  if (document.querySelector("meta[name=viewport]")?.content.match(/user-scalable=no|maximum-scale/)) faults.add("no zoom");
  return [...faults].sort();
}
