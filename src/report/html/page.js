"use strict";
// Everything that is shown here is put into the page as text: nothing of a dump is ever read as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { hierarchy, reach, bonds, options } = data;
  const { buses, rows, kinds } = hierarchy;
  const byId = (id) => document.getElementById(id);

  /** An element: attributes, then children (elements or text). */
  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return element;
  }
  const plural = (number, noun, nouns) => `${number} ${number === 1 ? noun : nouns || noun + "s"}`;
  const command = (text) => make("code", { class: "command" }, `acsscan ${text}${options}`);

  // ---- Rows -----------------------------------------------------------------------------------------

  const DEVFN = 0, KIND = 1, CLASS = 2, DOMAIN = 3, GROUP = 4, DEVICE = 5, KERNEL = 6, COUNT = 7, STRIDE = 8, EACH = 9;
  const hex = (number, width) => number.toString(16).padStart(width, "0");
  const busOf = new Int32Array(rows.length);
  const below = new Map();
  const beside = new Map();
  buses.forEach((bus, index) => {
    busOf.fill(index, bus.rows[0], bus.rows[1]);
    const add = (map, key) => map.set(key, (map.get(key) || []).concat(index));
    if (bus.up !== null) add(below, bus.up);
    else if (bus.beside !== null) add(beside, bus.beside);
  });
  const count = (row) => rows[row][COUNT] || 1;
  const kindOf = (row) => kinds[rows[row][KIND]] || { name: "(too many kinds of functions: not shown)" };
  function address(row, member) {
    const bus = buses[busOf[row]];
    const devfn = rows[row][DEVFN] + (rows[row][STRIDE] || 0) * member;
    return `${hex(bus.segment, 4)}:${hex(bus.number, 2)}:${hex(devfn >> 3, 2)}.${devfn & 7}`;
  }
  const span = (row) =>
    count(row) === 1 ? address(row, 0) : `${address(row, 0)} to ${address(row, count(row) - 1).slice(-4)}`;
  /** A number of a member: of rows whose members have one each, the following ones. */
  const numbered = (row, what, bit, member) => {
    const first = rows[row][what];
    return first >= 0 && rows[row][EACH] & bit ? first + member : first;
  };
  const domainOf = (row, member) => numbered(row, DOMAIN, 1, member);
  const groupOf = (row, member) => numbered(row, GROUP, 2, member);
  const kernelOf = (row, member) => numbered(row, KERNEL, 4, member);

  const rowOf = new Map();
  rows.forEach((row, index) => {
    const bus = buses[busOf[index]];
    const key = `${bus.segment}:${bus.number}`;
    if (!rowOf.has(key)) rowOf.set(key, []);
    rowOf.get(key).push(index);
  });
  /** Row and member of an address; the domain may be left out. */
  function locate(text) {
    const parts = /^(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-7])$/i.exec(text.trim());
    if (!parts) return null;
    const devfn = parseInt(parts[3], 16) * 8 + Number(parts[4]);
    const segment = parts[1] ? parseInt(parts[1], 16) : 0;
    for (const row of rowOf.get(`${segment}:${parseInt(parts[2], 16)}`) || []) {
      const stride = rows[row][STRIDE] || 1;
      const member = (devfn - rows[row][DEVFN]) / stride;
      if (Number.isInteger(member) && member >= 0 && member < count(row)) return { row, member };
    }
    return null;
  }

  // ---- Domains --------------------------------------------------------------------------------------

  const shared = new Map(bonds.domains.map((domain, place) => [domain.id, { ...domain, place }]));
  const groups = new Map(bonds.groups.map((group) => [group.id, group]));
  const hue = (place) => Math.round((place * 137.508) % 360);
  function swatch(domain) {
    const known = shared.get(domain);
    const mark = make("span", { class: known ? "swatch" : "swatch alone", "aria-hidden": "true" });
    if (known) mark.style.setProperty("--hue", String(hue(known.place)));
    return mark;
  }
  function domainLabel(row) {
    const first = rows[row][DOMAIN];
    if (first < 0) return "no domain";
    if (rows[row][EACH] & 1 && count(row) > 1) return `domains ${first} to ${first + count(row) - 1}, each alone`;
    return shared.has(first) ? `domain ${first}` : `domain ${first}, alone`;
  }
  function groupLabel(row, member) {
    const group = groupOf(row, member);
    const kernel = kernelOf(row, member);
    const guess = groups.has(group) && !groups.get(group).certain ? "?" : "";
    const ours = group < 0 ? "no group" : `group ${group}${guess}`;
    return kernel < 0 ? ours : `${ours} (the kernel's ${kernel})`;
  }

  // ---- Tree -----------------------------------------------------------------------------------------

  const tree = byId("tree");
  const OPEN_AT_FIRST = 300;
  const items = new Map(); // row, or "b" and bus, to its element
  const parentOf = (row) => {
    let bus = busOf[row];
    while (buses[bus].beside !== null) bus = buses[bus].beside;
    return buses[bus].up === null || buses[bus].gap ? `b${bus}` : buses[bus].up;
  };
  /** What is directly below: rows, and buses of which the bridge is not in the dump. */
  function childrenOf(key) {
    if (typeof key === "string") return onBus(Number(key.slice(1)));
    return (below.get(key) || []).flatMap((bus) => (buses[bus].gap ? [`b${bus}`] : onBus(bus)));
  }
  function onBus(bus) {
    const own = [];
    for (let row = buses[bus].rows[0]; row < buses[bus].rows[1]; row += 1) own.push(row);
    return own.concat((beside.get(bus) || []).flatMap(onBus));
  }
  function item(key, level) {
    const children = childrenOf(key);
    const element = make("div", {
      role: "treeitem", tabindex: "-1", "aria-level": level,
      "aria-expanded": children.length ? "false" : null,
      "aria-selected": typeof key === "number" ? "false" : null,
    });
    element.dataset.key = key;
    const said = make("div", { class: "said" });
    const line = make("div", { class: "line" }, make("span", { class: "twisty", "aria-hidden": "true" }));
    if (typeof key === "string") {
      const bus = buses[Number(key.slice(1))];
      said.append(
        make("span", { class: "address" }, `bus ${hex(bus.segment, 4)}:${hex(bus.number, 2)}`),
        make("span", { class: "what" }, bus.gap ? "the bridge above it is not in the dump" : "root bus"),
      );
    } else {
      const kind = kindOf(key);
      line.append(swatch(rows[key][DOMAIN]));
      said.append(
        make("span", { class: "address" }, span(key)),
        make("span", { class: "badge domain" }, domainLabel(key)),
        make("span", { class: "badge" },
          count(key) > 1 && rows[key][EACH] & 2 && rows[key][GROUP] >= 0
            ? `groups ${rows[key][GROUP]} to ${rows[key][GROUP] + count(key) - 1}` : groupLabel(key, 0)),
        count(key) > 1 ? make("span", { class: "badge many" }, `${count(key)} functions alike`) : "",
        make("span", { class: "what" }, [kind.port, kind.name].filter(Boolean).join(", ")),
      );
    }
    line.append(said);
    element.append(line);
    // Without it the name would be all that is below, too.
    element.setAttribute("aria-label", [...said.children].map((part) => part.textContent).join(", "));
    items.set(key, element);
    return element;
  }
  function open(key, whether) {
    const element = items.get(key);
    if (!element || !element.hasAttribute("aria-expanded")) return;
    element.setAttribute("aria-expanded", String(whether));
    let group = element.querySelector(":scope > [role=group]");
    if (whether && !group) {
      const level = Number(element.getAttribute("aria-level")) + 1;
      group = make("div", { role: "group" }, ...childrenOf(key).map((child) => item(child, level)));
      element.append(group);
    }
    if (group) group.hidden = !whether;
  }
  const roots = buses.map((bus, index) => [bus, index]).filter(([bus]) => bus.up === null && bus.beside === null);
  tree.append(...roots.map(([, index]) => item(`b${index}`, 1)));
  function openAll(limit) {
    let shown = roots.length;
    let level = roots.map(([, index]) => `b${index}`);
    while (level.length) {
      const next = level.flatMap(childrenOf);
      shown += next.length;
      if (shown > limit) return false;
      level.forEach((key) => open(key, true));
      level = next;
    }
    return true;
  }
  if (!openAll(OPEN_AT_FIRST) && roots.length === 1) open(`b${roots[0][1]}`, true);

  let current = null; // the item that Tab reaches
  let chosen = null; // { row, member } that the panel shows
  /** Makes an item the one that Tab reaches; `focus` is null where nothing is to move on the screen. */
  function point(element, focus) {
    if (current) current.tabIndex = -1;
    current = element;
    current.tabIndex = 0;
    if (focus) current.focus({ preventScroll: true });
    if (focus !== null) current.firstElementChild.scrollIntoView({ block: "nearest" });
  }
  if (tree.firstElementChild) point(tree.firstElementChild, null);
  const keyOf = (element) => (/^b/.test(element.dataset.key) ? element.dataset.key : Number(element.dataset.key));
  const shownItems = () =>
    [...tree.querySelectorAll("[role=treeitem]")].filter((element) => !element.closest("[role=group][hidden]"));
  function reveal(row) {
    const way = [];
    for (let key = row; ; key = parentOf(key)) {
      way.push(key);
      if (typeof key === "string") {
        const bus = buses[Number(key.slice(1))];
        if (bus.up === null) break;
        way.push(bus.up);
        key = bus.up;
      }
    }
    way.slice(1).reverse().forEach((key) => open(key, true));
    return items.get(row);
  }
  function choose(row, member, focus) {
    chosen = { row, member };
    const before = tree.querySelector("[aria-selected=true]");
    if (before) before.setAttribute("aria-selected", "false");
    const element = reveal(row);
    element.setAttribute("aria-selected", "true");
    point(element, focus);
    showDetail();
  }
  function activate(key, asTarget) {
    if (typeof key === "string") return open(key, items.get(key).getAttribute("aria-expanded") !== "true");
    if (asTarget && chosen) return showRoute(address(chosen.row, chosen.member), address(key, 0), true);
    return choose(key, 0, true);
  }
  tree.addEventListener("click", (event) => {
    const element = event.target.closest("[role=treeitem]");
    if (!element) return;
    const key = keyOf(element);
    if (event.target.classList.contains("twisty")) {
      point(element, true);
      open(key, element.getAttribute("aria-expanded") !== "true");
    } else activate(key, event.shiftKey);
  });
  tree.addEventListener("keydown", (event) => {
    const element = event.target.closest("[role=treeitem]");
    if (!element || event.ctrlKey || event.altKey || event.metaKey) return;
    const key = keyOf(element);
    const expanded = element.getAttribute("aria-expanded");
    const to = (other) => other && point(other, true);
    const around = (by) => {
      const all = shownItems();
      to(all[all.indexOf(element) + by]);
    };
    const actions = {
      ArrowDown: () => around(1),
      ArrowUp: () => around(-1),
      ArrowRight: () => (expanded === "false" ? open(key, true) : expanded === "true" && around(1)),
      ArrowLeft: () =>
        expanded === "true" ? open(key, false) : to(element.parentElement.closest("[role=treeitem]")),
      Home: () => to(shownItems()[0]),
      End: () => to(shownItems().pop()),
      Enter: () => activate(key, event.shiftKey),
      " ": () => activate(key, event.shiftKey),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  });
  byId("expand").addEventListener("click", () => {
    const whole = openAll(5000);
    byId("find-status").textContent = whole ? "" : "Too much to open at once: opened as far as is quick.";
    if (!whole) roots.slice(0, 500).forEach(([, index]) => open(`b${index}`, true));
  });
  byId("collapse").addEventListener("click", () => {
    [...items.keys()].forEach((key) => open(key, false));
    if (tree.firstElementChild) point(tree.firstElementChild, null);
  });
  window.addEventListener("beforeprint", () => {
    openAll(5000);
    document.querySelectorAll("details").forEach((part) => { part.open = true; });
  });

  // ---- Find -----------------------------------------------------------------------------------------

  byId("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = byId("find-text").value.trim().toLowerCase();
    const status = byId("find-status");
    if (!text) return;
    const exact = locate(text);
    if (exact) {
      status.textContent = `${address(exact.row, exact.member)} found`;
      choose(exact.row, exact.member, false);
      return;
    }
    const named = /^domain (\d+)$/.exec(text);
    const fits = (row) => {
      if (named) {
        const member = Number(named[1]) - rows[row][DOMAIN];
        return rows[row][EACH] & 1 ? member >= 0 && member < count(row) : member === 0;
      }
      const kind = kindOf(row);
      return [span(row), kind.name, kind.driver, kind.port, kind.label].some(
        (part) => part && part.toLowerCase().includes(text));
    };
    const found = [];
    rows.forEach((_, row) => fits(row) && found.push(row));
    if (!found.length) {
      status.textContent = "Nothing found";
      return;
    }
    const after = chosen ? found.findIndex((row) => row > chosen.row) : 0;
    const at = after < 0 ? 0 : after;
    status.textContent = `${at + 1} of ${found.length}`;
    choose(found[at], named && rows[found[at]][EACH] & 1 ? Number(named[1]) - rows[found[at]][DOMAIN] : 0, false);
  });

  // ---- One function ---------------------------------------------------------------------------------

  const detail = byId("detail");
  const link = (name) =>
    make("button", { type: "button", class: "link", onclick: () => {
      const at = locate(name);
      if (at) choose(at.row, at.member, true);
    } }, name);
  const evidenceList = (indices, about) =>
    indices.length
      ? make("ul", { class: "evidence" }, ...indices.map((index) => {
          const [owner, text] = reach.evidence[index];
          return make("li", {}, ...(owner === about ? [] : [link(reach.functions[owner]), " "]), bits(text));
        }))
      : "";
  /** Tokens such as ReqRedir+ and SrcValid- stand out. */
  function bits(text) {
    const line = make("span", {});
    text.split(/(\b[A-Za-z]+[+-](?![\w-]))/).forEach((piece, n) => {
      if (n % 2) line.append(make("b", { class: piece.endsWith("+") ? "bit on" : "bit off" }, piece));
      else line.append(piece);
    });
    return line;
  }
  const part = (title, ...content) => make("details", { open: "" }, make("summary", {}, title), ...content);
  const acceptance = (text) => (text ? make("span", { class: "accepted" }, `; ${text}`) : "");
  const pairOf = new Map(reach.pairs.map((pair, index) => [`${reach.functions[pair[0]]} ${reach.functions[pair[1]]}`, index]));

  function showDetail() {
    const { row, member } = chosen;
    const kind = kindOf(row);
    const own = address(row, member);
    const facts = [
      ["Domain", `${domainOf(row, member)}${shared.has(domainOf(row, member)) ? "" : ", alone"}`],
      ["Linux", groupLabel(row, member)],
      ["Port", kind.port], ["Buses below", kind.buses], ["Driver", kind.driver],
      ["Kind", kind.label],
      ["Device", rows[row][DEVICE] < 0 ? null : `that of ${hierarchy.devices[rows[row][DEVICE]]}${kind.is_virtual ? ", a virtual function" : ""}`],
      ["Class in the matrix", rows[row][CLASS] < 0 ? null : String(rows[row][CLASS])],
    ].filter(([, value]) => value);
    detail.replaceChildren(
      make("h3", {}, swatch(domainOf(row, member)), own),
      make("p", {}, kind.name),
      count(row) > 1
        ? make("p", { class: "members" }, `One of ${count(row)} functions alike, ${span(row)}: `,
            make("label", {}, "which ", make("select", { id: "member", onchange: (event) => {
              chosen.member = Number(event.target.value);
              showDetail();
              byId("member").focus();
            } }, ...Array.from({ length: count(row) }, (_, n) =>
              make("option", { value: n, selected: n === member ? "" : null }, address(row, n))))))
        : "",
      make("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
      ...(kind.label
        ? [make("p", { class: "actions" },
            make("button", { type: "button", onclick: () => routeEnd("route-from", own) }, "Route from here"), " ",
            make("button", { type: "button", onclick: () => routeEnd("route-to", own) }, "Route to here"))]
        : []),
      whyPart(row, member), reachPart(row, member, own), groupPart(row, member), registerPart(row, member),
    );
  }

  /** What the panel shows at first: the domains that functions share. */
  function showOverview() {
    const SHOWN = 40;
    const order = Object.keys(held);
    const worstFirst = [...bonds.domains].sort((a, b) => order.indexOf(a.held_by) - order.indexOf(b.held_by));
    const domains = worstFirst.slice(0, SHOWN).map((domain) => {
      const first = membersOf(domain.id).find(([name]) => kindOf(locate(name).row).label);
      return make("li", {}, swatch(domain.id), " ", `domain ${domain.id}: ${plural(domain.initiators, "function")}, held together by ${held[domain.held_by] || "?"}`,
        ...(first ? [", with ", link(first[0])] : []));
    });
    if (!domains.length) return;
    detail.append(make("h3", {}, "Domains that several functions share"), make("ul", { class: "domains" }, ...domains),
      bonds.domains.length > SHOWN ? make("p", { class: "more" }, `and ${bonds.domains.length - SHOWN} more: Find takes `, make("code", {}, "domain 7")) : "");
  }

  /** The functions of a domain: first, last and number of those that stand in a row on one bus. */
  function membersOf(domain) {
    const ranges = [];
    let last = null;
    rows.forEach((row, index) => {
      const each = row[EACH] & 1;
      const at = each ? domain - row[DOMAIN] : 0;
      if (each ? at < 0 || at >= count(index) : row[DOMAIN] !== domain) return;
      const [from, to, number] = each ? [address(index, at), address(index, at), 1]
        : [address(index, 0), address(index, count(index) - 1), count(index)];
      const range = ranges[ranges.length - 1];
      if (last === index - 1 && busOf[last] === busOf[index]) {
        range[1] = to;
        range[2] += number;
      } else ranges.push([from, to, number]);
      last = index;
    });
    return ranges;
  }
  const held = { direct: "direct traffic", impersonation: "impersonation", unproven: "what is not known" };
  /** Bonds that differ in their targets only, as one. */
  function together(bonds_) {
    const found = new Map();
    for (const [by, from, to, tlp, reason, evidence, more, accepted, forged] of bonds_) {
      const key = JSON.stringify([by, from, tlp, reason, evidence, accepted, forged]);
      const one = found.get(key);
      if (one) {
        one[2] += `, ${to}`;
        one[6] += more;
      } else found.set(key, [by, from, to, tlp, reason, evidence, more, accepted, forged]);
    }
    return [...found.values()];
  }
  function whyPart(row, member) {
    const domain = domainOf(row, member);
    const known = shared.get(domain);
    const own = address(row, member);
    if (!known) {
      return part("Domain, and why",
        make("p", {}, kindOf(row).label
          ? "Alone, with the ports that lead to it only: under what is assumed, it is kept apart from everything else."
          : "No function that can initiate shares it, or those below are in several domains."));
    }
    const members = membersOf(domain);
    const remedies = new Set();
    const why = together(known.why).map(([by, from, to, tlp, reason, evidence, more, accepted, forged]) => {
      const said = reason === null
        ? `${from} may use the requester ID of ${to}: ${forged}`
        : tlp ? `${tlp} from ${from} to ${to}: ${reach.reasons[reason][1]}`
          : `${from} may perhaps use the requester ID of ${to}: ${reach.reasons[reason][1]}`;
      if (reason !== null) remedies.add(reach.reasons[reason][2]);
      return make("li", {}, make("b", {}, `${held[by] || by}: `), said,
        more ? ` (and ${more} more bonds of this kind)` : "", acceptance(accepted), evidenceList(evidence));
    });
    return part("Domain, and why",
      make("p", {}, `Domain ${domain}: ${plural(known.initiators, "function")} that can initiate, held together by ${held[known.held_by] || "?"}.`),
      make("p", { class: "functions" }, ...members.slice(0, 40).flatMap(([first, last, number]) => [
        link(first), number > 1 ? ` to ${last} (${number})` : "", " "]),
        members.length > 40 ? `and ${members.length - 40} more ranges` : ""),
      make("ul", { class: "why" }, ...why),
      known.left_out ? make("p", { class: "more" }, `${plural(known.left_out, "kind")} of bonds not shown: `, command(`explain ${own}`)) : "",
      known.parts > 1 ? make("p", {}, `Were all unknowns answered well, ${known.parts} parts would remain.`) : "",
      remedies.size ? make("p", { class: "advice" }, make("b", {}, "What could change it: "), [...remedies].join("; ")) : "");
  }

  const RELATION = ["in its device", "on its bus", "behind other ports"];
  const IMPERSONATION = ["", "may use its requester ID", "may perhaps use its requester ID"];
  /** How safe an answer is: a class of the style sheet. */
  function safety(disposition, reason, forged) {
    if (disposition === 0 || forged === 1) return "unsafe";
    if (forged === 2) return "open";
    if (disposition === 1) return reach.reasons[reason][3] ? "assumed" : "open";
    return "safe";
  }
  const RANK = { unsafe: 0, open: 1, assumed: 2, safe: 3 };
  function verdict(disposition, reason, forged) {
    const kind = safety(disposition, reason, forged);
    const word = forged === 1 && disposition !== 0 ? "impersonation" : kind === "assumed" ? "apart as assumed" : reach.dispositions[disposition];
    return make("span", { class: `verdict ${kind}` }, word);
  }
  const rank = (cell) => RANK[safety(cell[3], cell[5], cell[6])] * 4 + cell[3];
  /** The least safe class of transaction of a pair that counts. */
  function worst(pair) {
    const counted = reach.counted.map((tlp) => [...reach.routes[pair[2][tlp]].slice(0, 2), tlp]);
    const danger = ([disposition, reason]) => RANK[safety(disposition, reason, 0)];
    return counted.reduce((least, one) => (danger(one) < danger(least) ? one : least));
  }
  function reachPart(row, member, own) {
    if (rows[row][CLASS] < 0 && !kindOf(row).label) {
      return part("Who can reach it", make("p", {}, "A port or bridge: traffic passes it; the functions below are what is reached."));
    }
    const SHOWN = 100;
    if (reach.all_pairs) {
      const to = reach.functions.indexOf(own);
      const others = reach.pairs.filter((pair) => pair[1] === to).map((pair) => ({ pair, worst: worst(pair) }));
      const danger = (other) => RANK[safety(other.worst[0], other.worst[1], other.pair[3])];
      others.sort((a, b) => danger(a) - danger(b));
      return part("Who can reach it",
        make("ul", { class: "reach" }, ...others.slice(0, SHOWN).map(({ pair, worst: [disposition, reason, tlp] }) => {
          const from = reach.functions[pair[0]];
          return make("li", {}, verdict(disposition, reason, pair[3]), " ",
            make("button", { type: "button", class: "link", onclick: () => showRoute(from, own, true) }, from),
            ` ${reach.tlps[tlp]}: ${reach.reasons[reason][1]}`, pair[3] ? `; ${IMPERSONATION[pair[3]]}` : "");
        })),
        others.length > SHOWN ? make("p", { class: "more" }, `and ${others.length - SHOWN} more`) : "");
    }
    const cells = reach.by_label ? [] : reach.cells.filter((cell) => cell[1] === rows[row][CLASS]);
    cells.sort((a, b) => rank(a) - rank(b));
    return part("Who can reach it",
      cells.length
        ? make("ul", { class: "reach" }, ...cells.slice(0, SHOWN).map((cell) =>
            make("li", {}, verdict(cell[3], cell[5], cell[6]), " ",
              make("button", { type: "button", class: "link", onclick: () => showCell(cell) }, `class ${cell[0]}`),
              ` ${reach.classes[cell[0]][0]} ${RELATION[cell[2]]}: ${reach.tlps[cell[4]]}, ${reach.reasons[cell[5]][1]}`,
              cell[6] ? `; ${IMPERSONATION[cell[6]]}` : "")))
        : make("p", {}, "The functions of its domain, above. There are too many classes to tell here by which way: "),
      make("p", { class: "more" }, "Each pair: ", command(`p2p A ${own}`)));
  }
  function groupPart(row, member) {
    const known = groups.get(groupOf(row, member));
    if (!known) return "";
    return part(`Linux's group ${known.id}${known.certain ? "" : ", predicted"}`,
      make("ul", { class: "evidence" },
        ...known.depends_on.map((text) => make("li", {}, `depends on ${bonds.texts[text]}`)),
        ...known.why.map((text) => make("li", {}, bits(bonds.texts[text])))),
      known.left_out ? make("p", { class: "more" }, `and ${known.left_out} more: `, command(`groups`)) : "");
  }

  showOverview();

  // ---- Registers ------------------------------------------------------------------------------------

  const words = (name) => name.replace(/[_-]/g, " ");
  function value(thing) {
    if (thing === null) return "not known";
    if (thing === true || thing === false) return make("span", { class: thing ? "bit on" : "bit off" }, thing ? "yes" : "no");
    if (Array.isArray(thing)) {
      if (!thing.length) return "none";
      return make("ul", {}, ...thing.map((one) => make("li", {}, value(one))));
    }
    if (typeof thing === "object") {
      if (thing.register) return bits(`${thing.function ? `${thing.function} ` : ""}${thing.register} at ${thing.offset} reads ${thing.value}: ${thing.bits}`);
      if (thing.entry) return `database entry ${thing.entry} (${thing.layer}${thing.file ? `, ${thing.file}` : ""})`;
      if (thing.structure) return thing.presence === "absent" ? `no ${thing.structure}` : `${thing.structure}: ${words(thing.presence)}`;
      const only = Object.keys(thing);
      if (only.length === 1 && only[0] === "presence") return words(thing.presence);
      return make("dl", { class: "registers" }, ...Object.entries(thing).flatMap(([name, one]) => [make("dt", {}, words(name)), make("dd", {}, value(one))]));
    }
    return String(thing);
  }
  function acsTable(acs, offset) {
    const { capability, control } = acs;
    if (acs.presence !== "present" || !capability || !control) return null;
    const flag = (bit) => make("td", { class: bit ? "bit on" : "bit off" }, bit === undefined ? "" : bit ? "+" : "-");
    const names = [...new Set([...Object.keys(capability), ...Object.keys(control)])].filter(
      (name) => typeof capability[name] === "boolean" || typeof control[name] === "boolean");
    return make("table", { class: "acs" },
      make("caption", {}, `ACS${offset ? ` at ${offset}` : ""}: capability ${capability.raw}, control ${control.raw}`),
      make("thead", {}, make("tr", {}, ...["", "offered", "enabled"].map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, ...names.map((name) =>
        make("tr", {}, make("th", { scope: "row" }, name), flag(capability[name]), flag(control[name])))));
  }
  function registerPart(row, member) {
    const acs = hierarchy.acs[kindOf(row).acs];
    const of = hierarchy.registers_of[row];
    const known = hierarchy.registers[of.length > 1 ? of[member] : of[0]];
    const table = acs && acsTable(acs, known && known.acs_offset);
    const { capability, control, ...rest } = acs || {};
    const { acs_offset, capabilities, ...others } = known || {};
    return part("Registers", table || "", make("h4", {}, "ACS"), value(table ? rest : acs || null),
      ...(known
        ? [make("h4", {}, "Header and capabilities"), value(others), make("h4", {}, "Capability lists"),
          make("ul", { class: "capabilities" }, ...(capabilities || []).map((one) => make("li", {}, make("code", {}, one.offset), ` ${one.name}`)))]
        : [make("p", { class: "more" }, "The other registers are not on this page, which would grow too long: ", command(`show -s ${address(row, member)}`))]));
  }

  // ---- Routes ---------------------------------------------------------------------------------------

  function routeEnd(field, name) {
    byId(field).value = name;
    const [from, to] = [byId("route-from").value, byId("route-to").value];
    if (from && to) showRoute(from, to, true);
    else byId("find-status").textContent = `${name} taken: choose the other end`;
  }
  const places = byId("routes-scope");
  places.append(reach.all_pairs
    ? `The routes of all ${plural(reach.pairs.length, "pair")} of functions are on this page.`
    : `Routes of ${plural(reach.pairs.length, "pair")} are on this page, one for each way in which two classes can stand to each other${reach.left_out ? `; ${reach.left_out} were left out` : ""}. Any other pair: `,
    reach.all_pairs ? "" : command("p2p A B"));

  function hop(index) {
    const [owner, rule, decision, reason, evidence] = reach.hops[index];
    return make("li", {}, link(reach.functions[owner]), " ", make("span", { class: "rule" }, rule), ` ${decision}`,
      reason === null ? "" : `: ${reach.reasons[reason][1]}`, evidenceList(evidence, owner));
  }
  function routeOf(index, tlp) {
    const [disposition, reason, hops, gates, substituted, accepted] = reach.routes[index];
    const shut = gates.map((gate) => reach.gates[gate]).filter(([, , isOpen]) => isOpen !== true);
    return make("section", { class: "way" },
      make("h4", {}, `${reach.tlps[tlp]}: `, verdict(disposition, reason, 0), reach.counted.includes(tlp) ? "" : " (not counted)"),
      make("p", {}, reach.reasons[reason][1], acceptance(accepted), "."),
      make("ol", { class: "hops" }, ...hops.map(hop)),
      substituted ? make("p", {}, `It arrives with requester ID ${substituted}, a bridge's.`) : "",
      ...shut.map(([owner, gate, isOpen]) =>
        make("p", { class: "gate" }, `As configured now: gate ${gate} of ${reach.functions[owner]} is ${isOpen === null ? "not known" : "shut"}.`)),
      make("p", { class: "advice" }, make("b", {}, "What could change it: "), reach.reasons[reason][2]));
  }
  const told = (name) => {
    const at = locate(name);
    return at ? { ...at, name: address(at.row, at.member) } : null;
  };
  function relationOf(a, b) {
    const same = (x) => rows[x.row][DEVICE];
    const slot = (x) => `${busOf[x.row]}/${(rows[x.row][DEVFN] + (rows[x.row][STRIDE] || 0) * x.member) >> 3}`;
    if (same(a) >= 0 || same(b) >= 0 ? same(a) === same(b) : slot(a) === slot(b)) return 0;
    return busOf[a.row] === busOf[b.row] ? 1 : 2;
  }
  function showRoute(fromName, toName, jump) {
    const panel = byId("route");
    const [from, to] = [told(fromName), told(toName)];
    byId("route-from").value = from ? from.name : fromName;
    byId("route-to").value = to ? to.name : toName;
    const missing = !from ? fromName : !to ? toName : null;
    if (missing !== null) panel.replaceChildren(make("p", { class: "alarm" }, `No function has the address “${missing}”.`));
    else if (from.name === to.name) panel.replaceChildren(make("p", {}, "These two are one function."));
    else panel.replaceChildren(...routePanel(from, to));
    if (jump) byId("routes").scrollIntoView();
  }
  function routePanel(from, to) {
    const index = pairOf.get(`${from.name} ${to.name}`);
    const title = make("h3", {}, `${from.name} to ${to.name}`);
    const port = [from, to].find((end) => !kindOf(end.row).label);
    if (port) return [title, make("p", {}, `${port.name} is a port or bridge: it is on the way of others, and no end of a route.`)];
    if (index !== undefined) return [title, ...pairPanel(index)];
    const ends = [rows[from.row][CLASS], rows[to.row][CLASS]];
    const cell = reach.by_label ? undefined
      : reach.cells.find((one) => one[0] === ends[0] && one[1] === ends[1] && one[2] === relationOf(from, to));
    const exact = make("p", { class: "more" }, "Hop by hop: ", command(`p2p ${from.name} ${to.name}`));
    if (!cell) return [title, make("p", {}, "This pair is not on this page."), exact];
    return [title,
      make("p", {}, verdict(cell[3], cell[5], cell[6]), ` ${cellText(cell)}`), exact,
      ...(cell[9] ? [make("p", {}, "A pair that stands to each other in the same way:"), ...namedPair(cell[9] - 1)] : [])];
  }
  function namedPair(index) {
    const pair = reach.pairs[index];
    return [make("h3", {}, `${reach.functions[pair[0]]} to ${reach.functions[pair[1]]}`), ...pairPanel(index)];
  }
  function pairPanel(index) {
    const pair = reach.pairs[index];
    const [disposition, reason] = worst(pair);
    const order = reach.tlps.map((_, tlp) => tlp).sort((a, b) => reach.counted.includes(b) - reach.counted.includes(a) || a - b);
    return [
      make("p", {}, "The least safe that counts: ", verdict(disposition, reason, pair[3])),
      make("p", {}, make("b", {}, "Impersonation: "), reach.texts[pair[4]]),
      make("p", {}, make("b", {}, "The kernel's p2pdma: "), reach.texts[pair[5]]),
      make("div", { class: "ways" }, ...order.map((tlp) => routeOf(pair[2][tlp], tlp))),
    ];
  }
  byId("route-form").addEventListener("submit", (event) => {
    event.preventDefault();
    showRoute(byId("route-from").value, byId("route-to").value, false);
  });
  byId("route-swap").addEventListener("click", () => showRoute(byId("route-to").value, byId("route-from").value, false));

  // ---- Matrix ---------------------------------------------------------------------------------------

  const SIGN = ["D", "?", "R", "B"];
  const ON_PAPER = 40; // classes that a sheet has room for
  function cellText(cell) {
    const [from, to, relation, disposition, tlp, reason, forged, cells, isolated, , accepted] = cell;
    const ends = reach.by_label
      ? `${reach.classes[from][0]} to ${reach.classes[to][0]}`
      : `class ${from} (${reach.classes[from][0]}) to class ${to} (${reach.classes[to][0]})`;
    const all = cells > 1 ? `; ${isolated} of ${cells} cells isolated, this is the least safe` : "";
    return `${ends}, ${reach.relations[relation]}: ${reach.dispositions[disposition]}, ${reach.tlps[tlp]}: ${reach.reasons[reason][1]}` +
      `${forged ? `; the initiators ${["", "may", "may perhaps"][forged]} use the targets' requester IDs` : ""}${all}${accepted ? `; ${reach.texts[accepted - 1]}` : ""}.`;
  }
  function showCell(cell) {
    const panel = byId("route");
    panel.replaceChildren(make("p", {}, verdict(cell[3], cell[5], cell[6]), ` ${cellText(cell)}`),
      ...(cell[9] ? namedPair(cell[9] - 1) : [make("p", {}, "Its routes are not on this page: ", command("p2p A B"))]));
    if (cell[9]) {
      const pair = reach.pairs[cell[9] - 1];
      byId("route-from").value = reach.functions[pair[0]];
      byId("route-to").value = reach.functions[pair[1]];
    }
    byId("routes").scrollIntoView();
  }
  function drawMatrix() {
    const scope = byId("matrix-scope");
    if (!reach.classes.length) {
      scope.append(reach.class_count
        ? `${reach.class_count} classes are too many for a matrix. Narrow it: ` : "No function that can initiate.",
        reach.class_count ? command("p2p --matrix --class gpu,nic") : "");
      byId("matrix-reason").hidden = true;
      return;
    }
    scope.append(reach.by_label
      ? `${reach.class_count} classes of functions that routing cannot tell apart, put together by what they are for; each cell shows the least safe of its pairs. All cells: `
      : "Functions that routing cannot tell apart make a class. Initiators are the rows, targets the columns. A cell shows the least safe class of transaction that counts, and the least safe way in which two of these functions can stand to each other. ",
      reach.by_label ? command("p2p --matrix") : "");
    byId("matrix-legend").append(...[["unsafe", "D", "direct"], ["unsafe", "!", "impersonation"], ["open", "?", "not known"], ["assumed", "A", "apart as assumed"], ["safe", "R", "redirected to the root"], ["safe", "B", "blocked"], ["none", "", "no such pair"]].map(
      ([kind, sign, text]) => make("li", {}, make("span", { class: `cell ${kind}` }, sign), ` ${text}`)));
    const at = new Map();
    for (const cell of reach.cells) {
      const key = `${cell[0]} ${cell[1]}`;
      if (!at.has(key)) at.set(key, []);
      at.get(key).push(cell);
    }
    const size = reach.classes.length;
    const head = (n, scope_) => make("th", { scope: scope_, title: reach.classes[n][1] },
      reach.by_label ? reach.classes[n][0] : scope_ === "col" ? String(n) : `${n} ${reach.classes[n][0]}`);
    const reason = byId("matrix-reason");
    const all = new Map([...at].map(([key, cells]) => [key, cells.sort((a, b) => rank(a) - rank(b))]));
    const body = reach.classes.map((_, from) =>
      make("tr", { role: "row" }, head(from, "row"), ...reach.classes.map((__, to) => {
        const [first] = all.get(`${from} ${to}`) || [];
        if (!first) return make("td", { role: "gridcell", class: "cell none" });
        const kind = safety(first[3], first[5], first[6]);
        const sign = first[6] === 1 && first[3] !== 0 ? "!" : kind === "assumed" ? "A" : SIGN[first[3]];
        return make("td", { role: "gridcell", class: `cell ${kind}`, tabindex: "-1", "data-at": `${from} ${to}` }, sign);
      })));
    const table = make("table", { class: size > 60 ? "matrix small" : "matrix", role: "grid", "aria-labelledby": "matrix-title" },
      make("thead", {}, make("tr", { role: "row" }, make("td", {}), ...reach.classes.map((_, n) => head(n, "col")))),
      make("tbody", {}, ...body));
    byId("matrix-table").append(table);
    if (size > ON_PAPER) {
      table.style.setProperty("--on-paper", String(ON_PAPER / size));
      byId("matrix-table").append(make("p", { class: "more on-paper" },
        `On paper the matrix of ${size} classes is made small enough to be whole, too small to be read. All its cells, in JSON: `,
        command("p2p --matrix --format json")));
    }
    const first = table.querySelector("[data-at]");
    if (first) first.tabIndex = 0;
    const cellOf = (event) => event.target.closest("[data-at]");
    const tell = (event) => {
      const cell = cellOf(event);
      if (!cell) return;
      const texts = all.get(cell.dataset.at).map(cellText);
      cell.setAttribute("aria-label", texts.join("\n"));
      reason.replaceChildren(...texts.map((text) => make("div", {}, text)));
    };
    const go = (event) => cellOf(event) && showCell(all.get(cellOf(event).dataset.at)[0]);
    table.addEventListener("mouseover", tell);
    table.addEventListener("focusin", tell);
    table.addEventListener("click", go);
    table.addEventListener("keydown", (event) => {
      const cell = cellOf(event);
      if (!cell) return;
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        go(event);
        return;
      }
      const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!by) return;
      event.preventDefault();
      let [from, to] = cell.dataset.at.split(" ").map(Number);
      for (;;) {
        from += by[0];
        to += by[1];
        if (from < 0 || to < 0 || from >= size || to >= size) return;
        const next = body[from].children[to + 1];
        if (next.dataset.at) {
          cell.tabIndex = -1;
          next.tabIndex = 0;
          next.focus();
          return;
        }
      }
    });
    byId("matrix-classes").append(make("ol", { start: "0" }, ...reach.classes.map(([label, members, size_]) =>
      make("li", {}, make("b", {}, label), ` ${members}${reach.by_label ? `, ${plural(size_, "function")}` : ""}`))));
  }
  drawMatrix();

  // ---- Light and dark -------------------------------------------------------------------------------

  const theme = byId("theme");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  const nameTheme = () => { theme.textContent = isDark() ? "Light colours" : "Dark colours"; };
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    nameTheme();
  });
  dark.addEventListener("change", nameTheme);
  nameTheme();
  document.documentElement.dataset.ready = "yes";
})();
