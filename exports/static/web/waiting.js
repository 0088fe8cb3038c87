// The page on which one waits for an import. A websocket tells the end at once; where there is none, looking again does.
"use strict";

let socket = null;
let refused = false; // no proxy leads to the websockets here: asking again would be refused again

function listen() {
  const path = document.getElementById("waiting")?.dataset.realtime;
  if (!path || socket || refused) return;
  let opened = false;
  try {
    socket = new WebSocket(location.origin.replace(/^http/, "ws") + path, "io.cozy.websocket");
  } catch {
    refused = true;
    return;
  }
  socket.onopen = () => { opened = true; };
  socket.onmessage = (event) => location.replace(JSON.parse(event.data).redirect);
  socket.onclose = () => { socket = null; refused = !opened; };
}

async function look() {
  let page;
  try {
    const answer = await fetch("?waiting");
    if (!answer.ok) return; // the server is being replaced, perhaps: the next look may be luckier
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return;
  }
  if (!page.getElementById("waiting")) return location.replace("?waiting"); // which leads on
  document.title = page.title;
  document.getElementById("main").replaceChildren(...page.getElementById("main").childNodes);
  listen();
}

listen();
setInterval(look, 5000);
