// The little that pages do beyond htmx. Without it everything works, with more clicks.
"use strict";

document.documentElement.classList.add("js");

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.split("; ").includes("zone=" + zone)) {
  document.cookie = "zone=" + zone + "; path=/; max-age=31536000; samesite=lax";
}

// The link in a mail of the move API is made for other servers, which read what is behind the "#"; people want the page.
// Whoever is signed in has been sent on to the list of exports; the fragment came along.
const moved = ["/", "/web/"].includes(location.pathname) && location.hash.match(/^#\/exports\/([A-Za-z0-9_=-]+)$/);
if (moved) location.replace("/move/downloads/" + moved[1]);

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    document.execCommand("copy"); // plain http has no clipboard
  }
  const said = button.textContent;
  button.textContent = button.dataset.done;
  setTimeout(() => { button.textContent = said; }, 1500);
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// --- files dropped on a folder: sent one after another as they are, with folders ------------------------------

async function filesOf(entry, path) {
  if (entry.isFile) {
    return [[path + entry.name, await new Promise((done, failed) => entry.file(done, failed))]];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const part = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!part.length) return found;
    for (const inner of part) found.push(...await filesOf(inner, path + entry.name + "/"));
  }
}

function send(form, path, file, progress) {
  return new Promise((done) => {
    const request = new XMLHttpRequest();
    request.open("PUT", form.dataset.put + "?path=" + encodeURIComponent(form.dataset.folder + path));
    request.setRequestHeader("X-CSRFToken", form.elements.csrfmiddlewaretoken.value);
    request.setRequestHeader("X-Mtime", new Date(file.lastModified).toISOString());
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onload = () => done(request.status < 300 ? "" : request.responseText || String(request.status));
    request.onerror = () => done(form.dataset.broken);
    request.send(file);
  });
}

async function sendAll(form, files) {
  const bar = form.querySelector("progress");
  const told = form.querySelector("[role=status]");
  const trouble = [];
  let before = 0;
  bar.hidden = false;
  bar.max = files.reduce((sum, [, file]) => sum + file.size, 0) || 1;
  for (const [path, file] of files) {
    told.textContent = path;
    const failed = await send(form, path, file, (loaded) => { bar.value = before + loaded; });
    before += file.size;
    bar.value = before;
    if (failed) trouble.push(path + ": " + failed);
  }
  if (!trouble.length) location.reload();
  told.textContent = trouble.join("\n");
}

document.addEventListener("dragover", (event) => {
  const form = event.target.closest("[data-put]");
  if (!form) return;
  event.preventDefault();
  form.classList.add("over");
});
document.addEventListener("dragleave", (event) => event.target.closest("[data-put]")?.classList.remove("over"));
document.addEventListener("drop", async (event) => {
  const form = event.target.closest("[data-put]");
  if (!form) return;
  event.preventDefault();
  form.classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const found = [];
  for (const entry of entries) found.push(...await filesOf(entry, ""));
  sendAll(form, found);
});
document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-put]");
  const field = form?.querySelector("input[type=file]");
  if (!field?.files.length) return;
  event.preventDefault();
  sendAll(form, [...field.files].map((file) => [file.webkitRelativePath || file.name, file]));
});
