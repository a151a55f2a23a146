// Live pages: what htmx and the dialogs need beside their attributes.
(() => {
  const lost = document.getElementById("lost");
  const toast = document.getElementById("toast");
  let lastAnswer = Date.now();

  // Morphing leaves alone what a script draws, and what a person has opened.
  Idiomorph.defaults.callbacks.beforeNodeMorphed = (old) => !(old instanceof Element && old.hasAttribute("data-static"));
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS");

  document.addEventListener("htmx:configRequest", (event) => { event.detail.headers["X-Holdfast"] = "1"; });

  // A hidden page asks for nothing; a shown one asks at once.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.target.id === "live") event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) htmx.ajax("GET", document.getElementById("live").getAttribute("hx-get"), { source: "#live", target: "#live", swap: "morph:innerHTML" });
  });

  const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false });
  const gone = (why) => {
    lost.textContent = `${why} What you see is from ${clock(lastAnswer)}.`;
    lost.hidden = false;
    document.body.classList.add("stale-page");
  };
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.target.id !== "live" || !event.detail.successful) return;
    lastAnswer = Date.now();
    lost.hidden = true;
    document.body.classList.remove("stale-page");
  });
  document.addEventListener("htmx:sendError", (event) => { if (event.target.id === "live") gone("The dashboard does not answer."); });
  document.addEventListener("htmx:timeout", (event) => { if (event.target.id === "live") gone("The dashboard answers too slowly."); });
  document.addEventListener("htmx:responseError", (event) => {
    if (event.target.id === "live") gone(`The dashboard answers with an error (${event.detail.xhr.status}).`);
  });

  // Dialogs.
  document.addEventListener("click", (event) => {
    const opener = event.target.closest?.("[data-opens]");
    if (opener) {
      const dialog = document.getElementById(opener.dataset.opens);
      dialog.querySelector("form").reset();
      complain(dialog, "");
      const { sets, to, says } = opener.dataset;
      if (sets) {
        dialog.querySelector(`[name=${sets}]`).value = to;
        dialog.querySelector("[data-said]").textContent = says;
      }
      dialog.showModal();
    }
    if (event.target.closest?.("[data-close]")) event.target.closest("dialog").close();
  });
  const complain = (dialog, text) => {
    const place = dialog.querySelector(".form-error");
    place.textContent = text;
    place.hidden = !text;
  };
  document.addEventListener("htmx:afterRequest", (event) => {
    const form = event.target;
    if (!form.hasAttribute?.("data-action")) return;
    const dialog = form.closest("dialog");
    if (event.detail.successful) {
      dialog?.close();
      setTimeout(() => { toast.textContent = ""; }, 6000);
      htmx.trigger("#live", "refresh");
    } else {
      const text = event.detail.xhr?.responseText?.trim();
      const words = text || "There was no answer: it is not known whether this was done. Look at the status, and try again.";
      if (dialog) complain(dialog, words); else toast.textContent = words;
    }
  });
})();
