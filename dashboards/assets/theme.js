/* Light or dark: what was chosen, else what the machine prefers. Runs before anything is drawn. */
(function () {
  "use strict";
  var root = document.documentElement, key = "calliper-theme";
  function kept() { try { return window.localStorage.getItem(key); } catch (error) { return null; } }
  function apply(theme) { if (theme) { root.setAttribute("data-theme", theme); } else { root.removeAttribute("data-theme"); } }
  apply(kept());
  document.addEventListener("click", function (event) {
    if (!event.target.closest || !event.target.closest("[data-theme-switch]")) { return; }
    var dark = root.getAttribute("data-theme") === "dark" ||
      (!root.hasAttribute("data-theme") && window.matchMedia("(prefers-color-scheme: dark)").matches);
    var next = dark ? "light" : "dark";
    apply(next);
    try { window.localStorage.setItem(key, next); } catch (error) { /* it holds until the page is loaded again */ }
  });
}());
