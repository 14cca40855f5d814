/* What the pages do in the browser: filters become the address, charts become files, lost sessions are noticed. */
(function () {
  "use strict";
  var nothing = function () { return window.dash_clientside.no_update; };
  var filters = ["site", "sex", "ethnicity", "bmi", "phone", "age", "run"];

  function ages(chosen) {
    var from = chosen.from, to = chosen.to;
    var text = function (value) { return value === null || value === undefined || value === "" ? "" : String(value); };
    return text(from) === "" && text(to) === "" ? null : text(from) + "-" + text(to);
  }

  window.dash_clientside = Object.assign({}, window.dash_clientside, { calliper: {
    applyFilters: function (values, keys, search) {
      if (!keys || !keys.length) { return nothing(); }
      var before = new URLSearchParams(search || ""), after = new URLSearchParams(), chosen = {};
      keys.forEach(function (key, place) { chosen[key.name] = values[place]; });
      filters.forEach(function (name) {
        if (name === "age") {
          var range = ages(chosen);
          if (range) { after.append("age", range); }
        } else if (name in chosen) {
          [].concat(chosen[name] === null || chosen[name] === undefined ? [] : chosen[name])
            .forEach(function (value) { after.append(name, value); });
        } else {
          before.getAll(name).forEach(function (value) { after.append(name, value); });
        }
      });
      before.forEach(function (value, name) { if (filters.indexOf(name) < 0) { after.append(name, value); } });
      var old = new URLSearchParams(before.toString()), now = after.toString();
      old.sort(); after.sort();
      return old.toString() === after.toString() ? nothing() : (now ? "?" + now : "");
    },
    clearFilters: function (clicks, search) {
      if (!clicks) { return nothing(); }
      var query = new URLSearchParams(search || "");
      filters.forEach(function (name) { query.delete(name); });
      return query.toString() ? "?" + query.toString() : "";
    },
    chooseFat: function (value, shown, search) {
      /* The slider tells its value when it is drawn, too. */
      if (value === null || value === undefined || value === shown) { return nothing(); }
      var query = new URLSearchParams(search || "");
      query.set("fat", value);
      return "?" + query.toString();
    },
    openPoint: function () {
      var told = window.dash_clientside.callback_context.triggered;
      var point = told && told[0] && told[0].value && told[0].value.points && told[0].value.points[0];
      var address = point && point.customdata && point.customdata[0];
      return typeof address === "string" && address.charAt(0) === "/" ? address : nothing();
    },
    reloadWhenDone: function (status) {
      if (status === "finished") { window.location.reload(); return true; }
      return status === "failed";
    }
  } });

  document.addEventListener("click", function (event) {
    var button = event.target.closest && event.target.closest("[data-image]");
    if (!button) { return; }
    var name = button.getAttribute("data-chart");
    var graph = document.querySelector("#chart-" + CSS.escape(name) + " .js-plotly-plot");
    if (!graph || !window.Plotly) { return; }
    var size = graph.getBoundingClientRect();
    window.Plotly.downloadImage(graph, {
      format: button.getAttribute("data-image"), filename: name, width: Math.round(size.width),
      height: Math.round(size.height), scale: button.getAttribute("data-image") === "png" ? 2 : 1
    });
  });

  function loadAgain() {
    /* Not again and again: without cookies every answer is the same. */
    var key = "calliper-loaded", now = Date.now(), last = 0;
    try { last = Number(window.sessionStorage.getItem(key)); window.sessionStorage.setItem(key, String(now)); }
    catch (error) { return false; }
    if (now - last <= 10000) { return false; }
    window.location.reload();
    return true;
  }

  var ask = window.fetch;
  window.fetch = function () {
    return ask.apply(this, arguments).then(function (answer) {
      /* The session has ended, or the registry is out of reach: the server's own page says so. */
      /* While the page is loading again, nobody waits for this answer. */
      return (answer.status === 401 || answer.status === 503) && loadAgain() ? new Promise(function () {}) : answer;
    });
  };
}());
