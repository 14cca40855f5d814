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

  /* Charts and figures as files ------------------------------------------------------------------------------- */

  function wrapped(text, most) {
    var lines = [], line = "";
    text.split(/\s+/).forEach(function (word) {
      if (line && (line + " " + word).length > most) { lines.push(line); line = word; }
      else { line = line ? line + " " + word : word; }
    });
    return line ? lines.concat(line) : lines;
  }

  function textOf(selector) {
    var found = document.querySelector(selector);
    return found ? found.textContent.trim() : "";
  }

  function escaped(text) {
    return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  }

  function saveChart(button) {
    /* On paper's own ground, with what the page says around the chart: a file goes where the page is not seen. */
    var name = button.getAttribute("data-chart"), kind = button.getAttribute("data-image");
    var graph = document.querySelector("#chart-" + CSS.escape(name) + " .js-plotly-plot");
    if (!graph || !window.Plotly) { return; }
    var size = graph.getBoundingClientRect(), width = Math.max(Math.round(size.width), 420);
    var most = Math.floor(width / 6.8), shown = textOf("#filters summary .small");
    var own = button.closest("figure"), heading = own.querySelector("h3").textContent;
    document.querySelectorAll("main h2").forEach(function (above) {
      /* Of headings that stand before the chart the last one counts. */
      if (above.compareDocumentPosition(own) & Node.DOCUMENT_POSITION_FOLLOWING) { own.section = above.textContent; }
    });
    if (own.section) { heading = own.section + ": " + heading; }
    var lines = wrapped(heading, Math.floor(width / 8.8)).map(
      function (line) { return "<b>" + escaped(line) + "</b>"; });
    var less = wrapped("Study " + textOf(".study") + (shown ? "; filters: " + shown : "") + ". " + textOf(".banner"), most);
    lines = lines.concat(less.map(function (line) { return '<span style="font-size:11px">' + escaped(line) + "</span>"; }));
    var more = 19 * lines.length + 12, height = Math.round(size.height) + more, layout = JSON.parse(JSON.stringify(graph.layout));
    layout.paper_bgcolor = "#ffffff";
    layout.margin = Object.assign({}, layout.margin, { t: ((layout.margin || {}).t || 10) + more });
    layout.title = {
      text: lines.join("<br>"), font: { size: 14 }, x: 0, xref: "container", xanchor: "left", pad: { l: 12 },
      y: 1 - 14 / height, yref: "container", yanchor: "top", automargin: false
    };
    layout.autosize = false;
    window.Plotly.downloadImage({ data: graph.data, layout: layout, config: { staticPlot: true } }, {
      format: kind, filename: name, width: width, height: height, scale: kind === "png" ? 2 : 1
    });
  }

  function save(address, filename) {
    var link = document.createElement("a");
    link.href = address;
    link.download = filename;
    document.body.appendChild(link);
    link.click();
    link.remove();
  }

  function saveFigure(button) {
    var name = button.getAttribute("data-figure"), kind = button.getAttribute("data-image");
    document.getElementById(name).querySelectorAll("img").forEach(function (image, place) {
      var file = name + (place ? "-" + (place + 1) : "") + "." + kind;
      if (kind === "svg") { save(image.src, file); return; }
      var canvas = document.createElement("canvas"), scale = 2, ink = canvas.getContext("2d");
      canvas.width = image.naturalWidth * scale;
      canvas.height = image.naturalHeight * scale;
      ink.fillStyle = "#ffffff";
      ink.fillRect(0, 0, canvas.width, canvas.height);
      ink.drawImage(image, 0, 0, canvas.width, canvas.height);
      save(canvas.toDataURL("image/png"), file);
    });
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest && event.target.closest("[data-image]");
    if (button) { (button.hasAttribute("data-figure") ? saveFigure : saveChart)(button); }
  });

  /* Names for fields that Dash draws without them: what stands beside a list or a slider is its name. */
  function nameFields() {
    document.querySelectorAll(".field > .label, .slider > .label").forEach(function (label) {
      if (!label.id) { label.id = "label-" + nameFields.made++; }
      label.parentElement.querySelectorAll("button.dash-dropdown, [role=slider], input").forEach(function (field) {
        var name = field.id && field.matches("button") ? label.id + " " + field.id : label.id;
        if (field.getAttribute("aria-labelledby") !== name) { field.setAttribute("aria-labelledby", name); }
      });
    });
  }
  nameFields.made = 0;

  /* On very wide screens all text grows with the page; that of charts is asked to. */
  function enlargeCharts() {
    var scale = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16.5;
    if (scale < 1.15 || !window.Plotly) { return; }
    document.querySelectorAll(".js-plotly-plot").forEach(function (graph) {
      var layout = graph.layout;
      if (!graph._fullLayout || !layout || !layout.font || layout.enlarged) { return; }
      layout.enlarged = true;
      var size = Math.round(13 * scale), less = Math.round(12 * scale);
      var update = { "font.size": size, "legend.font.size": less };
      ["xaxis", "yaxis"].forEach(function (axis) {
        if (layout[axis]) { update[axis + ".tickfont.size"] = less; update[axis + ".title.font.size"] = size; }
      });
      (layout.annotations || []).forEach(function (note, place) { update["annotations[" + place + "].font.size"] = less; });
      var cells = (graph.data || []).some(function (trace) { return trace.textfont; });
      window.Plotly.update(graph, cells ? { "textfont.size": less } : {}, update);
    });
  }

  new MutationObserver(function () { nameFields(); enlargeCharts(); }).observe(
    document.documentElement, { childList: true, subtree: true });

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
